//! The threads that look at threads: `backstop-stacks` captures, without the heap; `backstop-symbols` names what was captured.
//!
//! Two of them, because a name may take long (a large library, a slow disk, a heap whose lock the stuck thread holds) and the next stack must
//! not wait for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::answers;
use super::capture::Capture;
use super::procfs;
use super::shot::{SAMPLES, Shot, Thread};
use super::tell::Teller;
use crate::flight;
use crate::incident::{self, Awaited};
use crate::metrics::process;
use crate::watchdog::stack::reason::Reason;

/// Requests that wait; further ones get no stack.
const WAITING: usize = 64;
/// Requests that are answered with one shot.
const TOGETHER: usize = 32;
/// Between two looks at a thread.
const GAP: Duration = Duration::from_millis(20);
/// For looking at all threads once, and for all later looks: those that are left then are not asked any more.
const ROUND: Duration = Duration::from_millis(300);
/// For lines.
const LINES: Duration = Duration::from_millis(300);
/// How the workers of tokio are called, as far as the kernel keeps names.
const WORKERS: &str = "tokio-r";

/// Somebody wants to know what a thread does; with the number 0, what all do.
#[derive(Clone)]
struct Request {
    tid: i32,
    reason: Reason,
    /// The looks at the thread that were over before the reason was: later ones show something else.
    looks: usize,
    answer: Arc<Awaited>,
}

type Requests = [Option<Request>; TOGETHER];

/// A shot and who waits for it.
struct Taken {
    shot: Box<Shot>,
    requests: Requests,
    last: bool,
}

/// Has the thread looked at for as long as the reason lasts; `None` where that is not possible now.
pub(in crate::watchdog::stack) fn request(tid: i32, reason: Reason) -> Option<Arc<Awaited>> {
    let port = port().as_ref()?;
    let answer = answers::take();
    let ask = |answer: &Arc<Awaited>| port.try_send(Request { tid, reason, looks: 0, answer: Arc::clone(answer) }).is_ok();
    if answer.as_ref().is_some_and(ask) {
        return answer;
    }
    process::drop_one("stack");
    answer.into_iter().for_each(answers::give_back);
    None
}

/// Starts both threads, once.
pub(in crate::watchdog::stack) fn start() {
    port();
}

fn port() -> &'static Option<SyncSender<Request>> {
    static PORT: OnceLock<Option<SyncSender<Request>>> = OnceLock::new();
    PORT.get_or_init(|| {
        answers::fill();
        let (requests, asked) = sync_channel(WAITING);
        let (taken, given) = sync_channel(2);
        let (used, empty) = sync_channel(2);
        for _ in 0..2 {
            used.send(Box::new(Shot::new())).ok()?;
        }
        let capture = Capture::new()?;
        spawn("backstop-symbols", move || tell(&given, &used))?;
        spawn("backstop-stacks", move || Sampler { capture, empty, taken }.run(&asked))?;
        Some(requests)
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Option<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).ok().map(drop)
}

struct Sampler {
    capture: Capture,
    empty: Receiver<Box<Shot>>,
    taken: SyncSender<Taken>,
}

impl Sampler {
    fn run(mut self, asked: &Receiver<Request>) {
        while let Ok(first) = asked.recv() {
            let mut requests: Requests = [const { None }; TOGETHER];
            for (place, request) in requests.iter_mut().zip(std::iter::once(first).chain(asked.try_iter())) {
                *place = Some(request);
            }
            // Nothing is known to panic in there; if something does, the next request is answered all the same.
            let _ = catch_unwind(AssertUnwindSafe(|| self.answer(requests)));
        }
    }

    fn answer(&mut self, mut requests: Requests) {
        let Ok(mut shot) = self.empty.recv_timeout(ROUND) else {
            return requests.iter().flatten().for_each(|request| request.answer.give_up());
        };
        shot.clear();
        choose(&mut shot, &requests);
        let end = Instant::now() + ROUND;
        self.round(&mut shot, &mut requests, |_, _| true, end);
        if let Ok(mut early) = self.empty.try_recv() {
            early.copy(&shot);
            let _ = self.taken.try_send(Taken { shot: early, requests: requests.clone(), last: false });
        }
        let end = Instant::now() + ROUND;
        let again = if shot.threads.iter().any(|thread| thread.asked) { SAMPLES - 1 } else { 0 };
        for _ in 0..again {
            thread::sleep(GAP);
            self.round(&mut shot, &mut requests, is_stuck, end);
        }
        let _ = self.taken.send(Taken { shot, requests, last: true });
    }

    /// Looks at some of the threads once.
    fn round(&mut self, shot: &mut Shot, requests: &mut Requests, which: fn(&Thread, &Requests) -> bool, end: Instant) {
        self.capture.begin();
        for index in 0..shot.threads.len() {
            if which(&shot.threads[index], requests) {
                let sample = self.capture.look(shot.threads[index].tid, Instant::now() < end, shot);
                shot.threads[index].keep(sample);
                count(&shot.threads[index], requests);
            }
        }
    }
}

/// Counts the last look at a thread for those whose reason has lasted until after it.
fn count(thread: &Thread, requests: &mut Requests) {
    let asking = requests.iter_mut().flatten().filter(|request| request.tid == thread.tid && request.looks + 1 == thread.taken);
    asking.filter(|request| request.reason.lasts()).for_each(|request| request.looks = thread.taken);
}

