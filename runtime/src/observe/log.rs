//! Events as `tracing` events, with stable targets and fields.
//!
//! | target | what |
//! |---|---|
//! | `backstop::call` | calls, retries, refusals, fallbacks |
//! | `backstop::device` | device fallbacks |
//! | `backstop::policy` | policies loaded and refused |
//! | `backstop::watchdog` | blocked polls, orphans, stalled runtimes |
//! | `backstop::incident` | one line an incident |

use std::time::Duration;

use super::repeats::Repeats;
use crate::clock::Tick;
use tracing::{debug, error, info, trace, warn};

use crate::event::Event;
use crate::incident::inbox::{self, Work};
use crate::outcome::{Outcome, Rejection};
use crate::site::Site;
use crate::text::Name;

/// Whether somebody may listen to calls that go well.
pub(super) fn tells_each() -> bool {
    tracing::Level::TRACE <= tracing::level_filters::STATIC_MAX_LEVEL
        && tracing::Level::TRACE <= tracing::level_filters::LevelFilter::current()
}

pub(super) fn started(site: &Site, attempt: u32) {
    trace!(target: "backstop::call", function = site.name(), attempt, "attempt started");
}

pub(super) fn finished(site: &Site, outcome: Outcome, elapsed: Duration, attempt: u32) {
    let (function, outcome_label) = (site.name(), outcome.as_str());
    match outcome {
        Outcome::Ok => {
            trace!(target: "backstop::call", function, outcome = outcome_label, elapsed_ms = ms(elapsed), attempt, "call finished");
        }
        Outcome::Timeout | Outcome::Idle | Outcome::Panicked => {
            error!(target: "backstop::call", function, outcome = outcome_label, elapsed_ms = ms(elapsed), attempt, "call failed");
        }
        Outcome::Late => {
            warn!(target: "backstop::call", function, outcome = outcome_label, elapsed_ms = ms(elapsed), attempt, "call came back late");
        }
        Outcome::Error | Outcome::Cancelled | Outcome::Rejected => {
            debug!(target: "backstop::call", function, outcome = outcome_label, elapsed_ms = ms(elapsed), attempt, "call finished");
        }
    }
}

/// Device faults come in series: the log shows one a second, metrics count them all.
static REPEATS: Repeats = Repeats::new();

pub(super) fn log(event: &Event<'_>) {
    match *event {
        Event::Started { .. } | Event::Finished { .. } | Event::WatchdogLag { .. } => {}
        Event::Retrying { site, attempt, pause } => {
            warn!(target: "backstop::call", function = site.name(), attempt, pause_ms = ms(pause), "trying again");
        }
        Event::Rejected { site, by } => rejected(site, by),
        Event::BreakerChanged { site, state } => breaker(site, state),
        Event::Fenced { site, fenced: true } => {
            warn!(target: "backstop::call", function = site.name(), "fenced: calls are refused");
        }
        Event::Fenced { site, fenced: false } => {
            info!(target: "backstop::call", function = site.name(), "no longer fenced");
        }
        Event::FellBack { site } => {
            warn!(target: "backstop::call", function = site.name(), "the fallback is called");
        }
        Event::DeviceFallback { site, device, class, reason } => {
            if !REPEATS.is_due(site, class, Tick::now()) {
                return;
            }
            warn!(target: "backstop::device", function = site.name(), device, class, reason, "device fault: running on the CPU");
        }
        Event::DeviceRefused { site, device, class, reason, why } => {
            error!(target: "backstop::device", function = site.name(), device, class, reason, why, "device fault: handed to the caller");
        }
        Event::ResultKept { site, device, reason } => {
            warn!(target: "backstop::device", function = site.name(), device, reason, "part of the result stays on the CPU");
        }
        Event::DeviceRouted { site, cpu } => {
            let route = if cpu { "cpu" } else { "device" };
            info!(target: "backstop::device", function = site.name(), route, "calls now start here");
        }
        Event::PolicyLoaded { generation, path } => {
            info!(target: "backstop::policy", generation, path = path.unwrap_or(""), "policies in force");
        }
        Event::PolicyRefused { message } => {
            error!(target: "backstop::policy", error = message, "policy file refused; the last good one stays in force");
        }
        Event::Notice { message } => info!(target: "backstop::policy", "{message}"),
        Event::Injected { site, fault } => {
            info!(target: "backstop::call", function = site.name(), fault, "fault injected");
        }
        Event::Dropped { what } => {
            debug!(target: "backstop::incident", what, "dropped");
        }
        Event::Slow { .. }
        | Event::Blocked { .. }
        | Event::Unblocked { .. }
        | Event::Orphaned { .. }
        | Event::OrphanEnded { .. }
        | Event::RuntimeStalled { .. }
        | Event::HeldBack { .. }
        | Event::LeftOut { .. }
        | Event::Slept { .. }
        | Event::Debugger { .. } => later(event),
    }
}

