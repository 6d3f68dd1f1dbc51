//! Reads libtorch's text: whether a failure is the device's, whose, of what class, and whether the CPU would do better.
//!
//! This is the only room that knows the words. It looks at the head of a text, anchored on the templates of PyTorch's sources; frames and
//! library paths never decide. It names no tch type, so that it builds and is tested without libtorch. What is no device fault is `None`: a
//! user's mistake, a warning, a refusal by the CPU itself.

mod common;
mod cuda;
mod head;
mod mps;
mod words;

#[cfg(test)]
mod templates;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::error::Error;

use head::Head;
pub(crate) use head::without_frames;

/// A failure of the device, not of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) backend: Backend,
    pub(crate) class: Class,
    /// Whether the same call may succeed on the CPU. For [`Class::LibraryError`] only after a probe of the device.
    pub(crate) retry: bool,
    /// The operator or kernel that refused, as the text names it.
    pub(crate) operator: Option<String>,
    /// The dtype that was refused, as the text names it.
    pub(crate) dtype: Option<String>,
    /// The size that was too large, as the text gives it, with its unit.
    pub(crate) sizes: Option<String>,
    /// The first line of the text, shortened.
    pub(crate) reason: String,
    /// Where libtorch raised it, and its innermost frames, shortened; perhaps nothing.
    pub(crate) trace: String,
}

impl Fault {
    /// One that MPS would have met with an abort, and that was found before.
    pub(crate) fn foreseen(class: Class, reason: String) -> Self {
        Self { backend: Backend::Mps, class, retry: class.retry(), operator: None, dtype: None, sizes: None, reason, trace: String::new() }
    }
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    Mps,
    /// NVIDIA, and ROCm, which tch cannot tell apart.
    Cuda,
    /// Another backend, or one that the text does not name.
    Other,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// No kernel for the operator.
    UnsupportedOp,
    /// A kernel that refuses the dtype.
    UnsupportedDtype,
    /// A kernel that refuses its parameters, layout or shapes.
    UnsupportedConfig,
    /// Too large for the backend, whatever memory is free.
    SizeLimit,
    /// No memory now.
    OutOfMemory,
    /// Tensors on two devices in one call.
    DeviceMismatch,
    /// A random number generator of another device.
    GeneratorMismatch,
    /// A bug of the backend.
    BackendInternal,
    /// A kernel that could not be compiled or loaded.
    KernelBuild,
    /// cuBLAS, cuDNN and the like failed: perhaps a refusal, perhaps the first sign of a poisoned device.
    LibraryError,
    /// There is no such device here, or no driver for it.
    BackendUnavailable,
    /// Every later call on the device fails, copies off it included. Never retried.
    Poisoned,
    /// A collective operation: other ranks are waiting. Never retried.
    Collective,
    /// A call that a graph capture does not allow. Never retried.
    StreamCapture,
}

impl Class {
    /// Every class, in the order of the reference page.
    #[cfg(test)]
    pub(crate) const ALL: [Class; 14] = [
        Class::UnsupportedOp,
        Class::UnsupportedDtype,
        Class::UnsupportedConfig,
        Class::SizeLimit,
        Class::OutOfMemory,
        Class::DeviceMismatch,
        Class::GeneratorMismatch,
        Class::BackendInternal,
        Class::KernelBuild,
        Class::LibraryError,
        Class::BackendUnavailable,
        Class::Poisoned,
        Class::Collective,
        Class::StreamCapture,
    ];

    /// The label in metrics, events and policies.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Class::UnsupportedOp => "unsupported_op",
            Class::UnsupportedDtype => "unsupported_dtype",
            Class::UnsupportedConfig => "unsupported_config",
            Class::SizeLimit => "size_limit",
            Class::OutOfMemory => "out_of_memory",
            Class::DeviceMismatch => "device_mismatch",
            Class::GeneratorMismatch => "generator_mismatch",
            Class::BackendInternal => "backend_internal",
            Class::KernelBuild => "kernel_build",
            Class::LibraryError => "library_error",
            Class::BackendUnavailable => "backend_unavailable",
            Class::Poisoned => "poisoned",
            Class::Collective => "collective",
            Class::StreamCapture => "stream_capture",
        }
    }

    /// Whether running the same call on the CPU can be right.
    const fn retry(self) -> bool {
        !matches!(self, Class::Poisoned | Class::Collective | Class::StreamCapture)
    }
}

/// What a rule says of a head: a fault, certainly none, or nothing.
pub(super) enum Verdict {
    Fault(Backend, Class),
    Innocent,
}

/// Reads a text in any form: bare, as tch displays or panics with it, with or without frames.
pub(crate) fn text(text: &str) -> Option<Fault> {
    fault(&Head::of(text)?)
}

/// Reads the payload of a panic: of tch's plain methods, or of `expect` and the like on a tch error.
///
/// A payload that holds no torch error is none of ours, whatever it says.
pub(crate) fn of_panic(payload: &(dyn Any + Send)) -> Option<Fault> {
    fault(&Head::marked(text_of(payload)?)?)
}

/// The text of a panic.
pub(crate) fn text_of(payload: &(dyn Any + Send)) -> Option<&str> {
    payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied())
}

/// Whether it is a device fault that one of tch's plain methods has panicked with.
pub(crate) fn is_unwrapped(payload: &(dyn Any + Send)) -> bool {
    text_of(payload).is_some_and(|text| text.contains("Torch(\"")) && of_panic(payload).is_some()
}

/// Whether the C++ frames show an optimizer at work. Frames never make a device fault; these only forbid a second attempt.
pub(crate) fn shows_a_step(text: &str) -> bool {
    text.contains("torch::optim::")
}

/// Whether an operator was given an undefined tensor, as the gradient of what has none is.
pub(crate) fn shows_undefined(text: &str) -> bool {
    text.contains("undefined Tensor")
}

/// Reads an error and all its causes, through contexts and transparent wrappers.
///
/// Every error of the chain is asked for its text, because a transparent wrapper skips the error that it wraps in `source()`; the outermost
/// one's `Debug` text comes last, for wrappers that show nothing of what they hold.
pub(crate) fn of_error(error: &(dyn Error + 'static)) -> Option<Fault> {
    const LONGEST_CHAIN: usize = 64;
    let mut chain = std::iter::successors(Some(error), |error| (*error).source()).take(LONGEST_CHAIN);
    let head = chain.find_map(|error| Head::marked(&error.to_string())).or_else(|| Head::marked(&format!("{error:?}")));
    fault(&head?)
}

type Rule = fn(&Head) -> Option<Verdict>;

/// The first rule that says anything decides.
const RULES: [Rule; 9] = [
    common::collective,
    common::could_not_run,
    common::no_kernel,
    common::internal_assert,
    common::not_linked,
    cuda::rule,
    common::misplaced,
    common::wrong_generator,
    mps::rule,
];

fn fault(head: &Head) -> Option<Fault> {
    match RULES.iter().find_map(|rule| rule(head))? {
        Verdict::Innocent => None,
        Verdict::Fault(backend, class) => Some(Fault {
            backend,
            class,
            retry: class.retry(),
            operator: words::operator(head.as_str()),
            dtype: (class == Class::UnsupportedDtype).then(|| words::dtype(head.as_str())).flatten(),
            sizes: matches!(class, Class::SizeLimit | Class::OutOfMemory).then(|| words::sizes(head.as_str())).flatten(),
            reason: head.reason(),
            trace: head.trace(),
        }),
    }
}
