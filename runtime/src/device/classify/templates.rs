//! Fresh texts by the templates of PyTorch's sources: other operators, dtypes, sizes and wrappings than the labelled set has.

use super::tests::{FRAMES, backend, rows};
use super::{Class, text};

use Class::{
    BackendInternal, BackendUnavailable, Collective, DeviceMismatch, GeneratorMismatch, KernelBuild, LibraryError, OutOfMemory, Poisoned,
    SizeLimit, StreamCapture, UnsupportedConfig, UnsupportedDtype, UnsupportedOp,
};

/// Each with the backend and the class; what is behind no class is nobody's device fault.
const TEXTS: &[(&str, Option<(&str, Class)>)] = &[
    // MPSFallback.mm, in its three generations.
    (
        "The operator 'aten::linalg_householder_product' is not current implemented for the MPS device. If you want this op to be added",
        Some(("mps", UnsupportedOp)),
    ),
    (
        "The operator 'aten::_fft_c2c.out' is not currently implemented for the MPS device. If you want this op to be considered for addition please comment on https://github.com/pytorch/pytorch/issues/141287 and mention use-case, that resulted in missing op as well as commit hash 0000000.",
        Some(("mps", UnsupportedOp)),
    ),
    ("The operator 'torchvision::roi_align' is not currently implemented for the MPS device.", Some(("mps", UnsupportedOp))),
    // The dispatcher.
    (
        "Could not run 'aten::segment_reduce' with arguments from the 'MPS' backend. This could be because the operator doesn't exist for this backend",
        Some(("mps", UnsupportedOp)),
    ),
    ("Could not run 'torchvision::nms' with arguments from the 'CUDA' backend. This could be because", Some(("cuda", UnsupportedOp))),
    ("Could not run 'aten::empty_strided' with arguments from the 'CUDA' backend.", Some(("cuda", BackendUnavailable))),
    ("Could not run 'aten::add.out' with arguments from the 'SparseMPS' backend.", Some(("mps", UnsupportedOp))),
    (
        "Could not run 'aten::mm' with arguments from the 'QuantizedCPU' backend. 'aten::mm' is only available for these backends: [CPU, CUDA, MPS]",
        None,
    ),
    // Dtypes.
    (
        "Cannot convert a float64 Tensor to MPS as the MPS framework doesn't support float64. Please use float32 instead of it.",
        Some(("mps", UnsupportedDtype)),
    ),
    ("Trying to convert UInt32 to the MPS backend but it does not have support for that dtype.", Some(("mps", UnsupportedDtype))),
    ("MPS device does not support baddbmm for non-float inputs", Some(("mps", UnsupportedDtype))),
    ("MPS does not support upsample_bicubic2d op with Half input", Some(("mps", UnsupportedDtype))),
    ("\"cholesky_cuda\" not implemented for 'Half'", Some(("cuda", UnsupportedDtype))),
    ("\"addmm_cuda\" not implemented for 'Long'", Some(("cuda", UnsupportedDtype))),
    ("\"slow_conv2d_cpu\" not implemented for 'Half'", None),
    ("\"erfinv_vml_cpu\" not implemented for 'Char'", None),
    ("\"check_uniform_bounds\" not implemented for 'Byte'", None),
    // Configurations.
    (
        "Adaptive pool MPS: input sizes must be divisible by output sizes, got 7 and 3. For now, you can manually transfer tensor to cpu in this case",
        Some(("mps", UnsupportedConfig)),
    ),
    ("LSTM with projections is not currently supported with MPS.", Some(("mps", UnsupportedConfig))),
    ("linalg.lu_factor_ex(): MPS doesn't allow pivot == False.", Some(("mps", UnsupportedConfig))),
    ("Conv_transpose3d is only supported on MPS for MacOS_15_1 or newer", Some(("mps", UnsupportedConfig))),
    ("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH", Some(("cuda", UnsupportedConfig))),
    ("FIND was unable to find an engine to execute this computation", Some(("cuda", UnsupportedConfig))),
    // Sizes.
    ("Invalid buffer size: 72.00 GiB", Some(("mps", SizeLimit))),
    ("MPSGraph does not support tensor dims larger than INT_MAX", Some(("mps", SizeLimit))),
    ("histogramdd(): Tensor is larger than 2147483647 elements", Some(("mps", SizeLimit))),
    ("MPS supports tensors with dimensions <= 16, but got 23.", Some(("mps", SizeLimit))),
    (
        "Output channels > 65536 not supported at the MPS device. As a temporary fix, you can set the environment variable",
        Some(("mps", SizeLimit)),
    ),
    // Memory.
    (
        "MPS backend out of memory (MPS allocated: 61.02 GiB, other allocations: 384.00 KiB, max allowed: 63.65 GiB). Tried to allocate 512 bytes on shared pool.",
        Some(("mps", OutOfMemory)),
    ),
    (
        "CUDA out of memory. Tried to allocate 1.17 TiB. GPU 3 has a total capacity of 39.39 GiB of which 12.81 MiB is free.",
        Some(("cuda", OutOfMemory)),
    ),
    ("HIP out of memory. Tried to allocate 64.00 MiB. GPU 0 has a total capacity of 15.98 GiB", Some(("cuda", OutOfMemory))),
    ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasLtCreate(&handle)`", Some(("cuda", OutOfMemory))),
    (
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 400000000000 bytes. Error code 12 (Cannot allocate memory)",
        None,
    ),
    // Places.
    (
        "Expected all tensors to be on the same device, but found at least two devices, cuda:1 and cuda:0! (when checking argument for argument mat2 in method wrapper_CUDA_bmm)",
        Some(("cuda", DeviceMismatch)),
    ),
    (
        "Expected all tensors to be on the same device, but got tensors is on mps:0, different from other tensors on cpu (when checking argument in method wrapper_MPS_cat)",
        Some(("mps", DeviceMismatch)),
    ),
    ("Passed CPU tensor to MPS op `gather`", Some(("mps", DeviceMismatch))),
    ("Input type (MPSBFloat16Type) and weight type (CPUBFloat16Type) should be the same", Some(("mps", DeviceMismatch))),
    ("Input type (torch.cuda.HalfTensor) and weight type (torch.HalfTensor) should be the same", Some(("cuda", DeviceMismatch))),
    ("Input type (MPSLongType) and weight type (MPSFloatType) should be the same", None),
    ("Expected a 'cuda:1' generator device but found 'cpu'", Some(("cuda", GeneratorMismatch))),
    ("Expected a 'cpu' generator device but found 'mps:0'", None),
    // Bugs of the backend, its kernels and libraries.
    (
        "[srcBuf length] > 0 INTERNAL ASSERT FAILED at \"/Users/runner/work/pytorch/pytorch/pytorch/aten/src/ATen/native/mps/OperationUtils.mm\":551, please report a bug to PyTorch. Placeholder tensor is empty!",
        Some(("mps", BackendInternal)),
    ),
    (
        "block->ptr INTERNAL ASSERT FAILED at \"/pytorch/c10/cuda/CUDACachingAllocator.cpp\":420, please report a bug to PyTorch.",
        Some(("cuda", BackendInternal)),
    ),
    (
        "isTuple() INTERNAL ASSERT FAILED at \"/pytorch/aten/src/ATen/core/ivalue_inl.h\":1930, please report a bug to PyTorch. Expected Tuple but got MPS",
        None,
    ),
    ("Failed to create metal library for bitonic_sort, error: Error Domain=MTLLibraryErrorDomain Code=2", Some(("mps", KernelBuild))),
    ("Failed to created pipeline state object, error: Compiler encountered an internal error", Some(("mps", KernelBuild))),
    ("nvrtc: error: invalid value for --gpu-architecture (-arch)", Some(("cuda", KernelBuild))),
    ("cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate(handle)`", Some(("cuda", LibraryError))),
    ("CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasGemmEx( handle, opa, opb, m, n, k)`", Some(("cuda", LibraryError))),
    // No device.
    ("PyTorch is not linked with support for hip devices", Some(("cuda", BackendUnavailable))),
    ("The NVIDIA driver on your system is too old (found version 9010). Please update your GPU driver", Some(("cuda", BackendUnavailable))),
    (
        "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might be asynchronously reported",
        Some(("cuda", BackendUnavailable)),
    ),
    // The end.
    (
        "CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might be asynchronously reported at some other API call",
        Some(("cuda", Poisoned)),
    ),
    (
        "CUDA error: the launch timed out and was terminated\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1",
        Some(("cuda", Poisoned)),
    ),
    ("CUDA error: misaligned address", Some(("cuda", Poisoned))),
    (
        "NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.hpp:275, unhandled system error, NCCL version 2.21.5",
        Some(("cuda", Collective)),
    ),
    ("[Rank 3] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=17, OpType=ALLREDUCE)", Some(("cuda", Collective))),
    ("CUDA error: operation not permitted when stream is capturing\nCUDA kernel errors", Some(("cuda", StreamCapture))),
    // MPS, as libtorch 2.13 has them.
    ("Not implemented for long on MPS", Some(("mps", UnsupportedDtype))),
    ("linalg.lu_factor(): MPS only supports floats.", Some(("mps", UnsupportedDtype))),
    ("frac_out_mps is only implemented for floating types", Some(("mps", UnsupportedDtype))),
    ("mps_linear_backward: unsupported weights data type: Long", Some(("mps", UnsupportedDtype))),
    ("random_mps handles only integral, floating-point and boolean types", Some(("mps", UnsupportedDtype))),
    ("Tiling of batch matmul for larger than 2**32 entries only available from MacOS15 onwards", Some(("mps", SizeLimit))),
    ("unfold_backward_mps :Only up to 16-dim tensors supported", Some(("mps", SizeLimit))),
    ("scatter: tensor rank 17 exceeds Metal max of 16", Some(("mps", SizeLimit))),
    ("tensor rank 18 exceeds metal max_ndim 16", Some(("mps", SizeLimit))),
    ("MPS backend is only supported on devices with unified memory", Some(("mps", BackendUnavailable))),
    ("Failed to load metallib from /tmp/kernels.metallib", Some(("mps", KernelBuild))),
    ("linalg_qr: MPS kernel failed with error code 3", Some(("mps", BackendInternal))),
    ("Failed to allocate memory on MPS device", Some(("mps", OutOfMemory))),
    ("add: expected 'other' to be an MPS tensor, got cpu", Some(("mps", DeviceMismatch))),
    ("mul: expected 'self' to be MPS, but got cpu", Some(("mps", DeviceMismatch))),
    ("lerp: expected 'weight' to be on MPS, got cpu", Some(("mps", DeviceMismatch))),
    ("both inputs must be on MPS device", Some(("mps", DeviceMismatch))),
    ("Tensor is not on the MPS device.", Some(("mps", DeviceMismatch))),
    ("found_inf must be a MPS tensor.", Some(("mps", DeviceMismatch))),
    ("grad_scale must be a CUDA tensor.", Some(("cuda", DeviceMismatch))),
    // CUDA, as libtorch 2.13 and its libraries have them.
    (
        "CUDNN_BACKEND_TENSOR_DESCRIPTOR cudnnFinalize failedptrDesc->finalize() cudnn_status: CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED",
        Some(("cuda", LibraryError)),
    ),
    ("CUDNN_BACKEND_OPERATION: cudnnFinalize Failed cudnn_status: CUDNN_STATUS_NOT_SUPPORTED", Some(("cuda", UnsupportedConfig))),
    ("CUDA NVRTC error: NVRTC_ERROR_COMPILATION", Some(("cuda", KernelBuild))),
    ("\"upsample_bilinear2d_out_frame\" not implemented for 'Byte'", Some(("cuda", UnsupportedDtype))),
    ("\"avg_pool3d_out_frame\" not implemented for 'Bool'", None),
    ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", Some(("cuda", OutOfMemory))),
    ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasLtCreate(&handle)`", Some(("cuda", OutOfMemory))),
    ("addmm: computation on CUDA is not implemented for Strided + SparseBsr @ SparseBsc", Some(("cuda", UnsupportedConfig))),
    (
        "Sparse operations with CUDA tensors of BFloat16 type are not supported on GPUs with compute capability < 8.0",
        Some(("cuda", UnsupportedDtype)),
    ),
    ("CUDA Tensors cannot have more than 25 dimensions", Some(("cuda", SizeLimit))),
    // The program's own.
    ("mat1 and mat2 shapes cannot be multiplied (64x128 and 256x10)", None),
    ("The size of tensor a (7) must match the size of tensor b (8) at non-singleton dimension 1", None),
    (
        "one of the variables needed for gradient computation has been modified by an inplace operation: [MPSHalfType [16, 4]], which is output 0 of ReluBackward0, is at version 1; expected version 0 instead.",
        None,
    ),
    ("index 12 is out of bounds for dimension 0 with size 5", None),
    ("element 0 of tensors does not require grad and does not have a grad_fn", None),
    ("open file failed because of errno 2 on fopen: No such file or directory, file path: /data/CUDA error: misaligned address/w.pt", None),
    (
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got MPSHalfType instead (while checking arguments for embedding)",
        None,
    ),
];

fn found(of: &str) -> Option<(&'static str, Class)> {
    text(of).map(|fault| (backend(&fault), fault.class))
}

/// As tch shows it, panics with it, and as programs wrap it, with and without frames.
fn wrapped(head: &str) -> Vec<String> {
    let full = format!("{head}{FRAMES}");
    vec![
        head.to_owned(),
        full.clone(),
        format!("Internal torch error: {full}"),
        format!("called `Result::unwrap()` on an `Err` value: Torch({full:?})"),
        format!("the actor's loss in epoch 7: Torch({full:?})"),
        format!("step failed: Internal torch error: {head}"),
        format!("called `Result::unwrap()` on an `Err` value: Torch(Torch({full:?}))"),
        format!("called `Result::unwrap()` on an `Err` value: LibTorch(\n    Torch(\n        {full:?},\n    ),\n)"),
        format!(
            "called `Result::unwrap()` on an `Err` value: the step failed\n\nCaused by:\n    Internal torch error: {}",
            full.replace('\n', "\n    ")
        ),
        format!("called `Result::unwrap()` on an `Err` value: Loss {{ step: 3, cause: Torch({head:?}) }}"),
        format!(
            "Internal torch error: The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent call \
             last):\n  File \"code/model.py\", line 7, in forward\n    x = torch.mm(x, w)\nRuntimeError: {head}"
        ),
    ]
}

#[test]
fn fresh_texts_are_read_by_their_templates_in_every_wrapping() {
    let mut wrong = Vec::new();
    for (head, expected) in TEXTS {
        wrong.extend(
            wrapped(head).into_iter().filter(|form| found(form) != *expected).map(|form| format!("{:?} of {form:.160}", found(&form))),
        );
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_fresh_texts_are_none_of_the_labelled_set() {
    let known: Vec<&str> = TEXTS.iter().map(|(head, _)| *head).filter(|head| rows().iter().any(|row| row.text.starts_with(head))).collect();
    assert_eq!(known, [""; 0]);
    assert!(TEXTS.len() >= 60, "{}", TEXTS.len());
}
