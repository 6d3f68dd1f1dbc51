//! How far a guarded future has come, in one word: every future has one, a million of them may wait, and each poll reads it.
//!
//! The word is a pointer to the record of a call that waits, or to a call with layers, or neither; its lowest bits say which.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::AtomicPtr;

use super::call::Call;
use super::waiting::Waiting;
use crate::flight::{Record, Ticket};

const NEW: usize = 0;
const OFF: usize = 2;
const WAITING: usize = HELD;
const LAYERED: usize = HELD | 2;
const BITS: usize = 3;
/// There is something to give back.
const HELD: usize = 1;

// In a pointer to either of them these bits are free.
const _: () = assert!(align_of::<Record>() > BITS && align_of::<Call>() > BITS);

/// See the module. Only this file writes the word, the bits always with a pointer to what they say.
pub(super) struct Stage {
    /// Shared by nobody: an atomic because that is as `Send` and `Sync` as a reference.
    word: AtomicPtr<()>,
    layered: PhantomData<Box<Call>>,
}

/// A stage, to go on from.
pub(super) enum Now<'a> {
    /// Without layers: the body has been polled, and waits.
    Waiting(Held<'a>),
    /// Layers around the body.
    Layered(&'a mut Call),
    /// Not polled yet: nothing has begun, no limit runs.
    New,
    /// The call is over, or its guard is switched off.
    Off,
}

/// The stage of a call that waits.
pub(super) struct Held<'a>(&'a mut Stage);

impl Stage {
    #[inline]
    pub(super) fn new() -> Self {
        Self { word: AtomicPtr::new(ptr::null_mut()), layered: PhantomData }
    }

    /// Whether the call has not been polled.
    #[inline]
    pub(super) fn is_new(&mut self) -> bool {
        self.word.get_mut().is_null()
    }

    #[inline]
    pub(super) fn now(&mut self) -> Now<'_> {
        match self.bits() {
            WAITING => Now::Waiting(Held(self)),
            // SAFETY: beside these bits stands a pointer that `layer` has made of a box, which is there until `unlayer`.
            LAYERED => Now::Layered(unsafe { &mut *self.pointer() }),
            NEW => Now::New,
            _ => Now::Off,
        }
    }

    /// The first poll begins, or the guard is switched off.
    #[inline]
    pub(super) fn off(&mut self) {
        self.set(ptr::null_mut::<()>(), OFF);
    }

    /// From now on the call waits; unguarded, where it got no record.
    #[inline]
    pub(super) fn wait(&mut self, waiting: Option<Waiting>) {
        if let Some(waiting) = waiting {
            self.set(ptr::from_ref(waiting.into_ticket().keep()).cast_mut(), WAITING);
        }
    }

    /// From now on there are layers around the body.
    pub(super) fn layer(&mut self, call: Box<Call>) {
        self.set(Box::into_raw(call), LAYERED);
    }

    /// The layers are over, or left.
    #[cold]
    pub(super) fn unlayer(&mut self) {
        if self.bits() == LAYERED {
            let call: *mut Call = self.pointer();
            self.off();
            // SAFETY: the pointer was made of a box by `layer`, and is not kept any longer.
            drop(unsafe { Box::from_raw(call) });
        }
    }

    #[inline]
    fn bits(&mut self) -> usize {
        self.word.get_mut().addr() & BITS
    }

    #[inline]
    fn pointer<T>(&mut self) -> *mut T {
        self.word.get_mut().map_addr(|word| word & !BITS).cast()
    }

    #[inline]
    fn set<T>(&mut self, to: *mut T, bits: usize) {
        *self.word.get_mut() = to.cast::<()>().map_addr(|word| word | bits);
    }

    #[cold]
    #[inline(never)]
    fn leave(&mut self) {
        match self.now() {
            Now::Waiting(held) => held.end().left(),
            _ => self.unlayer(),
        }
    }
}

impl Held<'_> {
    #[inline]
    pub(super) fn record(&mut self) -> &'static Record {
        // SAFETY: there is a `Held` only where the bits say so; beside them stands a pointer that `wait` has made of such a reference.
        unsafe { &*self.0.pointer() }
    }

    /// The call waits no longer.
    #[inline]
    pub(super) fn end(mut self) -> Waiting {
        let record = self.record();
        self.0.off();
        // Whom `wait` took it from.
        Waiting::new(Ticket::adopt(record))
    }
}

impl Drop for Stage {
    /// Who drops the future leaves the call.
    #[inline]
    fn drop(&mut self) {
        if self.bits() & HELD != 0 {
            self.leave();
        }
    }
}
