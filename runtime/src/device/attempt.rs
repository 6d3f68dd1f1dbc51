//! One attempt: the body runs with its panics caught, and this thread is afterwards as it was before.
//!
//! What an attempt sets on its thread follows an asynchronous body from poll to poll, whichever thread polls it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use super::classify;
use super::left::{self, Left};
use super::torch::{self, Autocast};

/// Where an attempt runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the caller's tensors are.
    Device,
    /// On copies; annotated functions inside run plainly.
    Cpu,
}

/// How an attempt ended.
pub struct Ended<R> {
    /// The value, or what the body panicked with.
    pub(crate) result: std::thread::Result<R>,
    /// Whether an optimizer's own call panicked: its state may be half updated, and cannot be looked at.
    pub(crate) stepped: bool,
    /// Whether it panicked and the filter before the panic hook heard of none: what it would have told of an optimizer is not known.
    pub(crate) unheard: bool,
    /// What functions inside left changed.
    pub(crate) left: Option<Box<Left>>,
}

impl<R> Ended<R> {
    /// By returning this.
    pub(crate) fn of(returned: R) -> Self {
        Self { result: Ok(returned), stepped: false, unheard: false, left: None }
    }

    /// The value; a panic goes on.
    pub(crate) fn value(self) -> R {
        self.result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

#[derive(Clone, Copy, Default)]
struct Watch {
    place: Option<Place>,
    stepped: bool,
    /// Whether there was a panic.
    heard: bool,
    /// Whether something was left changed by a function inside.
    left: bool,
}

impl Watch {
    const fn new(place: Option<Place>) -> Self {
        Self { place, stepped: false, heard: false, left: false }
    }
}

thread_local! {
    static WATCH: Cell<Watch> = const { Cell::new(Watch::new(None)) };
}

/// Whether this call is made by a body that runs on the CPU because of a fallback.
#[inline]
pub(crate) fn inside_fallback() -> bool {
    WATCH.get().place == Some(Place::Cpu)
}

/// Tells the attempt around, if there is one, what a function inside of it leaves changed.
#[cold]
pub(crate) fn leave_behind(left: Left) {
    let around = WATCH.get();
    if around.place.is_some() && !left.is_nothing() {
        left::add(left);
        WATCH.set(Watch { left: true, ..around });
    }
}

/// Runs `body` as one attempt.
pub(crate) fn run<R>(place: Place, body: impl FnOnce() -> R) -> Ended<R> {
    listen();
    let records = torch::records_gradients();
    let autocast = Autocast::now();
    let entered = Entered::new(Watch::new(Some(place)));
    let result = catch_unwind(AssertUnwindSafe(body));
    let Watch { stepped, heard, left, .. } = entered.leave();
    let left = if left { Some(Box::new(left::all())) } else { None };
    drop(entered);
    if result.is_err() {
        torch::record_gradients(records);
        autocast.restore();
    }
    let unheard = result.is_err() && !heard;
    Ended { result, stepped, unheard, left }
}

pin_project_lite::pin_project! {
    /// The asynchronous form of [`run`].
    pub(crate) struct Attempting<F> {
        #[pin]
        future: F,
        watch: Watch,
        left: Option<Box<Left>>,
        before: bool,
        records: bool,
    }
}

/// Polls `future` as one attempt.
pub(crate) fn poll<F: Future>(place: Place, future: F) -> Attempting<F> {
    listen();
    let records = torch::records_gradients();
    Attempting { future, watch: Watch::new(Some(place)), left: None, before: records, records }
}

impl<F: Future> Future for Attempting<F> {
    type Output = Ended<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let autocast = Autocast::now();
        let of_thread = torch::record_gradients(*this.records);
        let entered = Entered::new(*this.watch);
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.poll(cx)));
        *this.watch = entered.leave();
        if std::mem::take(&mut this.watch.left) {
            // The thread forgets it after this poll.
            this.left.get_or_insert_default().add(left::all());
        }
        drop(entered);
        *this.records = torch::record_gradients(of_thread);
        let Watch { stepped, heard, .. } = *this.watch;
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => {
                // What the body leaves switched is its own affair, as without the attribute.
                if *this.records != *this.before {
                    torch::record_gradients(*this.records);
                }
                Poll::Ready(Ended { result: Ok(value), stepped, unheard: false, left: this.left.take() })
            }
            Err(panic) => {
                autocast.restore();
                Poll::Ready(Ended { result: Err(panic), stepped, unheard: !heard, left: this.left.take() })
            }
        }
    }
}

/// While it lives, this thread works for an attempt; the one around it is told what happened inside.
struct Entered(Watch);

impl Entered {
    #[inline]
    fn new(watch: Watch) -> Self {
        Self(WATCH.replace(watch))
    }

    #[inline]
    fn leave(&self) -> Watch {
        WATCH.get()
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        let inside = WATCH.get();
        let around = Watch {
            stepped: self.0.stepped || inside.stepped,
            heard: self.0.heard || inside.heard,
            left: self.0.left || inside.left,
            ..self.0
        };
        if around.left && around.place.is_none() {
            left::forget();
        }
        WATCH.set(around);
    }
}

/// Puts a filter before the panic hook, once: a device fault inside an attempt is not printed (its text is 3 to 16 KB of
/// C++ frames), since it is either handled or raised again. Every other panic reaches the hook that was there.
#[inline]
fn listen() {
    static ONCE: Once = Once::new();
    if ONCE.is_completed() || std::thread::panicking() {
        return;
    }
    ONCE.call_once(filter);
}

fn filter() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !is_silent(panic) {
            before(panic);
        }
    }));
}

fn is_silent(panic: &PanicHookInfo<'_>) -> bool {
    let Ok(inside @ Watch { place: Some(_), stepped, .. }) = WATCH.try_with(Cell::get) else { return false };
    let in_optimizer = panic.location().is_some_and(torch::is_optimizers);
    let _ = WATCH.try_with(|watch| watch.set(Watch { stepped: stepped || in_optimizer, heard: true, ..inside }));
    classify::is_unwrapped(panic.payload())
}
