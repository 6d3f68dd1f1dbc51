//! The proof: threads stuck in every way, each in a process of its own, captured again and again.
//!
//! `cargo xtask stacks --captures N` runs it with many captures, optimised, and counts each that got no answer as not found; among the tests
//! there are a few of each, on whatever machine, and half of them may get none. `victims` are the stuck
//! threads, a `situation` each, `heap` counts what a thread takes from the heap, `row` is what a process tells.

mod row;
mod situation;
mod victims;

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::*};
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::names::{self, Names};
use super::procfs::{self, Call};
use super::shot::{Sample, Shot, Source, Thread};
use super::signal::Refusal;
use super::unwind::End;
use crate::heap::counted as heap;
use crate::text::Text;
use crate::watchdog::stack::reason::Reason;
use row::Row;
use situation::{Rigour, Situation};

/// How many captures of each situation; a few where it says nothing.
const CAPTURES: &str = "BACKSTOP_STACKS_CAPTURES";
/// Set where the machine has other work to do than this proof.
const LOADED: &str = "BACKSTOP_STACKS_LOADED";
/// The situation that a child is in.
const SITUATION: &str = "BACKSTOP_STACKS_SITUATION";
/// A child that takes longer is stuck itself; more for each capture.
const PATIENCE: Duration = Duration::from_secs(60);

/// Situations at a time: captors and victims mostly wait, for each other and for a CPU.
const AT_ONCE: usize = 3;

