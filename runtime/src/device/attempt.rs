//! One attempt: the body runs with its panics caught, and this thread is afterwards as it was before.
//!
//! What an attempt sets on its thread follows an asynchronous body from poll to poll, whichever thread polls it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use super::classify;
use super::left::{self, Left};
use super::rare::Rare;
use super::standing;
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
    /// What is out of the ordinary.
    pub(crate) after: Option<Box<After>>,
}

/// What was out of the ordinary.
pub(super) struct Unusual {
    panic: Option<Box<dyn Any + Send>>,
    after: Option<Box<After>>,
}

/// What an attempt left behind.
#[derive(Default)]
pub(crate) struct After {
    /// Whether an optimizer's own call panicked: its state may be half updated, and cannot be looked at.
    pub(crate) stepped: bool,
    /// Whether it panicked and the filter before the panic hook heard of none: what it would have told of an optimizer is not known.
    pub(crate) unheard: bool,
    /// What functions inside left changed.
    pub(crate) left: Option<Left>,
}

impl<R> Ended<R> {
    /// With the value of a body that returned, or the panic of one that did not.
    pub(super) fn of(returned: Option<R>, unusual: Rare<Unusual>) -> Self {
        let (panic, after) = unusual.take().map_or((None, None), |unusual| (unusual.panic, unusual.after));
        Self { result: returned.ok_or_else(|| panic.unwrap_or_else(|| Box::new("no value"))), after }
    }

    /// With nothing out of the ordinary.
    pub(crate) fn plain(result: std::thread::Result<R>) -> Self {
        Self { result, after: None }
    }

    /// The value; a panic goes on.
    pub(crate) fn value(self) -> R {
        self.result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// What runs on a thread, and what has happened in it: the place of the attempt, and flags.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Watch(u8);

impl Watch {
    const NOTHING: Self = Self(0);
    const DEVICE: u8 = 1;
    const CPU: u8 = 2;
    /// A panic of an optimizer's.
    const STEPPED: u8 = 4;
    /// A panic.
    const HEARD: u8 = 8;
    /// Something that a function inside left changed.
    const LEFT: u8 = 16;

    const fn at(place: Place) -> Self {
        match place {
            Place::Device => Self(Self::DEVICE),
            Place::Cpu => Self(Self::CPU),
        }
    }

    const fn has(self, flags: u8) -> bool {
        self.0 & flags != 0
    }

    const fn with(self, flags: u8) -> Self {
        Self(self.0 | flags)
    }

    const fn is_attempt(self) -> bool {
        self.has(Self::DEVICE | Self::CPU)
    }

    const fn flags(self) -> u8 {
        self.0 & (Self::STEPPED | Self::HEARD | Self::LEFT)
    }
}

thread_local! {
    static WATCH: Cell<Watch> = const { Cell::new(Watch::NOTHING) };
}

/// Whether this call is made by a body that runs on the CPU because of a fallback.
#[inline]
pub(crate) fn inside_fallback() -> bool {
    WATCH.get().has(Watch::CPU)
}

/// Tells the attempt around, if there is one, what a function inside of it leaves changed.
#[cold]
pub(crate) fn leave_behind(left: Left) {
    let around = WATCH.get();
    if around.is_attempt() && !left.is_nothing() {
        left::add(left);
        WATCH.set(around.with(Watch::LEFT));
    }
}

/// Runs `body` as one attempt.
pub(crate) fn run<R>(place: Place, body: impl FnOnce() -> R) -> Ended<R> {
    let mut returned = None;
    let unusual = watch(place, || returned = Some(body()));
    Ended::of(returned, unusual)
}

/// Runs `body` as one attempt; what is out of the ordinary. The value stays where `body` puts it, since most attempts go well and are then over.
pub(super) fn watch(place: Place, body: impl FnOnce()) -> Rare<Unusual> {
    listen();
    let records = torch::records_gradients();
    let autocast = Autocast::now();
    let entered = Entered::new(Watch::at(place));
    let result = catch_unwind(AssertUnwindSafe(body));
    let inside = entered.inside();
    if result.is_ok() && inside.flags() == 0 {
        return Rare::default();
    }
    let mut after = None;
    note(inside, &mut after);
    drop(entered);
    if result.is_err() {
        torch::record_gradients(records);
        autocast.restore();
        unheard(inside, &mut after);
    }
    Rare::new(Unusual { panic: result.err(), after })
}

/// Takes down what happened, before the thread forgets it.
#[cold]
#[inline(never)]
fn note(inside: Watch, after: &mut Option<Box<After>>) {
    if inside.has(Watch::STEPPED) {
        after.get_or_insert_default().stepped = true;
    }
    if inside.has(Watch::LEFT) {
        after.get_or_insert_default().left.get_or_insert_default().add(left::all());
    }
}

/// The attempt panicked.
#[cold]
#[inline(never)]
fn unheard(inside: Watch, after: &mut Option<Box<After>>) {
    if !inside.has(Watch::HEARD) {
        after.get_or_insert_default().unheard = true;
    }
}

pin_project_lite::pin_project! {
    /// The asynchronous form of [`run`].
    pub(crate) struct Attempting<F> {
        #[pin]
        future: F,
        watch: Watch,
        after: Option<Box<After>>,
        before: bool,
        records: bool,
    }
}

/// Polls `future` as one attempt, which records gradients as its call `records` them: this thread may have been switched by another task.
pub(crate) fn poll<F: Future>(place: Place, records: bool, future: F) -> Attempting<F> {
    listen();
    Attempting { future, watch: Watch::at(place), after: None, before: records, records }
}

impl<F: Future> Future for Attempting<F> {
    type Output = Ended<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let autocast = Autocast::now();
        let of_thread = torch::record_gradients(*this.records);
        let entered = Entered::new(*this.watch);
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.poll(cx)));
        let inside = entered.inside();
        note(inside, this.after);
        // Noted; a panic is heard in the poll that it ends.
        *this.watch = Watch(inside.0 & !(Watch::LEFT | Watch::HEARD));
        drop(entered);
        *this.records = torch::record_gradients(of_thread);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => {
                // What the body leaves switched is its own affair, as without the attribute.
                if *this.records != *this.before {
                    torch::record_gradients(*this.records);
                }
                Poll::Ready(Ended { result: Ok(value), after: this.after.take() })
            }
            Err(panic) => {
                autocast.restore();
                unheard(inside, this.after);
                Poll::Ready(Ended { result: Err(panic), after: this.after.take() })
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
    fn inside(&self) -> Watch {
        WATCH.get()
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        let around = self.0.with(WATCH.get().flags());
        if around.has(Watch::LEFT) && !around.is_attempt() {
            left::forget();
        }
        WATCH.set(around);
    }
}

/// Puts a filter before the panic hook, once: a device fault inside an attempt is not printed (its text is 3 to 16 KB of
/// C++ frames), since it is either handled or raised again. Every other panic reaches the hook that was there.
#[inline]
fn listen() {
    if standing::is_first() {
        begin_to_listen();
    }
}

#[cold]
fn begin_to_listen() {
    static ONCE: Once = Once::new();
    if !std::thread::panicking() {
        ONCE.call_once(filter);
        standing::ready(torch::has_cuda());
    }
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
    let Some(inside) = WATCH.try_with(Cell::get).ok().filter(|watch| watch.is_attempt()) else { return false };
    let in_optimizer = panic.location().is_some_and(torch::is_optimizers);
    let _ = WATCH.try_with(|watch| watch.set(inside.with(Watch::HEARD | if in_optimizer { Watch::STEPPED } else { 0 })));
    classify::is_unwrapped(panic.payload())
}
