//! Without the feature `inject` nothing is injected.

use crate::site::Site;

pub(super) fn at_once<R, E>(_: &'static Site, _: E) -> Option<R> {
    None
}

pub(super) async fn in_turn<R, E>(_: &'static Site, _: E) -> Option<R> {
    None
}
