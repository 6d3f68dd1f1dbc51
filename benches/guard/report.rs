//! How soon a body that blocks its thread is found, and how soon after that it is told: the first line of the report in the log, and the whole
//! report on the disk, with the source lines of the thread's stack.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use backstop::{Incident, IncidentKind, timeout_async};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::rounds::{COLUMNS, Figures, GUARDED};
use crate::table::Row;
use crate::variants::Answer;
use crate::{Done, child};

/// How often it happens in one process.
const TIMES: usize = 10;
/// What the policies say.
const BLOCKED_AFTER: Duration = Duration::from_millis(200);
/// Longer than a report takes, and than those of one function that share a report may be apart.
const BLOCKS: Duration = Duration::from_millis(1500);

/// The worst of [`TIMES`], the median of several processes.
pub fn report(count: usize) -> Vec<Row> {
    let mut rounds: [Vec<Figures>; 3] = [const { Vec::new() }; 3];
    for _ in 0..count.div_ceil(5) {
        let round = child::figures(&["--report"]).inspect_err(|error| eprintln!("{error}")).unwrap_or_default();
        for (place, rounds) in rounds.iter_mut().enumerate() {
            let mut figures = [None; COLUMNS];
            figures[GUARDED] = round.get(place).copied();
            rounds.push(figures);
        }
    }
    let [found, told, whole] = rounds;
    vec![
        Row::absolute("a body that blocks, found late by, at most", &found, "ms", Some(100.0)),
        Row::absolute("its report, first line, at most", &told, "ms", Some(20.0)),
        Row::absolute("its report, with source lines, at most", &whole, "ms", Some(500.0)),
    ]
}

#[timeout_async(secs = 60, name = "bench.blocks")]
async fn blocks(begun: Sender<SystemTime>) -> Answer {
    let _ = begun.send(SystemTime::now());
    thread::sleep(BLOCKS);
    Ok(7)
}

/// In the process of its own: prints three times in milliseconds.
pub fn run() -> Done {
    let folder = std::env::temp_dir().join(format!("backstop-bench-{}", std::process::id()));
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/guard/backstop.toml");
    let backstop = backstop::Builder::new().policies(policies).reports(folder.clone()).install()?;
    let (lines, logged) = channel();
    tracing::subscriber::set_global_default(Log { lines: Mutex::new(lines), last: AtomicU64::new(0) })?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (begun, begins) = channel();
    let worker = thread::spawn(move || {
        (0..TIMES).for_each(|_| _ = runtime.block_on(blocks(begun.clone())));
    });
    let mut worst = [Duration::ZERO; 3];
    for _ in 0..TIMES {
        let times = once(begins.recv()?, &logged)?;
        worst.iter_mut().zip(times).for_each(|(worst, time)| *worst = time.max(*worst));
    }
    worker.join().map_err(|_| "the worker panicked")?;
    backstop.flush(BLOCKS);
    // What is over may still be noted in it.
    while std::fs::remove_dir_all(&folder).is_err() && folder.exists() {
        thread::sleep(Duration::from_millis(20));
    }
    let [found, told, whole] = worst.map(|time| time.as_secs_f64() * 1e3);
    println!("{found} {told} {whole}");
    Ok(())
}

fn once(began: SystemTime, logged: &Receiver<(u64, SystemTime)>) -> Done<[Duration; 3]> {
    let (id, told) = logged.recv_timeout(BLOCKS)?;
    let (incident, whole) = whole(id)?;
    let due = began + BLOCKED_AFTER;
    let since = |later: SystemTime, earlier| later.duration_since(earlier).unwrap_or_default();
    Ok([since(incident.time, due), since(told, incident.time), since(whole, incident.time)])
}

/// The report of this number, as soon as it names source lines.
fn whole(id: u64) -> Done<(Incident, SystemTime)> {
    let begun = Instant::now();
    while begun.elapsed() < BLOCKS {
        let report = backstop::incidents().into_iter().find(|incident| incident.id.get() == id && names_lines(incident));
        if let Some(report) = report {
            return Ok((report, SystemTime::now()));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Err("the report names no source line".into())
}

fn names_lines(incident: &Incident) -> bool {
    let frames = incident.threads.iter().filter(|thread| thread.subject).flat_map(|thread| &thread.stack.frames);
    incident.kind == IncidentKind::Blocked && incident.report.is_some() && frames.into_iter().any(|frame| frame.line.is_some())
}

/// Notes when the first line of a report is logged; further ones follow while it lasts.
struct Log {
    lines: Mutex<Sender<(u64, SystemTime)>>,
    last: AtomicU64,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "backstop::incident" && *metadata.level() <= tracing::Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        if line.is_blocked
            && self.last.fetch_max(line.number, Relaxed) < line.number
            && let Ok(lines) = self.lines.lock()
        {
            let _ = lines.send((line.number, SystemTime::now()));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What a line says of its incident.
#[derive(Default)]
struct Line {
    number: u64,
    is_blocked: bool,
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "incident" {
            self.number = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.is_blocked |= field.name() == "kind" && value == IncidentKind::Blocked.as_str();
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