/// Whether a thread is looked at again: somebody asks about it whose reason has lasted so far.
fn is_stuck(thread: &Thread, requests: &Requests) -> bool {
    let asks = |request: &Request| request.tid == thread.tid && request.looks == thread.taken;
    thread.is_worth_a_look() && requests.iter().flatten().any(asks)
}

/// The threads that are looked at: those that are asked about, those that poll guarded calls, and the workers of runtimes: threads that are
/// called like tokio's own, or like one of the others.
fn choose(shot: &mut Shot, requests: &Requests) {
    for request in requests.iter().flatten().filter(|request| request.tid != 0) {
        shot.add(request.tid, true, || procfs::name(request.tid));
    }
    for tid in flight::thread::tids() {
        if !shot.has_room() {
            break;
        }
        shot.add(tid, false, || procfs::name(tid));
    }
    // All of them once more, so that each that finds no room is counted once.
    procfs::threads(|tid| {
        let name = procfs::name(tid);
        let is_like = |thread: &Thread| thread.name.as_bytes() == name.as_bytes();
        let polls = || flight::thread::tids().any(|polls| polls == tid);
        if name.as_str().starts_with(WORKERS) || shot.threads.iter().any(is_like) || polls() {
            shot.add(tid, false, || name);
        }
    });
}

/// The life of `backstop-symbols`.
fn tell(given: &Receiver<Taken>, used: &SyncSender<Box<Shot>>) {
    let mut teller = Teller::default();
    while let Ok(Taken { shot, requests, last }) = given.recv() {
        let told = catch_unwind(AssertUnwindSafe(|| answer(&mut teller, &shot, &requests, last)));
        if told.is_err() {
            requests.iter().flatten().for_each(|request| request.answer.give_up());
        }
        if last {
            incident::threads_told();
        }
        let _ = used.send(shot);
        answers::fill();
    }
}

fn answer(teller: &mut Teller, shot: &Shot, requests: &Requests, last: bool) {
    teller.learn_names(shot);
    for request in requests.iter().flatten() {
        request.answer.tell(teller.tell(shot, request.tid, request.looks), false);
    }
    if last {
        teller.learn_lines(shot, Instant::now() + LINES);
        for request in requests.iter().flatten() {
            request.answer.tell(teller.tell(shot, request.tid, request.looks), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::mpsc::channel;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::super::shot::THREADS;
    use super::*;

    /// A crowd takes all the room that there is.
    static ROOM: Mutex<()> = Mutex::new(());

    fn room() -> MutexGuard<'static, ()> {
        ROOM.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the answer will be that it lasts.
    static LASTS: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn a_thread_is_looked_at_for_as_long_as_what_it_is_asked_about_lasts() {
        let _room = room();
        let (open, gate) = channel::<()>();
        let (tell, told) = channel();
        let waits = move || {
            tell.send(flight::thread::current()).unwrap();
            _ = gate.recv();
        };
        thread::spawn(waits);
        let tid = flight::thread::tid(told.recv().unwrap());
        start();
        while !matches!(procfs::call(tid), Some(procfs::Call::Asleep { .. })) {
            thread::yield_now();
        }
        for (times, looks) in [(0, 0), (1, 1), (2, 2), (9, SAMPLES)] {
            let lasts = || Reason::Asked(|| LASTS.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok());
            // Who is too busy with others says so, and is asked again.
            let answer = std::iter::repeat_with(|| {
                LASTS.store(times, Relaxed);
                request(tid, lasts())?.last(Duration::from_secs(60))
            });
            let threads = answer.flatten().next().unwrap().threads;
            let subject = &threads[0];
            assert_eq!((subject.tid, subject.subject, subject.stack.looks), (tid, true, looks), "{subject:?}");
            assert_eq!((subject.stack.frames.is_empty(), subject.stack.missing.is_some()), (looks == 0, looks == 0), "{subject:?}");
        }
        drop(open);
    }

    #[test]
    fn threads_that_find_no_room_are_counted_once_each() {
        let _room = room();
        const CROWD: usize = THREADS + 20;
        let (tell, told) = channel();
        let gates: Vec<_> = (0..CROWD)
            .map(|_| {
                let ((open, gate), tell) = (channel::<()>(), tell.clone());
                let stays = move || {
                    // Known to the table of calls, and called like the others: found twice.
                    tell.send(flight::thread::current()).unwrap();
                    _ = gate.recv();
                };
                thread::Builder::new().name("a crowd".to_owned()).spawn(stays).unwrap();
                open
            })
            .collect();
        let tids: Vec<i32> = (0..CROWD).map(|_| flight::thread::tid(told.recv().unwrap())).collect();
        let mut requests: Requests = [const { None }; TOGETHER];
        requests[0] = Some(Request { tid: tids[0], reason: Reason::Any, looks: 0, answer: Arc::default() });
        let mut shot = Shot::new();
        choose(&mut shot, &requests);
        assert_eq!((shot.threads[0].tid, shot.threads.len()), (tids[0], THREADS));
        let others = std::fs::read_dir("/proc/self/task").unwrap().count() - CROWD;
        assert!((CROWD - THREADS..=CROWD - THREADS + others).contains(&shot.left_out), "{}", shot.left_out);
        drop(gates);
    }
}
