//! Where the records live: chunks of 64 that are never moved or freed, each of one lane, so that a reader needs no lock.
//!
//! A chunk knows when something can first be due in it, and a [`Group`] of chunks the same of all of them: who looks for what is due visits few.
//! The memory is bounded by the most calls that were ever in flight at one moment; a finished call's record is used again.

use std::task::Waker;

use super::bits::ALARM;
use super::due::Due;
use super::group::Group;
use super::here::{self, Here};
use super::id::CallId;
use super::lane;
use super::record::{Entry, Record};
use super::view::View;
use crate::clock::Tick;
use crate::coarse;
use crate::shelf::Shelf;

const SIZE: u32 = 128;

static CHUNKS: Shelf<Chunk> = Shelf::new();

/// See the module.
pub(crate) struct Chunk {
    place: u32,
    records: Box<[Record]>,
    /// Nothing is due before.
    due: Due,
    lane: u32,
}

impl Chunk {
    /// A new chunk of a lane: the first of its records, from 1; each names the next. `None` where the table is full.
    pub(super) fn add(lane: u32) -> Option<u32> {
        let last = |place: u32| place % SIZE == SIZE - 1;
        let record = |place| Record::new(place, if last(place) { 0 } else { place + 2 });
        let chunk = CHUNKS.add(|chunk| {
            Group::make(chunk);
            Self { place: chunk, records: (0..SIZE).map(|at| record(chunk * SIZE + at)).collect(), due: Due::new(), lane }
        })?;
        Some(chunk.place * SIZE + 1)
    }

    #[inline]
    fn of(place: u32) -> Option<&'static Self> {
        CHUNKS.get(place / SIZE)
    }

    /// Something is due in here then. `soon`: before a visit that the time alone brings about; then the visitor must see it now.
    #[inline]
    fn expect(&self, due: Tick, soon: bool) {
        if self.due.expect(due.as_nanos(), soon) || soon {
            self.tell(due, soon);
        }
    }

    /// Tells the group, whose visitors look at nothing but this chunk's own note; and who visits, where it must be now.
    fn tell(&self, due: Tick, soon: bool) {
        if let Some(group) = Group::of(self.place) {
            group.expect(due);
        }
        if soon {
            coarse::expect(due);
        }
    }

    /// Looks at every call in here, and notes when one of them is due next.
    pub(crate) fn visit(&'static self, mut look: impl FnMut(CallId, &'static Record, &View) -> Tick) {
        self.due.visit(|| self.views().map(|(id, record, view)| look(id, record, &view).as_nanos()).min());
        self.tell(self.due(), false);
    }

    /// When something can first be due.
    pub(crate) fn due(&self) -> Tick {
        Tick::from_nanos(self.due.at())
    }

    fn views(&'static self) -> impl Iterator<Item = (CallId, &'static Record, View)> {
        self.records.iter().filter_map(|record| {
            let view = record.view()?;
            Some((CallId { place: record.place(), generation: view.generation }, record, view))
        })
    }
}

/// All chunks.
pub(crate) fn chunks() -> impl Iterator<Item = &'static Chunk> {
    CHUNKS.iter()
}

/// The chunk at a place.
pub(super) fn chunk(place: u32) -> Option<&'static Chunk> {
    CHUNKS.get(place)
}

/// Every running call, alarm and link at this moment.
pub(crate) fn views() -> impl Iterator<Item = (CallId, &'static Record, View)> {
    chunks().flat_map(Chunk::views)
}

/// Whether no more than `most` records are in use.
pub(crate) fn at_most(most: usize) -> bool {
    chunks().flat_map(|chunk| &chunk.records).filter(|record| record.state().live()).take(most + 1).count() <= most
}

/// A call's right to its record; dropping it gives the record back.
pub(crate) struct Ticket(&'static Record);

impl Ticket {
    /// Takes a record of `lane` into use. `None` when the table is full.
    #[inline(always)]
    pub(crate) fn take(lane: Here, entry: &Entry, waker: Option<Waker>) -> Option<Self> {
        let record = match lane.spare() {
            Some(spare) => spare,
            None => Self::listed(lane)?,
        };
        // SAFETY: the record stood among the spares or in the list of free ones, which its lane alone takes from, and does not any more.
        unsafe { record.open(entry, waker) };
        Some(Self(record))
    }

    fn listed(lane: Here) -> Option<&'static Record> {
        let record = record(lane.take()?)?;
        lane.set_free(record.next());
        Some(record)
    }

    /// Takes a record of this thread.
    pub(crate) fn here(entry: &Entry) -> Option<Self> {
        Self::take(here::here()?, entry, None)
    }

    /// Takes one for a sleep.
    pub(crate) fn alarm(until: Tick) -> Option<Self> {
        let ticket = Self::here(&Entry { started: until, bits: ALARM, ..Entry::default() })?;
        ticket.expect(until);
        Some(ticket)
    }

    /// The ticket of a call whose record was taken on its behalf.
    ///
    /// Only the call itself asks for it, once: two tickets of one call would give its record back twice.
    #[inline]
    pub(crate) fn adopt(record: &'static Record) -> Self {
        Self(record)
    }

    /// Gives the ticket up for its record, for `adopt`.
    #[inline]
    pub(crate) fn keep(self) -> &'static Record {
        std::mem::ManuallyDrop::new(self).0
    }

    /// The call's name.
    pub(crate) fn id(&self) -> CallId {
        self.0.id()
    }

    /// The call's record.
    #[inline]
    pub(crate) fn record(&self) -> &'static Record {
        self.0
    }

    /// Something is due for the call then.
    pub(crate) fn expect(&self, due: Tick) {
        expect(self.0, due, true);
    }
}

