//! Every fact that can be reported. One event is made where the fact is known, and handed to [`observe`](crate::observe).

use std::time::Duration;

use crate::clock::Tick;
use crate::outcome::{Outcome, Rejection};
use crate::site::Site;

/// A fact about a call, a function or this library itself.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "one list, whichever features make its facts")]
pub(crate) enum Event<'a> {
    /// An attempt began. `attempt: 1` opens a call, also one that a layer then refuses; its `Finished` closes it.
    Started { site: &'static Site, at: Tick, attempt: u32 },
    /// A call ended; exactly once for each `Started` with `attempt: 1`.
    Finished { site: &'static Site, at: Tick, outcome: Outcome, elapsed: Duration, attempt: u32 },
    /// A call is slow: its warn time passed. So are `more` calls of the function, found at the same moment.
    Slow { site: &'static Site, elapsed: Duration, limit: Duration, more: u64 },
    /// Another attempt follows after `pause`.
    Retrying { site: &'static Site, attempt: u32, pause: Duration },
    /// A layer refused a call.
    Rejected { site: &'static Site, by: Rejection },
    /// A function was fenced by name, or no longer is.
    Fenced { site: &'static Site, fenced: bool },
    /// The breaker of a function changed: 0 closed, 1 open, 2 half-open.
    BreakerChanged { site: &'static Site, state: u8 },
    /// The fallback of `fallback = path` is called.
    FellBack { site: &'static Site },
    /// One poll lasts longer than the policy's `blocked_after`.
    Blocked { site: &'static Site, thread: &'a str, elapsed: Duration },
    /// That poll came back.
    Unblocked { site: &'static Site, thread: &'a str, elapsed: Duration },
    /// A body that blocks its thread has outlived its caller.
    Orphaned { site: &'static Site },
    /// It ended.
    OrphanEnded { site: &'static Site, elapsed: Duration },
    /// A tensor function moved to the CPU after a device fault.
    DeviceFallback { site: &'static Site, device: &'a str, class: &'static str, reason: &'a str },
    /// A device fault was handed to the caller: a second attempt would have been wrong, `why` says in what way.
    DeviceRefused { site: &'static Site, device: &'a str, class: &'static str, reason: &'a str, why: &'a str },
    /// Part of a result stays on the CPU after a fallback, because the device does not take it.
    ResultKept { site: &'static Site, device: &'a str, reason: &'a str },
    /// A tensor function now starts on the device (0) or on the CPU (1).
    DeviceRouted { site: &'static Site, cpu: bool },
    /// No worker of a runtime makes progress, or one does again; with how long there was none.
    RuntimeStalled { runtime: &'static str, stalled: bool, elapsed: Duration },
    /// A finding is held back: not the code is to blame.
    HeldBack { site: Option<&'static Site>, kind: &'static str, because: &'a str },
    /// The host slept.
    Slept { time: Duration },
    /// A debugger attached itself, or has gone.
    Debugger { pid: Option<u32> },
    /// How late the watchdog's own thread was at its last tick.
    WatchdogLag { lag: Duration },
    /// Policies came into force.
    PolicyLoaded { generation: u64, path: Option<&'a str> },
    /// A policy file was refused; the last good one stays in force.
    PolicyRefused { message: &'a str },
    /// A fault was injected.
    Injected { site: &'static Site, fault: &'static str },
    /// More of these last at one time than can be followed.
    LeftOut { what: &'static str, more: u64 },
    /// Something was dropped because a bound was reached or a sink failed: `what` names it.
    Dropped { what: &'static str },
    /// What the operator should know once, at the start: a switch of the environment is in force, or has no effect.
    Notice { message: &'a str },
}
