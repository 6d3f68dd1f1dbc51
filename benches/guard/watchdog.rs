//! What the watchdog's thread costs: with a million calls to look after, and with none. Needs `/proc`.

use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use crate::clock::{Thread, Work};
use crate::rounds::{COLUMNS, Figures, GUARDED};
use crate::table::Row;
use crate::variants::Guarded;
use crate::{child, in_flight};

const WATCHED: Duration = Duration::from_secs(3);
const AT_REST: Duration = Duration::from_secs(10);
/// The system cuts a thread's name after 15 characters.
const NAME: &str = "backstop-watchd";

/// The longest stretch of work between two sleeps, and the share of a core.
pub fn watchdog(count: usize) -> Vec<Row> {
    let mut rounds: [Vec<Figures>; 3] = [const { Vec::new() }; 3];
    for _ in 0..count.div_ceil(5) {
        let round = child::figures(&["--watchdog"]).inspect_err(|error| eprintln!("{error}")).unwrap_or_default();
        for (place, rounds) in rounds.iter_mut().enumerate() {
            let mut figures = [None; COLUMNS];
            figures[GUARDED] = round.get(place).copied();
            rounds.push(figures);
        }
    }
    let [longest, busy, at_rest] = rounds;
    vec![
        Row::absolute("watchdog, 1,000,000 in flight, longest look", &longest, "ms", Some(2.5)),
        Row::absolute("watchdog, 1,000,000 in flight, of a core", &busy, "%", None),
        Row::absolute("watchdog at rest, of a core", &at_rest, "%", Some(0.01)),
    ]
}

/// In the process of its own: prints milliseconds and two percentages.
pub fn run() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let calls = in_flight::calls::<Guarded>(runtime.handle(), in_flight::CALLS);
    let Some(watchdog) = Thread::named(NAME) else { return };
    thread::sleep(Duration::from_secs(1));
    let (longest, busy) = watched(&watchdog, WATCHED);
    drop(calls);
    thread::sleep(Duration::from_secs(2));
    let (_, at_rest) = watched(&watchdog, AT_REST);
    println!("{} {} {}", longest.as_secs_f64() * 1e3, busy * 100.0, at_rest * 100.0);
}

/// The longest stretch of work, and the part of the time that was work.
fn watched(watchdog: &Thread, time: Duration) -> (Duration, f64) {
    let begun = Instant::now();
    let Some(first) = watchdog.work() else { return (Duration::ZERO, 0.0) };
    let (mut slept, mut longest) = (first, Duration::ZERO);
    while begun.elapsed() < time {
        thread::sleep(Duration::from_millis(1));
        let Some(Work { busy, sleeps }) = watchdog.work() else { break };
        if sleeps != slept.sleeps {
            longest = longest.max(busy.saturating_sub(slept.busy) / u32::try_from(sleeps - slept.sleeps).unwrap_or(u32::MAX));
            slept = Work { busy, sleeps };
        }
    }
    (longest, slept.busy.saturating_sub(first.busy).as_secs_f64() / begun.elapsed().as_secs_f64())
}
