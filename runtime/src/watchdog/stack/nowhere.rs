//! Where native stacks cannot be captured: whoever asks is told so.

use std::sync::Arc;

use super::reason::Reason;
use crate::flight;
use crate::heap;
use crate::incident::{Awaited, Looked, NativeStack, ThreadState};

pub(super) fn start() {}

pub(super) fn request(tid: i32, _: Reason) -> Option<Arc<Awaited>> {
    if heap::is_renounced() {
        // Whoever puts it in words asks again.
        return None;
    }
    let why = if cfg!(feature = "stacks") { "not available on this platform" } else { "not available without the feature `stacks`" };
    let name = flight::thread::of(tid).map(|thread| thread.name.clone()).unwrap_or_default();
    let thread = ThreadState { name, tid, subject: true, state: None, system_call: None, waits_in: None, stack: NativeStack::missing(why) };
    let answer = Awaited::default();
    answer.tell(Looked { threads: Arc::new([thread]), left_out: 0 }, true);
    Some(Arc::new(answer))
}
