//! Texts of libtorch's shared code, which name a backend among other things.

use super::head::Head;
use super::words::has_word;
use super::{Backend, Class, Verdict};

/// The accelerator that a text names as a device (`mps:0`, `cuda`, `GPU`) or in a tensor type.
fn named(text: &str) -> Option<Backend> {
    if has_word(text, "mps") || has_word(text, "MPS") {
        Some(Backend::Mps)
    } else if ["cuda", "CUDA", "GPU", "hip"].iter().any(|word| has_word(text, word)) {
        Some(Backend::Cuda)
    } else {
        None
    }
}

fn fault(backend: Backend, class: Class) -> Option<Verdict> {
    Some(Verdict::Fault(backend, class))
}

/// NCCL, Gloo, c10d: the other ranks wait, whatever the cause was here.
pub(super) fn collective(head: &Head) -> Option<Verdict> {
    const OPENINGS: &[&str] = &[
        "The distributed operator '",
        "[PG ID ",
        "[Rank ",
        "[rank",
        "[c10d",
        "NCCL ",
        "ncclUnhandledCudaError",
        "ncclSystemError",
        "ncclInternalError",
        "ncclRemoteError",
        "No backend type associated with device type ",
        "ProcessGroup",
        "Some NCCL operations have failed",
        "Detected mismatch between collectives on ranks",
        "The client socket has timed out",
        "The server socket has failed to listen",
    ];
    const PHRASES: &[&str] = &["aught collective operation timeout", "c10d key-value store", "NCCL communicator"];
    let gloo = head.starts("[") && head.contains("gloo/transport/");
    if !gloo && !head.starts_with_any(OPENINGS) && !head.contains_any(PHRASES) {
        return None;
    }
    let mps = head.contains("for the MPS device") || head.contains("device type mps");
    fault(if mps { Backend::Mps } else { Backend::Cuda }, Class::Collective)
}

/// `Could not run 'OP' with arguments from the 'KEY' backend`: only OP and KEY count, the rest lists every backend there is.
pub(super) fn could_not_run(head: &Head) -> Option<Verdict> {
    if !head.starts("Could not run '") {
        return None;
    }
    let (operator, key) = (head.between("Could not run '", "'")?, head.between("from the '", "' backend")?);
    if ["CPU", "Meta", "Undefined"].iter().any(|host| key.contains(host)) {
        return Some(Verdict::Innocent);
    }
    let backend = match key {
        key if key.contains("MPS") => Backend::Mps,
        key if key.contains("CUDA") || key.contains("HIP") => Backend::Cuda,
        _ => Backend::Other,
    };
    // Without this operator there are no tensors at all: the backend is not part of this libtorch.
    let creates = matches!(operator, "aten::empty.memory_format" | "aten::empty_strided") && !is_functionality(key);
    fault(backend, if creates { Class::BackendUnavailable } else { Class::UnsupportedOp })
}

/// The generic kernels of operators that a backend has to bring itself.
pub(super) fn no_kernel(head: &Head) -> Option<Verdict> {
    let other = head.contains("You are likely triggering this with tensor backend other than CPU/CUDA/MKLDNN");
    if other {
        return fault(Backend::Other, Class::UnsupportedOp);
    }
    head.starts("No available kernel. Aborting execution").then_some(Verdict::Fault(Backend::Other, Class::UnsupportedConfig))
}

/// Keys such as `SparseMPS` are a layout on top of a backend.
fn is_functionality(key: &str) -> bool {
    ["Sparse", "Quantized", "Nested"].iter().any(|layout| key.starts_with(layout))
}

/// The path in quotes says whose assertion it was; one in shared code is nobody's device.
pub(super) fn internal_assert(head: &Head) -> Option<Verdict> {
    let file = head.between("INTERNAL ASSERT FAILED at \"", "\"")?;
    let class = if head.contains("Unsupported scalar type '") { Class::UnsupportedDtype } else { Class::BackendInternal };
    let any = |marks: &[&str]| marks.iter().any(|mark| file.contains(mark));
    if any(&["/mps/", "RegisterMPS", "RegisterSparseMPS"]) || file.ends_with(".mm") {
        fault(Backend::Mps, class)
    } else if any(&["/cuda/", "/cudnn/", "/hip/", "RegisterCUDA", "CUDACachingAllocator"]) {
        fault(Backend::Cuda, class)
    } else {
        Some(Verdict::Innocent)
    }
}

