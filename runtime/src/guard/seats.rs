//! The seat in the bulkhead that the call that runs here has, for a body that becomes a task of its own and may outlive the call.

use std::cell::RefCell;

use super::current;
use crate::flight::CallId;
use crate::resilience::concurrency::Seat;

thread_local! {
    /// With the call whose seat it is: another call may run inside.
    static LENT: RefCell<Option<(CallId, Seat)>> = const { RefCell::new(None) };
}

/// Takes the seat back when it is dropped, and shows what was lent before.
pub(super) struct Lent(Option<(CallId, Seat)>);

/// Lends `seat` to the body that is polled next.
pub(super) fn lend(seat: Option<&Seat>) -> Option<Lent> {
    let seat = seat?.clone();
    let lent = (current::call()?, seat);
    LENT.try_with(|here| Lent(here.replace(Some(lent)))).ok()
}

impl Drop for Lent {
    fn drop(&mut self) {
        let before = self.0.take();
        let _ = LENT.try_with(|here| here.replace(before));
    }
}

/// A share in the seat of the call that runs here: the seat is free when nobody has a share any more.
pub(super) fn share() -> Option<Seat> {
    let call = current::call()?;
    LENT.try_with(|here| here.borrow().as_ref().filter(|(of, _)| *of == call).map(|(_, seat)| seat.clone())).ok()?
}
