//! Texts of CUDA, its libraries, and the allocator over it.

use super::head::Head;
use super::{Backend, Class, Verdict};

/// After these every call of the process fails.
const STICKY: &[&str] = &[
    "device-side assert",
    "an illegal memory access was encountered",
    "misaligned address",
    "an illegal instruction was encountered",
    "unspecified launch failure",
    "hardware stack error",
    "invalid program counter",
    "the launch timed out and was terminated",
    "uncorrectable ECC error",
    "uncorrectable NVLink error",
    "the MPS client has been terminated",
    "context is destroyed",
    "driver shutting down",
    "operation not supported on global/shared address space",
    "invalid address space",
];

/// There is no device to work on. ("MPS" is NVIDIA's Multi-Process Service here.)
const UNAVAILABLE: &[&str] = &[
    "no kernel image",
    "invalid device ordinal",
    "busy or unavailable",
    "driver version is insufficient",
    "no CUDA-capable device",
    "MPS client failed to connect",
    "MPS server is not ready",
    "between the MPS server and the MPS client failed",
    "required to create MPS client",
    "required to support device connections",
    "initialization error",
    "forward compatibility was attempted",
    "system not yet initialized",
    "system has unsupported display driver",
    "API call is not supported in the installed CUDA driver",
    "device kernel image is invalid",
    "PTX was compiled with an unsupported toolchain",
];

const NO_DEVICE: &[&str] = &[
    "No CUDA GPUs are available",
    "No HIP GPUs are available",
    "Found no NVIDIA driver",
    "The NVIDIA driver on your system is too old",
    "Unexpected error from cudaGetDeviceCount()",
    "CUDA driver initialization failed",
    "Torch not compiled with CUDA enabled",
    "CUDA unknown error",
    "Attempting to deserialize object on a CUDA device",
];

pub(super) fn rule(head: &Head) -> Option<Verdict> {
    let class = memory(head)
        .or_else(|| runtime(head))
        .or_else(|| capture(head))
        .or_else(|| library(head))
        .or_else(|| unavailable(head))
        .or_else(|| refusal(head))?;
    Some(Verdict::Fault(Backend::Cuda, class))
}

fn memory(head: &Head) -> Option<Class> {
    let full = head.starts_with_any(&[
        "CUDA out of memory. Tried to allocate",
        "HIP out of memory. Tried to allocate",
        "Unable to find a valid cuDNN algorithm to run convolution",
    ]);
    let pooled = head.starts("Allocation on device ") && head.contains("would exceed allowed memory");
    (full || pooled).then_some(Class::OutOfMemory)
}

/// `CUDA error: …`: the line after it decides, the advice below it never does.
fn runtime(head: &Head) -> Option<Class> {
    let error = ["CUDA error: ", "HIP error: ", "CUDA driver error: "].iter().find_map(|prefix| head.line_after(prefix))?;
    let any = |list: &[&str]| list.iter().any(|part| error.contains(part));
    Some(if any(STICKY) {
        Class::Poisoned
    } else if error.contains("captur") {
        Class::StreamCapture
    } else if any(&["out of memory", "OUT_OF_MEMORY"]) {
        Class::OutOfMemory
    } else if any(UNAVAILABLE) {
        Class::BackendUnavailable
    } else if any(&["too many resources requested", "invalid configuration argument", "operation not supported"]) {
        Class::UnsupportedConfig
    } else {
        status(error).unwrap_or(Class::LibraryError)
    })
}

/// CUDA graphs, where libtorch itself notices.
fn capture(head: &Head) -> Option<Class> {
    const PHRASES: &[&str] = &["graph capture", "stream is capturing", "Capture must end on the same stream", "during capture"];
    (head.contains_any(&["CUDA", "graph", "Capture"]) && head.contains_any(PHRASES)).then_some(Class::StreamCapture)
}

fn library(head: &Head) -> Option<Class> {
    const NAMES: [&str; 10] = [
        "cuDNN error: ",
        "cuDNN Frontend error: ",
        "cuBLAS error: ",
        "cusolver error: ",
        "cuSOLVER error: ",
        "cuFFT error: ",
        "CUFFT error: ",
        "cusparse error: ",
        "cuSPARSE error: ",
        "MIOpen Error: ",
    ];
    if head.contains_any(&["unable to find an engine to execute this computation", "No execution plans support the graph"]) {
        return Some(Class::UnsupportedConfig);
    }
    if head.starts_with_any(&["nvrtc: error", "NVRTC error", "CUDA NVRTC error"]) {
        return Some(Class::KernelBuild);
    }
    // The frontend of cuDNN raises what its parts say, without a name before it.
    let unnamed = || head.starts("CUDNN_BACKEND_").then(|| head.as_str());
    let error = NAMES.iter().find_map(|name| head.line_after(name)).or_else(unnamed)?;
    Some(status(error).unwrap_or(Class::LibraryError))
}

/// The status code of a library: a refusal, a lack of memory, or anything.
fn status(error: &str) -> Option<Class> {
    let has = |part| error.contains(part);
    if has("_NOT_SUPPORTED") || has("_ARCH_MISMATCH") || has("is not supported") {
        Some(Class::UnsupportedConfig)
    } else if ["_ALLOC_FAILED", "_ALLOCATION_FAILED"].into_iter().any(has)
        || (has("CUBLAS_STATUS_NOT_INITIALIZED") && (has("cublasCreate") || has("cublasLtCreate")))
    {
        // Creating the handle is what fails first when memory is short.
        Some(Class::OutOfMemory)
    } else {
        None
    }
}

fn unavailable(head: &Head) -> Option<Class> {
    let missing = head.starts("Cannot ") && head.contains("without ATen_cuda library");
    (missing || head.starts_with_any(NO_DEVICE)).then_some(Class::BackendUnavailable)
}

/// A CUDA kernel that does not take a dtype, a layout, or that many elements. A kernel's name without `cuda` in it is the CPU's or shared.
fn refusal(head: &Head) -> Option<Class> {
    let kernel = head.between("\"", "\" not implemented for '");
    // The CPU has kernels that end so too, but none of these.
    let upsamples = |name: &str| name.starts_with("upsample_") && name.ends_with("_out_frame");
    let cudas = |name: &str| name.to_ascii_lowercase().contains("cuda") || upsamples(name);
    if kernel.is_some_and(|name| head.starts("\"") && cudas(name)) {
        return Some(Class::UnsupportedDtype);
    }
    let too_large = [
        "CUDA Tensors cannot have more than",
        "elements, See https://github.com/pytorch/pytorch/issues/51871",
        "must fit into 32-bit index math",
        "canUse32BitIndexMath(",
    ];
    if head.contains_any(&too_large) {
        return Some(Class::SizeLimit);
    }
    if head.contains("on a CUDA tensor requires compiling PyTorch with") {
        return Some(Class::UnsupportedOp);
    }
    if head.starts("FlashAttention only supports ") {
        return Some(Class::UnsupportedConfig);
    }
    let refused = [
        "on CUDA is not implemented",
        "not supported on GPUs",
        "not supported on CUDA",
        "not supported for CUDA",
        "not implemented for CUDA",
        "not implemented on CUDA",
        "CUDA does not support",
    ];
    let sentence = refused.iter().any(|phrase| head.contains(phrase)).then(|| head.as_str())?;
    Some(if super::words::speaks_of_dtypes(sentence) { Class::UnsupportedDtype } else { Class::UnsupportedConfig })
}
