//! Reads libtorch's text.

use std::any::Any;
use std::error::Error;

/// A failure of the device, not of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) backend: Backend,
    pub(crate) class: Class,
    /// Whether the same call may succeed on the CPU.
    pub(crate) retry: bool,
    pub(crate) operator: Option<String>,
    /// The head of the text, trimmed.
    pub(crate) reason: String,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    Mps,
    Cuda,
    Other,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    UnsupportedOp,
    UnsupportedDtype,
    UnsupportedConfig,
    SizeLimit,
    OutOfMemory,
    DeviceMismatch,
    GeneratorMismatch,
    BackendInternal,
    KernelBuild,
    LibraryError,
    BackendUnavailable,
    Poisoned,
    Collective,
    StreamCapture,
}

impl Class {
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
}

pub(crate) fn classify(text: &str) -> Option<Fault> {
    let head = text.split("\nException raised from ").next().unwrap_or(text).split("\nframe #0:").next().unwrap_or("").trim();
    let head = head.strip_prefix("Internal torch error: ").unwrap_or(head);
    let (class, backend) = if head.starts_with("The operator '") && head.contains("for the MPS device") {
        (Class::UnsupportedOp, Backend::Mps)
    } else if head.starts_with("MPS backend out of memory") {
        (Class::OutOfMemory, Backend::Mps)
    } else if head.contains("to float64 dtype as the MPS framework") || head.starts_with("Cannot convert a float64 Tensor to MPS") {
        (Class::UnsupportedDtype, Backend::Mps)
    } else if head.starts_with("CUDA out of memory") {
        (Class::OutOfMemory, Backend::Cuda)
    } else if head.starts_with("CUDA error: device-side assert") {
        (Class::Poisoned, Backend::Cuda)
    } else if head.starts_with("Expected all tensors to be on the same device") {
        (Class::DeviceMismatch, Backend::Other)
    } else {
        return None;
    };
    let operator = head.split('\'').nth(1).filter(|_| class == Class::UnsupportedOp).map(str::to_owned);
    Some(Fault { backend, class, retry: class != Class::Poisoned, operator, reason: head.to_owned() })
}

pub(crate) fn of_error(error: &(dyn Error + 'static)) -> Option<Fault> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = classify(&error.to_string()) {
            return Some(fault);
        }
        next = error.source();
    }
    None
}

pub(crate) fn of_panic(payload: &(dyn Any + Send)) -> Option<Fault> {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied())?;
    let (_, inner) = text.split_once("Torch(\"")?;
    classify(&inner.replace("\\n", "\n").replace("\\\"", "\"").replace("\\'", "'"))
}
