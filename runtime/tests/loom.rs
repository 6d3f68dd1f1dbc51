//! The parts of the table of running calls in which threads meet, under every order that the memory model allows: loom tries them all.
//!
//! The files are the library's own; loom's atomics and cells stand in for those of `std`.
#![allow(dead_code, unreachable_pub, reason = "each model uses a part of the files")]

#[path = "../src/flight/due.rs"]
mod due;
#[path = "../src/flight/freed.rs"]
mod freed;
#[path = "../src/flight/life.rs"]
mod life;
mod sync {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
}

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::task::{Wake, Waker};

use due::Due;
use freed::Freed;
use life::{FIRST_FLAG, Life, Rung};
use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;

const FIRED: u32 = FIRST_FLAG;
const WARNED: u32 = FIRST_FLAG << 1;

/// Counts how often it is woken.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn counter() -> (StdArc<Counter>, Waker) {
    let counter = StdArc::<Counter>::default();
    (StdArc::clone(&counter), Waker::from(counter))
}

/// A record that a call has taken.
fn open(waker: Option<Waker>) -> (Arc<Life>, u32) {
    let life = Arc::new(Life::new());
    // SAFETY: nobody else knows the record.
    let generation = unsafe { life.open(0, waker) };
    (life, generation)
}

/// Frees a record that its owner left while it rang, as whoever rang does in the end.
fn vacate(life: &Life, rung: &[Rung]) {
    if rung.contains(&Rung::Vacant) {
        life.vacate();
    }
}

#[test]
fn a_record_that_is_rung_while_its_owner_leaves_is_freed_once() {
    loom::model(|| {
        let (count, waker) = counter();
        let (life, generation) = open(Some(waker));
        let ringer = Arc::clone(&life);
        let rung = thread::spawn(move || ringer.ring(generation, FIRED, || ()));
        let free = life.close();
        let rung = rung.join().unwrap();
        assert_ne!(free, rung == Rung::Vacant, "one of the two gives it back");
        vacate(&life, &[rung]);
        assert_eq!(count.0.load(SeqCst), usize::from(rung != Rung::Refused), "woken exactly where the flag went up");
        assert!(!life.state().live());
        assert_eq!(StdArc::strong_count(&count), 1, "the waker is dropped");
    });
}

#[test]
fn a_waker_that_is_replaced_while_it_rings_misses_nothing() {
    loom::model(|| {
        let ((_, old), (count, new)) = (counter(), counter());
        let (life, generation) = open(Some(old));
        let ringer = Arc::clone(&life);
        let rung = thread::spawn(move || ringer.ring(generation, FIRED, || ()));
        life.wait(&new, FIRED);
        assert_eq!(rung.join().unwrap(), Rung::Raised);
        assert!(count.0.load(SeqCst) > 0, "whoever waits last is woken");
        assert!(life.close());
    });
}

#[test]
fn a_record_that_was_taken_on_behalf_of_its_call_with_its_waker_is_rung_once() {
    loom::model(|| {
        let (count, waker) = counter();
        let (life, generation) = open(Some(waker.clone()));
        let ringer = Arc::clone(&life);
        let rung = thread::spawn(move || ringer.ring(generation, FIRED, || ()));
        life.wait(&waker, FIRED);
        assert_eq!(rung.join().unwrap(), Rung::Raised);
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(life.close());
    });
}

#[test]
fn a_record_that_was_taken_on_behalf_of_its_call_wakes_it_all_the_same() {
    loom::model(|| {
        let (count, waker) = counter();
        let (life, generation) = open(None);
        let ringer = Arc::clone(&life);
        let rung = thread::spawn(move || ringer.ring(generation, FIRED, || ()));
        life.wait(&waker, FIRED);
        rung.join().unwrap();
        assert!(count.0.load(SeqCst) > 0);
        assert!(life.close());
    });
}

#[test]
fn two_who_ring_and_an_owner_who_leaves_free_a_record_once() {
    // Three threads: with more than two preemptions each, the orders are too many.
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(2);
    bounded.check(|| {
        let (count, waker) = counter();
        let (life, generation) = open(Some(waker));
        let ring = |flag| {
            let life = Arc::clone(&life);
            thread::spawn(move || life.ring(generation, flag, || ()))
        };
        let (one, other) = (ring(FIRED), ring(WARNED));
        let free = life.close();
        let rung = [one.join().unwrap(), other.join().unwrap()];
        let freed = usize::from(free) + rung.iter().filter(|rung| **rung == Rung::Vacant).count();
        assert_eq!(freed, 1);
        vacate(&life, &rung);
        assert_eq!(StdArc::strong_count(&count), 1);
    });
}

