//! The bits of a record's state that are not [`life`](super::life)'s: flags that go up while a call runs, and what kind of call it is.

use super::life::FIRST_FLAG;

/// The deadline passed; the call must end.
pub(crate) const FIRED: u32 = FIRST_FLAG;
/// The idle time passed; the call must end.
pub(crate) const SILENT: u32 = FIRST_FLAG << 1;
/// The warning of a slow call is out.
pub(crate) const WARNED: u32 = FIRST_FLAG << 2;
/// The deadline was reported, and the call runs on.
pub(crate) const REPORTED: u32 = FIRST_FLAG << 3;
/// Flags of a call that must end.
pub(crate) const OVER: u32 = FIRED | SILENT;

/// An earlier deadline of its caller applies while that caller runs, and the caller watches it.
pub(crate) const INHERITED: u32 = FIRST_FLAG << 4;
/// It began at a tick of the coarse time, or up to one later.
pub(crate) const COARSE: u32 = FIRST_FLAG << 5;
/// Follows tokio's paused clock: the call watches its own limits, the watchdog only its polls.
pub(crate) const PAUSED: u32 = FIRST_FLAG << 6;
/// No call, but a sleep until `started`.
pub(crate) const ALARM: u32 = FIRST_FLAG << 7;
/// No call, but the place of one in another task.
pub(crate) const LINK: u32 = FIRST_FLAG << 8;
/// Its limits are those of its [`Extra`], not of its plan.
pub(crate) const LAYERED: u32 = FIRST_FLAG << 9;
/// A success is a sign of life of its callers.
pub(crate) const BEATS: u32 = FIRST_FLAG << 10;
/// Its own limit had passed when it was looked at, and the caller with the earlier one was gone.
pub(crate) const ALONE: u32 = FIRST_FLAG << 11;
