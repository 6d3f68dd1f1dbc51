//! The trading system with injected trouble, watched live: what the binary `demo` runs.

mod arguments;
mod guards;
mod incidents;
mod keys;
mod screen;
mod summary;
mod trouble;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use arguments::{Arguments, Command, Place};

use crate::TradingError;
use crate::session::{self, Report, Setup, Stage, Status, Supervisor};
use keys::Keys;
use screen::Screen;

/// Behind the status line, where keys are read.
const HINT: &str = " (key: list)";

/// Runs what the command line asks for.
#[must_use]
pub fn main(parser: lexopt::Parser) -> ExitCode {
    match arguments::parse(parser) {
        Ok(Command::Help) => {
            print!("{}", arguments::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::Run(arguments)) => match run(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("demo: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("demo: {error}; see demo --help");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let screen = Screen::new(!arguments.quiet);
    // The live display shows incidents itself, with the calls that were running.
    screen.log(if arguments.quiet { "warn" } else { "info,backstop::incident=off" });
    let device = simulated_device(arguments.place)?;
    let guards = guards::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("trading").enable_all().build()?;
    let keys = Keys::listen(screen.clone());
    let hint = if keys.is_some() { HINT } else { "" };
    let report = runtime.block_on(watched(arguments, &screen, hint, device))?;
    screen.clear();
    drop(keys);
    guards.backstop.flush(Duration::from_secs(2));
    println!("\n{}\n{}", summary::functions(&backstop::stats()), summary::profit(&report));
    println!("Incident reports lie in {}", guards.reports.display());
    Ok(())
}

/// The orders of the simulated device, where it is wanted.
fn simulated_device(place: Place) -> Result<Option<sim_mps::Orders>, Box<dyn std::error::Error>> {
    match place {
        Place::SimMps => Ok(Some(sim_mps::Orders::take()?)),
        Place::Mps if cfg!(target_os = "linux") => Err("there is no MPS device on Linux; the simulated one is --device sim-mps".into()),
        Place::Mps | Place::Cpu => Ok(None),
    }
}

/// One run, with the live display, the device's trouble and Ctrl-C beside it.
async fn watched(
    arguments: Arguments,
    screen: &Screen,
    hint: &'static str,
    device: Option<sim_mps::Orders>,
) -> Result<Report, TradingError> {
    let (progress, supervisor) = session::progress();
    let status = supervisor.status.clone();
    // Where no function is guarded, trouble with the device would end the run.
    let guarded = !backstop::sites().is_empty();
    let trouble = device.filter(|_| guarded).map(|device| tokio::spawn(trouble::order(device, status.clone())));
    let display = tokio::spawn(display(screen.clone(), hint, arguments, status));
    let incidents = (!arguments.quiet).then(|| tokio::spawn(incidents::show(screen.clone())));
    let interrupt = tokio::spawn(interrupt(supervisor));
    let setup = Setup { seed: arguments.seed, device: arguments.place.device(), lasts: arguments.lasts, ..Setup::default() };
    let report = session::run(&setup, &progress).await;
    for task in [Some(display), Some(interrupt), incidents, trouble].into_iter().flatten() {
        task.abort();
    }
    report
}

/// The first Ctrl-C stops the run at the next bar, the second ends the program.
async fn interrupt(supervisor: Supervisor) {
    if tokio::signal::ctrl_c().await.is_ok() {
        tracing::warn!(target: "trading::demo", "stopping at the next bar; once more ends at once");
        supervisor.stop();
        if tokio::signal::ctrl_c().await.is_ok() {
            keys::restore();
            std::process::exit(130);
        }
    }
    std::future::pending().await
}

/// A status line ten times a second; where there is none, a line in the log now and then.
async fn display(screen: Screen, hint: &str, arguments: Arguments, status: watch::Receiver<Status>) {
    let started = Instant::now();
    let pause = if screen.is_live() { Duration::from_millis(100) } else { Duration::from_secs(5) };
    loop {
        let line = line(&status.borrow(), started.elapsed(), arguments.lasts) + hint;
        if screen.is_live() {
            screen.show(line);
        } else {
            tracing::info!(target: "trading::demo", "{line}");
        }
        tokio::time::sleep(pause).await;
    }
}

/// Short enough for a terminal of 80 columns: a longer one would leave rows behind.
fn line(status: &Status, elapsed: Duration, lasts: Duration) -> String {
    let (what, done, all) = match status.stage {
        Stage::Fetching => ("fetching the history".to_owned(), 0, 1),
        Stage::Training { round, rounds } => (format!("training, round {round}/{rounds}"), round, rounds),
        Stage::Trading { bar, bars } => (format!("bar {bar}/{bars}  profit {:+.2}", status.profit), bar, bars),
        Stage::Done => ("done".to_owned(), 1, 1),
    };
    let running = backstop::snapshot().calls.len();
    format!("{} {}/{} s  {what}  {running} calls", bar(done, all), elapsed.as_secs(), lasts.as_secs())
}

fn bar(done: usize, all: usize) -> String {
    const WIDTH: usize = 12;
    let filled = (done * WIDTH / all.max(1)).min(WIDTH);
    format!("[{}{}]", "#".repeat(filled), ".".repeat(WIDTH - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_never_overflows() {
        assert_eq!(bar(0, 10), "[............]");
        assert_eq!(bar(5, 10), "[######......]");
        assert_eq!(bar(11, 10), bar(10, 10));
        assert_eq!(bar(0, 0), bar(0, 10));
    }

    #[test]
    fn the_status_fits_a_narrow_terminal() {
        let stage = Stage::Trading { bar: 250, bars: 250 };
        let status = Status { stage, equity: 234_567.891, profit: 134_567.891 };
        let line = line(&status, Duration::from_secs(999), Duration::from_secs(999));
        assert!(line.len() + 2 + HINT.len() < 80, "with up to 999 calls: {line}{HINT}");
    }
}
