//! Texts of the same templates as those of the set, texts that only look like them, and what is read off a text.

use super::super::{Backend, Class, text};
use super::FRAMES;

/// Assembled from templates of PyTorch's sources, none of them a row of the set.
#[test]
fn texts_of_the_same_templates_are_recognised() {
    let mps = [
        ("avg_pool3d is only supported on MPS for MacOS_13_2 or newer", Class::UnsupportedConfig),
        ("avg_pool3d: Dilation > 1 not supported in MPS backend", Class::UnsupportedConfig),
        ("only strided tensors are supported on MPS", Class::UnsupportedConfig),
        ("LSTM with projections is not currently supported with MPS.", Class::UnsupportedConfig),
        ("lu_factor(): MPS doesn't allow pivot == False.", Class::UnsupportedConfig),
        ("ConvTranspose 3D with BF16 or FP16 types is not supported on MPS", Class::UnsupportedConfig),
        ("softmax not implemented on MPS for Half", Class::UnsupportedDtype),
        ("float64 is not supported on MPS", Class::UnsupportedDtype),
        ("log_softmax for bool is not supported for MPS", Class::UnsupportedDtype),
        ("MPS does not support cumsum op with int64 input. Support has been added in macOS 13.3", Class::UnsupportedDtype),
        ("MPS: The cumprod op with int64 input is supported natively starting from macOS 13.2", Class::UnsupportedDtype),
        ("MPS supports tensors with dimensions <= 16, but got 17.", Class::SizeLimit),
        ("The MPS backend is supported on macOS 14.0+. Current OS version can be queried using `sw_vers`", Class::BackendUnavailable),
        ("Cannot execute emptyCache() without MPS backend.", Class::BackendUnavailable),
        ("Conv3D is only supported on MPS for MacOS_13_2 or newer", Class::UnsupportedConfig),
        ("_compute_linear_combination: unsupported dtype ComplexDouble on MPS, expected float", Class::UnsupportedDtype),
        ("Expected supportedFloatingType(scalar_type) to be true, but got false.", Class::UnsupportedDtype),
        ("MPS: unsupported padding mode", Class::UnsupportedConfig),
        ("masked_fill not supported for tensors of more than 2**32 elements", Class::SizeLimit),
        ("isin_Tensor_Tensor_out only works on floating types on MPS for pre MacOS_14_0. Received dtype: Long", Class::UnsupportedDtype),
        ("Trying to convert Float8_e4m3fn to the MPS backend but it does not have support for that dtype.", Class::UnsupportedDtype),
        ("\"arange_mps\" not implemented for 'Double'", Class::UnsupportedDtype),
        ("nextafter_mps_out is not yet implemented for MPS backend", Class::UnsupportedConfig),
        ("_scaled_dot_product_attention_math_for_mps: dropout_p != 0.0 is not supported", Class::UnsupportedConfig),
        ("Failed to create function state object for: add_dense", Class::KernelBuild),
        ("Expected x.is_mps() to be true, but got false.", Class::DeviceMismatch),
    ];
    let cuda = [
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", Class::OutOfMemory),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", Class::LibraryError),
        ("CUDA error: the MPS client has been terminated by the server\nCUDA kernel errors", Class::Poisoned),
        ("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", Class::OutOfMemory),
        ("CUDA error: operation would make the legacy stream depend on a capturing blocking stream", Class::StreamCapture),
        ("NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1275, unhandled cuda error", Class::Collective),
        ("torch.cat(): all input tensors must be on the same device. Received cuda:0 and cpu", Class::DeviceMismatch),
        (
            "nonzero is not supported for tensors with more than INT_MAX elements, See https://github.com/pytorch/pytorch/issues/51871",
            Class::SizeLimit,
        ),
        ("Allocation on device 0 would exceed allowed memory. (out of memory)\nCurrently allocated", Class::OutOfMemory),
        ("cuDNN Frontend error: [cudnn_frontend] Error: No execution plans support the graph.", Class::UnsupportedConfig),
        ("Capture must end on the same stream it began on.", Class::StreamCapture),
        (
            "Tensor for argument #2 'mat1' is on CPU, but expected it to be on GPU (while checking arguments for addmm)",
            Class::DeviceMismatch,
        ),
        (
            "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent call last):\n  File \"on MPS\"\nRuntimeError: CUDA error: an illegal memory access was encountered",
            Class::Poisoned,
        ),
    ];
    let classes = |set: &[(&'static str, Class)], backend| -> Vec<String> {
        let right = |text: &str, class| super::text(text).is_some_and(|fault| (fault.backend, fault.class) == (backend, class));
        set.iter().filter(|(text, class)| !right(text, *class)).map(|(text, _)| format!("{:?}: {text}", super::text(text))).collect()
    };
    let wrong = [classes(&mps, Backend::Mps), classes(&cuda, Backend::Cuda)].concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_that_only_look_like_faults_are_none() {
    let innocent = [
        "MPS is not supported by this model",
        "not implemented: rope() on MPS",
        "assertion `left == right` failed: unsupported on MPS",
        "compiling a shader is only supported on MPS",
        "The operator 'aten::nonzero' is not currently supported on the MPS backend and will fall back to run on the CPU.",
        "MPS: no support for int64 min/max ops, casting it to int32",
        "reply: CUDA out of memory is listed as a known error code",
        "bernoulli_mps_ expects p to be in [0, 1], but got p=1.5",
        "Input type (CUDAFloatType) and weight type (CUDAHalfType) should be the same",
        "A INTERNAL ASSERT FAILED at \"../aten/src/ATen/native/Resize.cpp\":12, please report a bug to PyTorch.",
        "Could not run 'aten::cumsum' with arguments from the 'SparseCPU' backend. [CPU, CUDA, MPS, AutogradMPS]",
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got MPSFloatType instead",
        "open file failed because of errno 2 on fopen, file path: /data/unsupported on MPS/model_mps.pt",
        "",
    ];
    for text in innocent {
        assert_eq!(super::text(text), None, "{text}");
    }
}

#[test]
fn frames_and_paths_never_decide() {
    for head in ["mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", "index 7 is out of bounds for dimension 0 with size 5"] {
        assert_eq!(text(&format!("{head}{FRAMES}")), None);
        assert_eq!(text(&format!("{head}\nframe #0: softmax is not supported on MPS")), None);
    }
}

#[test]
fn what_the_text_names_is_read_off() {
    let of = |head: &str| text(head).expect("a fault");
    assert_eq!(of("Invalid buffer size: 19.45 GB").sizes.as_deref(), Some("19.45 GB"));
    let full = "MPS backend out of memory (MPS allocated: 8 GB, other allocations: 1 MB, max allowed: 9.07 GB). Tried to allocate 6.25 MB on private pool.";
    assert_eq!(of(full).sizes.as_deref(), Some("6.25 MB"));
    assert_eq!(of("CUDA out of memory. Tried to allocate 22.00 MiB. GPU 0 has").sizes.as_deref(), Some("22.00 MiB"));
    let half = of("\"erfinv_cuda\" not implemented for 'BFloat16'");
    assert_eq!((half.operator.as_deref(), half.dtype.as_deref()), (Some("erfinv_cuda"), Some("BFloat16")));
    assert_eq!(
        of("Trying to convert ComplexFloat to the MPS backend but it does not have support for that dtype.").dtype.as_deref(),
        Some("ComplexFloat")
    );
    let factor = of("linalg.lu_factor(): MPS doesn't support complex types.");
    assert_eq!((factor.operator.as_deref(), factor.dtype.as_deref()), (Some("linalg.lu_factor"), Some("complex")));
    assert!(of(&format!("Invalid buffer size: {}", "9".repeat(10_000))).reason.chars().count() <= 301);
}

#[test]
fn only_hopeless_classes_are_not_retried() {
    let hopeless: Vec<Class> = Class::ALL.into_iter().filter(|class| !class.retry()).collect();
    assert_eq!(hopeless, [Class::Poisoned, Class::Collective, Class::StreamCapture]);
}