pub(super) fn not_linked(head: &Head) -> Option<Verdict> {
    if let Some(device) = head.line_after("PyTorch is not linked with support for ") {
        return fault(named(device).unwrap_or(Backend::Other), Class::BackendUnavailable);
    }
    let none = head.starts("Cannot access accelerator device when none is available");
    none.then_some(Verdict::Fault(Backend::Other, Class::BackendUnavailable))
}

/// Tensors on two devices. That VarStores are on two devices is tch's own check of its argument.
pub(super) fn misplaced(head: &Head) -> Option<Verdict> {
    if head.starts("All VarStores must be on the same device") {
        return Some(Verdict::Innocent);
    }
    if let Some(pair) = head.line_after("Input type (") {
        return Some(type_pair(pair));
    }
    let backend = named(head.as_str());
    let told = head.starts_with_any(&[
        "Expected all tensors to be on the same device",
        "indices should be either on ",
        "Placeholder storage has not been allocated on MPS device",
        "Passed CPU tensor to MPS op",
        "Attempted to set the storage of a tensor on device ",
        "Expected object of device type ",
    ]);
    let tells = head.contains_any(&[
        "on the same device",
        "at the same device",
        "found at least two devices",
        ".is_mps() to be true",
        ".is_cuda() to be true",
        " to be MPS, ",
        " to be on MPS",
        " must be on MPS",
        " is not on the MPS device",
    ]);
    let tells = tells || ["a", "an"].iter().any(|an| ["MPS", "CUDA"].iter().any(|name| asks_for(head, &format!(" be {an} {name} tensor"))));
    let argument = head.starts("Tensor for ") && head.contains(" is on ") && head.contains("expected ");
    match backend {
        Some(backend) if told || tells || argument => fault(backend, Class::DeviceMismatch),
        None if told => fault(Backend::Other, Class::DeviceMismatch),
        _ => None,
    }
}

/// `found_inf must be a MPS tensor`, `expected 'other' to be an MPS tensor`.
fn asks_for(head: &Head, what: &str) -> bool {
    ["must", "to", "should"].iter().any(|verb| head.contains(&format!(" {verb}{what}")))
}

/// `A) and weight type (B) should be the same`: one dtype on two devices is placement, two dtypes are the caller's.
fn type_pair(pair: &str) -> Verdict {
    let parsed = || {
        let (left, rest) = pair.split_once(") and ")?;
        let (right, _) = rest.split_once(" type (")?.1.split_once(')')?;
        Some((tensor_type(left)?, tensor_type(right)?))
    };
    match parsed() {
        Some(((left, a), (right, b))) if a == b && left != right => {
            Verdict::Fault(left.or(right).unwrap_or(Backend::Other), Class::DeviceMismatch)
        }
        _ => Verdict::Innocent,
    }
}

/// `MPSFloatType`, `torch.cuda.FloatTensor`, `torch.FloatTensor`: the accelerator, if any, and the dtype.
fn tensor_type(name: &str) -> Option<(Option<Backend>, &str)> {
    if let Some(python) = name.strip_prefix("torch.") {
        let (backend, dtype) = match python.split_once('.') {
            Some(("mps", dtype)) => (Some(Backend::Mps), dtype),
            Some((_, dtype)) => (Some(Backend::Cuda), dtype),
            None => (None, python),
        };
        return Some((backend, dtype.strip_suffix("Tensor")?));
    }
    let dtype = name.strip_suffix("Type")?;
    let on = |prefix, backend| dtype.strip_prefix(prefix).map(|dtype| (backend, dtype));
    on("MPS", Some(Backend::Mps)).or_else(|| on("CUDA", Some(Backend::Cuda))).or_else(|| on("CPU", None))
}

/// `Expected a 'X' … generator … but found 'Y'`: X is where the tensors are.
pub(super) fn wrong_generator(head: &Head) -> Option<Verdict> {
    let rest = head.line_after("Expected a '")?;
    let (device, rest) = rest.split_once('\'')?;
    if !rest.contains("generator") {
        return None;
    }
    match named(device) {
        Some(backend) => fault(backend, Class::GeneratorMismatch),
        None => Some(Verdict::Innocent),
    }
}