/// Something is due for the call of `record` then; see [`Due::expect`].
#[inline]
pub(super) fn expect(record: &Record, due: Tick, soon: bool) {
    if let Some(chunk) = Chunk::of(record.place()) {
        chunk.expect(due, soon);
    }
}

/// Whether a visit that the time alone brings about comes early enough for what is due then.
#[inline]
pub(super) fn soon(due: Tick, coarse_now: u64) -> bool {
    coarse_now == 0 || due.as_nanos() < coarse_now.saturating_add(coarse::FAR / 2)
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        if self.0.close() {
            give_back(self.0);
        }
    }
}

/// Puts a free record where its lane finds it.
#[inline]
pub(super) fn give_back(record: &'static Record) {
    record.strip();
    let Some(chunk) = Chunk::of(record.place()) else { return };
    match here::present().filter(|lane| lane.number() == chunk.lane) {
        Some(lane) => {
            if !lane.keep(record) {
                record.set_next(lane.free());
                lane.set_free(record.place() + 1);
            }
        }
        None => lane::numbered(chunk.lane).into_iter().for_each(|lane| lane.freed(record)),
    }
}

/// The number of the thread that the record belongs to.
pub(super) fn thread(record: &Record) -> u32 {
    Chunk::of(record.place()).map_or(0, |chunk| chunk.lane)
}

/// The record at a place, from 1.
#[inline]
fn record(place: u32) -> Option<&'static Record> {
    let place = place.checked_sub(1)?;
    Chunk::of(place)?.records.get((place % SIZE) as usize)
}

/// The record of a call that still runs.
pub(crate) fn running(id: CallId) -> Option<&'static Record> {
    record(id.place.checked_add(1)?).filter(|record| record.is(id.generation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::FIRED;
    use std::collections::HashSet;
    use std::thread;

    fn take() -> Ticket {
        Ticket::here(&Entry { bits: ALARM, started: Tick::NEVER, ..Entry::default() }).unwrap()
    }

    #[test]
    fn a_record_fills_a_cache_line() {
        assert_eq!((size_of::<Record>(), align_of::<Record>()), (64, 64));
    }

    #[test]
    fn places_are_used_again_and_never_shared() {
        let workers: Vec<_> = (0..4).map(|_| thread::spawn(take_and_give_back)).collect();
        for worker in workers {
            worker.join().unwrap();
        }
    }

    fn take_and_give_back() {
        let mut held = Vec::new();
        for round in 0..2_000_usize {
            let ticket = take();
            assert_eq!(ticket.record().flags() & FIRED, 0, "a fresh record has no flags");
            assert!(ticket.record().raise(ticket.id().generation, FIRED));
            held.push(ticket);
            if round % 3 != 0 {
                held.swap_remove(round % held.len());
            }
        }
        let ids: HashSet<_> = held.iter().map(Ticket::id).collect();
        assert_eq!(ids.len(), held.len());
    }

    #[test]
    fn a_flag_for_a_call_that_ended_is_refused() {
        let ticket = take();
        let (id, record) = (ticket.id(), ticket.record());
        drop(ticket);
        assert!(!record.raise(id.generation, FIRED));
        assert!(running(id).is_none());
    }

    #[test]
    fn a_record_that_another_thread_gives_back_is_used_again_by_its_own() {
        let (ids, tickets): (HashSet<_>, Vec<_>) = (0..SIZE * 3).map(|_| take()).map(|ticket| (ticket.id().place, ticket)).unzip();
        thread::spawn(move || drop(tickets)).join().unwrap();
        // The lane may have further free ones, from a thread before: they are taken first, and new ones after all of them.
        let mut held = Vec::new();
        let mut take_again = || {
            held.push(take());
            held.last().is_some_and(|ticket| ids.contains(&ticket.id().place))
        };
        assert!((0..100_000).any(|_| take_again()));
    }

    #[test]
    fn what_a_thread_has_at_hand_is_used_by_those_that_come_after_it() {
        let before = chunks().count();
        for _ in 0..1000 {
            thread::spawn(|| drop((0..16).map(|_| take()).collect::<Vec<_>>())).join().unwrap();
        }
        let more = chunks().count() - before;
        assert!(more < 100, "{more} chunks more, where 250 would hold all of them at once");
    }

    #[test]
    fn a_visit_finds_what_is_due_and_notes_what_is_next() {
        let ticket = Ticket::here(&Entry { started: Tick::from_nanos(500), bits: ALARM, ..Entry::default() }).unwrap();
        ticket.expect(Tick::from_nanos(500));
        let chunk = Chunk::of(ticket.record().place()).unwrap();
        assert!(chunk.due() <= Tick::from_nanos(500));
        let mut seen = false;
        chunk.visit(|id, _, view| {
            seen |= id == ticket.id();
            view.deadline
        });
        assert!(seen && chunk.due() <= Tick::from_nanos(500));
        assert!(Group::of(chunk.place).unwrap().due() <= Tick::from_nanos(500));
    }
}
