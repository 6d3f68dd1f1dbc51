//! The proof: threads stuck in every way, each in a process of its own, captured again and again.
//!
//! `cargo xtask stacks --captures N` runs it with many captures, optimised; among the tests there are a few of each. `victims` are the stuck
//! threads, `heap` counts what a thread takes from the heap, `row` is what a process tells.

mod heap;
mod row;
mod victims;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::names::{self, Names};
use super::shot::{Sample, Shot, Source, Thread};
use super::signal::Refusal;
use super::text::Text;
use super::unwind::End;
use row::Row;
use victims::Situation;

/// How many captures of each situation; a few where it says nothing.
const CAPTURES: &str = "BACKSTOP_STACKS_CAPTURES";
/// The situation that a child is in.
const SITUATION: &str = "BACKSTOP_STACKS_SITUATION";
/// A child that takes longer is stuck itself; more for each capture.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a victim and its captor share.
static TID: AtomicI32 = AtomicI32::new(0);
/// System calls that the victim saw interrupted.
static INTERRUPTED: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_thread_gives_its_stack_wherever_it_is_stuck() {
    if let Ok(name) = std::env::var(SITUATION) {
        return child(&name);
    }
    let captures = std::env::var(CAPTURES).ok().and_then(|captures| captures.parse().ok()).unwrap_or(5);
    println!("{}", Row::HEAD);
    let rows = victims::ALL.map(|situation| {
        let row = run(&situation, captures);
        println!("{row}");
        (situation, row)
    });
    let failed: Vec<String> =
        rows.iter().filter_map(|(situation, row)| Some(format!("{}: {}", row.situation, situation.judge(row)?))).collect();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
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
    let captures = std::env::var(CAPTURES).unwrap().parse().unwrap();
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
        let sample = self.capture.look(tid, true, &mut self.shot);
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
        row.found += u64::from(self.shows(situation.function, &sample));
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

    fn median(&mut self) -> Duration {
        self.took.sort_unstable();
        self.took.get(self.took.len() / 2).copied().unwrap_or_default()
    }
}
