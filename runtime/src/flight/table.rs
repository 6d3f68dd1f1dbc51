//! Where the records live: shards of chunks that grow and are never moved or freed, so that a reader needs no lock.
//!
//! The memory is bounded by the most calls that were ever in flight at one moment; a finished call's record is used again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

use super::record::{CallId, Entry, Record, View};
use super::thread;

const SHARDS: usize = 8;
/// Chunk `n` holds `64 << n` records; 21 chunks are 134 million calls a shard.
const CHUNKS: usize = 21;
const FIRST: u32 = 64;

static TABLE: [Shard; SHARDS] = [const { Shard::new() }; SHARDS];

struct Shard {
    chunks: [OnceLock<Box<[Record]>>; CHUNKS],
    /// Places handed out so far, from 0.
    used: AtomicU32,
    /// `tag << 32 | place + 1`: the first free place; the tag changes with each take, so that a place that came back meanwhile is noticed.
    free: AtomicU64,
}

impl Shard {
    const fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], used: AtomicU32::new(0), free: AtomicU64::new(0) }
    }

    fn record(&'static self, place: u32) -> Option<&'static Record> {
        let chunk = (place / FIRST + 1).ilog2();
        let first = FIRST * ((1 << chunk) - 1);
        self.chunks.get(chunk as usize)?.get()?.get((place - first) as usize)
    }

    fn take(&'static self) -> Option<(u32, &'static Record)> {
        self.take_freed().or_else(|| self.take_new())
    }

    fn take_freed(&'static self) -> Option<(u32, &'static Record)> {
        let mut head = self.free.load(Acquire);
        loop {
            let place = (head as u32).checked_sub(1)?;
            let record = self.record(place)?;
            let after = (head >> 32).wrapping_add(1) << 32 | u64::from(record.next.load(Relaxed));
            match self.free.compare_exchange_weak(head, after, AcqRel, Acquire) {
                Ok(_) => return Some((place, record)),
                Err(now) => head = now,
            }
        }
    }

    fn take_new(&'static self) -> Option<(u32, &'static Record)> {
        let place = self.used.fetch_add(1, AcqRel);
        let chunk = (place / FIRST + 1).ilog2();
        let records = self.chunks.get(chunk as usize)?.get_or_init(|| (0..FIRST << chunk).map(|_| Record::default()).collect());
        let first = FIRST * ((1 << chunk) - 1);
        Some((place, records.get((place - first) as usize)?))
    }

    fn give_back(&self, place: u32, record: &Record) {
        let mut head = self.free.load(Acquire);
        loop {
            record.next.store(head as u32, Relaxed);
            let after = head & !u64::from(u32::MAX) | u64::from(place + 1);
            match self.free.compare_exchange_weak(head, after, AcqRel, Acquire) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    fn records(&'static self) -> impl Iterator<Item = (u32, &'static Record)> {
        (0..self.used.load(Acquire)).map_while(|place| Some((place, self.record(place)?)))
    }
}

/// A call's right to its record; dropping it gives the record back.
pub(crate) struct Ticket {
    id: CallId,
    record: &'static Record,
}

impl Ticket {
    /// Takes a record into use: for a call, or without an entry for an alarm. `None` when the table is full.
    pub(crate) fn take(entry: Option<&Entry>) -> Option<Self> {
        let shard = thread::current() as usize % SHARDS;
        let (place, record) = TABLE[shard].take()?;
        let generation = record.occupy(entry);
        Some(Self { id: CallId { place: place * SHARDS as u32 + shard as u32, generation }, record })
    }

    /// The call's name.
    pub(crate) fn id(&self) -> CallId {
        self.id
    }

    /// The call's record.
    pub(crate) fn record(&self) -> &'static Record {
        self.record
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.record.vacate();
        TABLE[self.id.place as usize % SHARDS].give_back(self.id.place / SHARDS as u32, self.record);
    }
}

fn find(place: u32) -> Option<&'static Record> {
    TABLE[place as usize % SHARDS].record(place / SHARDS as u32)
}

/// The record of a call that still runs.
pub(crate) fn running(id: CallId) -> Option<&'static Record> {
    find(id.place).filter(|record| record.is(id.generation))
}

/// Every running call and alarm at this moment.
pub(crate) fn views() -> impl Iterator<Item = (CallId, &'static Record, View)> {
    TABLE.iter().enumerate().flat_map(|(shard, records)| {
        records.records().filter_map(move |(place, record)| {
            let view = record.view()?;
            let id = CallId { place: place * SHARDS as u32 + shard as u32, generation: view.generation };
            Some((id, record, view))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;
    use crate::flight::{FIRED, Limits};
    use std::collections::HashSet;
    use std::thread;

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
            let ticket = Ticket::take(None).unwrap();
            assert_eq!(ticket.record().flags(), 0, "a fresh record has no flags");
            ticket.record().limit(&Limits::alarm(Tick::NEVER));
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
        let ticket = Ticket::take(None).unwrap();
        let (id, record) = (ticket.id(), ticket.record());
        drop(ticket);
        assert!(!record.raise(id.generation, FIRED));
        assert!(running(id).is_none());
    }
}
