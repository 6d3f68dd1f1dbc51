//! What a guarded call costs, beside what else a user could write: `cargo xtask bench guard`.
//!
//! Everything runs in one process, in rounds that take each variant in turn; a figure is a median over the rounds. Everything that
//! backstop promises is switched on: policies from a file, the table of running calls, counters, histograms and their exporter, reports.

mod by_hand;
mod channel;
mod child;
mod clock;
mod contention;
mod counts;
mod deadlines;
mod floor;
mod in_flight;
mod one_call;
mod options;
mod report;
mod rounds;
mod table;
mod variants;
mod watchdog;

use std::error::Error;
use std::process::ExitCode;

use options::{Options, Task};
use table::Row;

/// What can go wrong.
type Done<T = ()> = Result<T, Box<dyn Error>>;

/// A family of rows.
struct Scenario {
    name: &'static str,
    run: fn(usize) -> Vec<Row>,
}

const SCENARIOS: [Scenario; 10] = [
    Scenario { name: "ready", run: one_call::ready },
    Scenario { name: "pending-once", run: one_call::pending_once },
    Scenario { name: "pending-ten", run: one_call::pending_ten },
    Scenario { name: "nested", run: one_call::nested },
    Scenario { name: "ping-pong", run: channel::ping_pong },
    Scenario { name: "contention", run: contention::contention },
    Scenario { name: "in-flight", run: in_flight::in_flight },
    Scenario { name: "deadlines", run: deadlines::deadlines },
    Scenario { name: "watchdog", run: watchdog::watchdog },
    Scenario { name: "report", run: report::report },
];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Done<ExitCode> {
    match options::read()? {
        Task::Measure(options) => measure(&options)?,
        Task::Count { record } => return counts::compare(record),
        Task::Calls { scenario, variant } => {
            let _backstop = install()?;
            counts::run(&scenario, &variant)?;
        }
        Task::InFlight { variant } => {
            let _backstop = install()?;
            in_flight::run(&variant)?;
        }
        Task::Watchdog => {
            let _backstop = install()?;
            watchdog::run();
        }
        Task::Report => report::run()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that a program in production would switch on.
fn install() -> Done<backstop::Backstop> {
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/guard/backstop.toml");
    Ok(backstop::Builder::new().policies(policies).prometheus("127.0.0.1:0").install()?)
}

fn measure(options: &Options) -> Done {
    let _backstop = install()?;
    let mut rows = Vec::new();
    for Scenario { name, run } in SCENARIOS.iter().filter(|scenario| options.takes(scenario.name)) {
        eprintln!("{name} …");
        rows.extend(run(options.rounds));
    }
    println!("Overhead over the bare call as a ratio to tokio::time::timeout, or figures with their unit; {} rounds.\n", options.rounds);
    table::print(&rows);
    Ok(())
}