#[test]
fn who_sees_a_call_sees_what_it_wrote_before_and_can_wake_it() {
    loom::model(|| {
        let (count, waker) = counter();
        let record = Arc::new((Life::new(), AtomicU64::new(0)));
        let reader = Arc::clone(&record);
        let rung = thread::spawn(move || {
            let (life, started) = &*reader;
            let state = life.state();
            if !state.live() {
                return false;
            }
            assert_eq!(started.load(Relaxed), 7);
            life.ring(state.generation(), FIRED, || ()) == Rung::Raised
        });
        record.1.store(7, Relaxed);
        // SAFETY: nobody else opens the record.
        unsafe { record.0.open(0, Some(waker)) };
        let rung = rung.join().unwrap();
        assert_eq!(count.0.load(SeqCst), usize::from(rung));
        assert!(record.0.close());
    });
}

#[test]
fn a_flag_for_a_call_that_has_ended_never_reaches_the_next_one() {
    loom::model(|| {
        let (life, generation) = open(None);
        let watchdog = Arc::clone(&life);
        let raised = thread::spawn(move || watchdog.ring(generation, FIRED, || ()));
        let next = life.close().then(|| {
            // SAFETY: `close` said that the record is free, and nobody else takes it.
            unsafe { life.open(0, None) }
        });
        raised.join().unwrap();
        if next.is_some() {
            assert_eq!(life.state().bits() & FIRED, 0);
        }
    });
}

#[test]
fn records_that_two_threads_give_back_are_found_once_each() {
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(3);
    bounded.check(|| {
        let table = Arc::new((Freed::new(), [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)]));
        let give_back = |place: u32| {
            let table = Arc::clone(&table);
            thread::spawn(move || table.0.push(place, |before| table.1[place as usize].store(u64::from(before), Relaxed)))
        };
        let (one, other) = (give_back(1), give_back(2));
        let mut found = taken(&table);
        one.join().unwrap();
        other.join().unwrap();
        found.extend(taken(&table));
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
    });
}

fn taken((freed, links): &(Freed, [AtomicU64; 3])) -> Vec<u32> {
    let link = |place: &u32| links[*place as usize].load(Relaxed) as u32;
    let some = |place: u32| (place != 0).then_some(place);
    std::iter::successors(some(freed.take()), |place| some(link(place))).collect()
}

/// A chunk with one record, in a group with an earlier note.
struct Table {
    record: AtomicU64,
    chunk: Due,
    group: Due,
}

impl Table {
    fn new(chunk: u64, group: u64) -> Arc<Self> {
        let table = Self { record: AtomicU64::new(0), chunk: Due::new(), group: Due::new() };
        table.chunk.expect(chunk, false);
        table.group.expect(group, false);
        Arc::new(table)
    }

    /// As `Chunk::expect` does it.
    fn comes(&self, due: u64, soon: bool) {
        self.record.store(due, Release);
        if self.chunk.expect(due, soon) || soon {
            self.group.expect(due, true);
        }
    }

    /// As `Group::visit` and `Chunk::visit` do it.
    fn look(&self, now: u64) {
        self.group.visit(|| {
            if self.chunk.at() <= now {
                self.chunk.visit(|| Some(self.record.load(Acquire)).filter(|due| *due != 0));
                self.group.expect(self.chunk.at(), true);
            }
            Some(self.chunk.at())
        });
    }
}

#[test]
fn what_comes_while_somebody_looks_into_its_chunk_is_noted_by_the_group() {
    loom::model(|| {
        let table = Table::new(5, 5);
        let comes = Arc::clone(&table);
        let call = thread::spawn(move || comes.comes(9, true));
        table.look(7);
        call.join().unwrap();
        assert_eq!((table.chunk.at(), table.group.at()), (9, 9));
    });
}

#[test]
fn what_comes_while_somebody_passes_its_chunk_by_is_noted_by_the_group() {
    loom::model(|| {
        let table = Table::new(20, 5);
        let comes = Arc::clone(&table);
        let call = thread::spawn(move || comes.comes(9, false));
        table.look(7);
        call.join().unwrap();
        assert_eq!((table.chunk.at(), table.group.at()), (9, 9));
    });
}

#[test]
fn who_comes_second_relies_on_no_note_that_the_first_has_not_made_yet() {
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(3);
    bounded.check(|| {
        let table = Table::new(20, 5);
        let come = |due, soon| {
            let table = Arc::clone(&table);
            thread::spawn(move || table.comes(due, soon))
        };
        let (first, second) = (come(8, false), come(9, true));
        table.look(7);
        second.join().unwrap();
        assert!(table.group.at() <= 9, "whatever became of the first");
        first.join().unwrap();
        assert_eq!(table.group.at(), 8);
    });
}

#[test]
fn what_comes_while_somebody_looks_is_seen_or_noted() {
    loom::model(|| {
        let table = Arc::new((Due::new(), AtomicU64::new(0)));
        // An earlier call has left an earlier time behind.
        table.0.expect(5, false);
        let comes = Arc::clone(&table);
        let call = thread::spawn(move || {
            comes.1.store(9, Release);
            comes.0.expect(9, true);
        });
        let mut seen = false;
        table.0.visit(|| {
            let due = table.1.load(Acquire);
            seen = due != 0;
            seen.then_some(due)
        });
        call.join().unwrap();
        assert_eq!(table.0.at(), 9, "seen: {seen}");
    });
}
