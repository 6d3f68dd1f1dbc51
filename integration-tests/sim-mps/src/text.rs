//! The real backend's words, for orders that shall raise them: MPS of PyTorch 2.13.
//!
//! ```
//! # if sim_mps::load().is_err() { return }
//! let orders = sim_mps::Orders::take().unwrap();
//! for (class, text) in sim_mps::text::retryable() {
//!     orders.reset();
//!     orders.fail_at(1, &text);
//!     let error = tch::Tensor::f_zeros([1], (tch::Kind::Float, tch::Device::Mps)).unwrap_err().to_string();
//!     assert!(error.starts_with(&format!("Internal torch error: {text}\nException raised from ")), "{class}: {error}");
//! }
//! ```

/// No kernel for this operator (with its overload, `aten::_linalg_eigh.eigenvalues`).
#[must_use]
pub fn unsupported_operator(operator: &str) -> String {
    format!(
        "The operator '{operator}' is not currently implemented for the MPS device. If you want this op to be considered for addition please \
         comment on https://github.com/pytorch/pytorch/issues/141287 and mention use-case, that resulted in missing op as well as commit hash \
         cf30153c4c131c8164ee7798e5022d810682e2cb. As a temporary fix, you can set the environment variable `PYTORCH_ENABLE_MPS_FALLBACK=1` \
         to use the CPU as a fallback for this op. WARNING: this will be slower than running natively on MPS."
    )
}

/// The allocator's limit is reached.
#[must_use]
pub fn out_of_memory() -> String {
    "MPS backend out of memory (MPS allocated: 17.94 GB, other allocations: 384.00 KB, max allowed: 18.13 GB). Tried to allocate 256.00 MB on \
     private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit for memory allocations (may cause system failure)."
        .to_owned()
}

/// A dtype that Metal has no type for.
#[must_use]
pub fn float64() -> String {
    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. Please use float32 instead.".to_owned()
}

/// A kernel that refuses a dtype which others take.
#[must_use]
pub fn unsupported_dtype() -> String {
    "MPS device does not support linear for non-float inputs".to_owned()
}

/// A kernel that refuses its parameters.
#[must_use]
pub fn unsupported_configuration() -> String {
    "Adaptive pool MPS: input sizes must be divisible by output sizes.".to_owned()
}

/// Too large for Metal.
#[must_use]
pub fn size_limit() -> String {
    "Invalid buffer size: 19.45 GB".to_owned()
}

/// Tensors of two devices in one elementwise operator.
#[must_use]
pub fn device_mismatch() -> String {
    "Expected all tensors to be on the same device, but found at least two devices, mps:0 and cpu!".to_owned()
}

/// An argument that never was on the device.
#[must_use]
pub fn placeholder() -> String {
    "Placeholder storage has not been allocated on MPS device!".to_owned()
}

/// A bug of the backend.
#[must_use]
pub fn backend_internal() -> String {
    "[srcBuf length] > 0 INTERNAL ASSERT FAILED at \"/Users/runner/work/pytorch/pytorch/aten/src/ATen/native/mps/OperationUtils.mm\":536, please \
     report a bug to PyTorch. Placeholder tensor is empty!"
        .to_owned()
}

/// A Metal kernel that could not be built.
#[must_use]
pub fn kernel_build() -> String {
    "Failed to create metal library, error: Error Domain=MTLLibraryErrorDomain Code=3".to_owned()
}

/// A mistake of the caller, raised inside the backend: no device fault.
#[must_use]
pub fn user_error() -> String {
    "bernoulli_mps_ expects p to be in [0, 1], but got p=1.5".to_owned()
}

/// One text for each class that a retry on the CPU repairs, with the class's name.
#[must_use]
pub fn retryable() -> [(&'static str, String); 8] {
    [
        ("unsupported_op", unsupported_operator("aten::_linalg_eigh.eigenvalues")),
        ("unsupported_dtype", unsupported_dtype()),
        ("unsupported_config", unsupported_configuration()),
        ("size_limit", size_limit()),
        ("out_of_memory", out_of_memory()),
        ("device_mismatch", device_mismatch()),
        ("backend_internal", backend_internal()),
        ("kernel_build", kernel_build()),
    ]
}