fn rejected(site: &Site, by: Rejection) {
    let function = site.name();
    match by {
        // The opening itself was logged as an error, the fence as a warning; refusals are many.
        Rejection::Fenced => debug!(target: "backstop::call", function, by = "fence", "call refused"),
        Rejection::BreakerOpen => debug!(target: "backstop::call", function, by = "breaker", "call refused"),
        Rejection::RateLimited => warn!(target: "backstop::call", function, by = "rate_limit", "call refused"),
    }
}

fn breaker(site: &Site, state: u8) {
    let function = site.name();
    match state {
        0 => info!(target: "backstop::call", function, state = "closed", "breaker changed"),
        1 => error!(target: "backstop::call", function, state = "open", "breaker changed"),
        _ => warn!(target: "backstop::call", function, state = "half_open", "breaker changed"),
    }
}

/// An event of the watchdog's thread, to be logged by the reporter's. Its texts need no heap, unless the reporter itself makes it.
pub(crate) enum Line {
    Slow { function: &'static str, elapsed: Duration, limit: Duration, more: u64 },
    Blocked { function: &'static str, thread: Name, elapsed: Duration },
    Unblocked { function: &'static str, thread: Name, elapsed: Duration },
    Orphaned { function: &'static str },
    OrphanEnded { function: &'static str, elapsed: Duration },
    RuntimeStalled { runtime: &'static str, stalled: bool, elapsed: Duration },
    HeldBack { function: &'static str, kind: &'static str, because: String },
    LeftOut { what: &'static str, more: u64 },
    Slept { time: Duration },
    Debugger { pid: Option<u32> },
}

fn later(event: &Event<'_>) {
    let line = match *event {
        Event::Slow { site, elapsed, limit, more } => Line::Slow { function: site.name(), elapsed, limit, more },
        Event::Blocked { site, thread, elapsed } => {
            Line::Blocked { function: site.name(), thread: Name::from_bytes(thread.as_bytes()), elapsed }
        }
        Event::Unblocked { site, thread, elapsed } => {
            Line::Unblocked { function: site.name(), thread: Name::from_bytes(thread.as_bytes()), elapsed }
        }
        Event::Orphaned { site } => Line::Orphaned { function: site.name() },
        Event::OrphanEnded { site, elapsed } => Line::OrphanEnded { function: site.name(), elapsed },
        Event::RuntimeStalled { runtime, stalled, elapsed } => Line::RuntimeStalled { runtime, stalled, elapsed },
        Event::HeldBack { site, kind, because } => {
            Line::HeldBack { function: site.map_or("", Site::name), kind, because: because.to_owned() }
        }
        Event::LeftOut { what, more } => Line::LeftOut { what, more },
        Event::Slept { time } => Line::Slept { time },
        Event::Debugger { pid } => Line::Debugger { pid },
        _ => return,
    };
    inbox::post(Work::Line(line));
}

impl Line {
    /// Logs the line, on the reporter's thread.
    pub(crate) fn log(&self) {
        match self {
            Line::Slow { function, elapsed, limit, more } => {
                warn!(target: "backstop::call", function, elapsed_ms = ms(*elapsed), limit_ms = ms(*limit), more, "call is slow");
            }
            Line::Blocked { function, thread, elapsed } => {
                warn!(target: "backstop::watchdog", function, thread = thread.as_str(), elapsed_ms = ms(*elapsed), "call blocks its thread");
            }
            Line::Unblocked { function, thread, elapsed } => {
                info!(target: "backstop::watchdog", function, thread = thread.as_str(), elapsed_ms = ms(*elapsed), "call lets go of its thread");
            }
            Line::Orphaned { function } => {
                warn!(target: "backstop::watchdog", function, "body runs on after its caller has gone");
            }
            Line::OrphanEnded { function, elapsed } => {
                info!(target: "backstop::watchdog", function, elapsed_ms = ms(*elapsed), "body without a caller has ended");
            }
            Line::RuntimeStalled { runtime, stalled: true, elapsed } => {
                error!(target: "backstop::watchdog", runtime, elapsed_ms = ms(*elapsed), "no worker of the runtime makes progress");
            }
            Line::HeldBack { function, kind, because } => {
                info!(target: "backstop::watchdog", function, kind, because, "finding held back");
            }
            Line::LeftOut { what, more } => {
                warn!(target: "backstop::watchdog", what, more, "more last at one time than can be followed");
            }
            Line::Slept { time } => info!(target: "backstop::watchdog", elapsed_ms = ms(*time), "the host slept"),
            Line::Debugger { pid: Some(pid) } => {
                warn!(target: "backstop::watchdog", pid, "a debugger is attached: findings are held back");
            }
            Line::Debugger { pid: None } => info!(target: "backstop::watchdog", "the debugger has gone: findings are reported"),
            Line::RuntimeStalled { runtime, stalled: false, elapsed } => {
                info!(target: "backstop::watchdog", runtime, elapsed_ms = ms(*elapsed), "the runtime makes progress again");
            }
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