/// What a victim and its captor share.
static TID: AtomicI32 = AtomicI32::new(0);
/// System calls that the victim saw interrupted.
static INTERRUPTED: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_thread_gives_its_stack_wherever_it_is_stuck() {
    if let Ok(name) = std::env::var(SITUATION) {
        return child(&name);
    }
    let (captures, rigour) = (captures(), rigour());
    println!("{}", Row::HEAD);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(situation) = victims::ALL.get(next.fetch_add(1, Relaxed)) {
            let row = run(situation, captures);
            println!("{row}");
            failed.lock().unwrap().extend(situation.judge(&row, rigour).map(|wrong| format!("{}: {wrong}", row.situation)));
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

/// The first words of a report may take 20 ms, the whole of it half a second; this is the part of that which the stack takes.
#[test]
fn names_come_at_once_and_lines_soon() {
    let (tell, told) = std::sync::mpsc::channel();
    let name = "a sleeper".to_owned();
    std::thread::Builder::new().name(name).spawn(move || victims::sleep_and_tell(&tell)).unwrap();
    let tid = told.recv().unwrap();
    let sleeps = || matches!(procfs::call(tid), Some(Call::Asleep { number, .. }) if number == libc::SYS_clock_nanosleep);
    while !sleeps() {
        std::thread::sleep(Duration::from_millis(1));
    }
    super::start();
    let (mut first, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..captures().min(100) {
        // Beside other tests the sampler may have no time for this one: then it is asked again.
        let ask = || {
            let (began, answer) = (Instant::now(), super::request(tid, Reason::Any)?);
            let names = answer.first(PATIENCE)?.threads;
            Some((began, answer, names, began.elapsed()))
        };
        let (began, answer, names, elapsed) = std::iter::repeat_with(|| {
            ask().or_else(|| {
                std::thread::sleep(Duration::from_millis(20));
                None
            })
        })
        .take(100)
        .flatten()
        .next()
        .expect("names come");
        first.push(elapsed);
        let lines = answer.last(PATIENCE).expect("lines come").threads;
        whole.push(began.elapsed());
        assert_eq!((names[0].tid, names[0].name.as_str(), names[0].subject), (tid, "a sleeper", true));
        let sleeps = |threads: &[crate::incident::ThreadState]| {
            let frames = &threads[0].stack.frames;
            frames.iter().any(|frame| frame.function.as_deref().is_some_and(|name| name.contains("sleep_and_tell")))
        };
        assert!(sleeps(&names) && sleeps(&lines), "{names:?}");
        assert_eq!((lines[0].stack.looks, lines[0].stack.moves, lines[0].stack.complete), (3, false, true), "{:?}", lines[0]);
    }
    let line = |name: &str, times: &mut Vec<Duration>| {
        times.sort_unstable();
        println!("{name}: median {:?}, longest {:?} of {}", times[times.len() / 2], times[times.len() - 1], times.len());
    };
    line("stack with names", &mut first);
    line("three looks, with lines", &mut whole);
}

fn captures() -> u64 {
    std::env::var(CAPTURES).ok().and_then(|captures| captures.parse().ok()).unwrap_or(5)
}

fn rigour() -> Rigour {
    match std::env::var_os(CAPTURES) {
        Some(_) if std::env::var_os(LOADED).is_none() => Rigour::Proof,
        Some(_) => Rigour::Loaded,
        None => Rigour::Short,
    }
}

/// Runs one situation in a process of its own.
fn run(situation: &Situation, captures: u64) -> Row {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "watchdog::stack::linux::proof::a_thread_gives_its_stack_wherever_it_is_stuck",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(SITUATION, situation.name)
        .env(CAPTURES, captures.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + PATIENCE + Duration::from_millis(50) * u32::try_from(captures).unwrap();
    let mut row = Row { situation: situation.name.to_owned(), captures, ..Row::default() };
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let output = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
            match output.lines().find_map(Row::read) {
                Some(read) => row = read,
                None => row.crashed = 1,
            }
            row.crashed = row.crashed.max(u64::from(!status.success()));
            return row;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            row.stuck = 1;
            return row;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A child: gets stuck, and captures.
fn child(name: &str) {
    let situation = victims::ALL.into_iter().find(|situation| situation.name == name).unwrap();
    let captures = captures();
    let mut captor = Captor::new();
    (situation.start)();
    let tid = wait_for_victim();
    let mut row = Row { situation: name.to_owned(), captures, ..Row::default() };
    for _ in 0..captures {
        captor.capture(&situation, tid, &mut row);
    }
    row.interrupted = INTERRUPTED.load(Relaxed);
    row.median = captor.median();
    println!("{row}");
    use std::io::Write;
    std::io::stdout().flush().unwrap();
    // The victims never end.
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(0) }
}

fn wait_for_victim() -> i32 {
    let end = Instant::now() + PATIENCE;
    loop {
        let tid = TID.load(Acquire);
        if tid != 0 {
            // It is about to get stuck.
            std::thread::sleep(Duration::from_millis(50));
            return tid;
        }
        assert!(Instant::now() < end, "the victim did not start");
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Captor {
    capture: Capture,
    shot: Shot,
    names: Names,
    took: Vec<Duration>,
}

impl Captor {
    fn new() -> Self {
        Self { capture: Capture::new().unwrap(), shot: Shot::new(), names: Names::default(), took: Vec::new() }
    }

    fn capture(&mut self, situation: &Situation, tid: i32, row: &mut Row) {
        if situation.holds_heap {
            heap::hold();
        }
        let (before, began) = (heap::taken(), Instant::now());
        self.shot.clear();
        self.capture.begin();
        let mut sample = self.capture.look(tid, true, &mut self.shot);
        // As a report does.
        if sample.source == Source::Refused(Refusal::Silent) {
            sample = self.capture.look(tid, true, &mut self.shot);
        }
        let (took, taken) = (began.elapsed(), heap::taken() - before);
        heap::release();
        self.took.push(took);
        row.heap += taken;
        self.judge(situation, sample, row);
    }

    fn judge(&mut self, situation: &Situation, sample: Sample, row: &mut Row) {
        match sample.source {
            Source::Asleep => row.asleep += 1,
            Source::Signal => row.signal += 1,
            Source::Refused(Refusal::Blocked) => row.blocked += 1,
            Source::Refused(_) => row.silent += 1,
            Source::Spared | Source::Unknown => row.unknown += 1,
        }
        let mut thread = Thread::new(0, true, Text::EMPTY);
        thread.keep(sample);
        self.shot.threads.push(thread);
        for (index, image) in self.shot.images.iter().enumerate() {
            let path = names::file(image.path.as_str());
            let here = self.shot.frames(&sample).filter(|frame| frame.image == Some(index));
            self.names.learn(&path, here.map(|frame| frame.found.code - u64::from(frame.found.returns) - image.bias));
        }
        let shows = self.shows(situation.function, &sample);
        if !shows && std::env::var_os("BACKSTOP_STACKS_SHOW").is_some() {
            self.print(&sample);
        }
        row.found += u64::from(shows);
        row.whole += u64::from(sample.end == End::Root);
    }

    fn shows(&self, function: &str, sample: &Sample) -> bool {
        let mut frames = self.shot.frames(sample);
        frames.any(|frame| {
            let Some(image) = frame.image.and_then(|image| self.shot.images.get(image)) else { return false };
            let address = frame.found.code - u64::from(frame.found.returns) - image.bias;
            self.names.of(&names::file(image.path.as_str()), address).is_some_and(|name| name.contains(function))
        })
    }

    /// What a stack shows instead of what it should.
    fn print(&self, sample: &Sample) {
        for frame in self.shot.frames(sample) {
            let image = frame.image.and_then(|image| self.shot.images.get(image));
            let address = frame.found.code - image.map_or(0, |image| image.bias);
            let path = image.map(|image| names::file(image.path.as_str())).unwrap_or_default();
            let name = self.names.of(&path, address - u64::from(frame.found.returns));
            println!("  {} {address:#x} {:?} {}", name.unwrap_or("?"), frame.found.trust, path.display());
        }
        println!("  {:?}", sample.end);
    }

    fn median(&mut self) -> Duration {
        self.took.sort_unstable();
        self.took.get(self.took.len() / 2).copied().unwrap_or_default()
    }
}
