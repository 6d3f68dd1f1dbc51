//! A simulated MPS device in libtorch's dispatcher, for tests without a Mac.
//!
//! On Linux a small C++ library registers a backend under libtorch's MPS key: tensors live in host memory, say that they are on
//! [`tch::Device::Mps`], and go through the real dispatcher, the real autograd, the real optimizers. What the device computes is
//! bit for bit what the CPU computes, so a test can compare a run that fell back with one that never left the CPU.
//!
//! ```
//! use sim_mps::Orders;
//! use tch::{Device, Kind, Tensor};
//!
//! # if sim_mps::load().is_err() { return }
//! let orders = Orders::take().unwrap();
//! let a = Tensor::ones([2, 2], (Kind::Float, Device::Mps));
//! assert_eq!((&a + 1).device(), Device::Mps);
//!
//! orders.unimplemented("aten::mm").unwrap();
//! let error = a.f_mm(&a).unwrap_err().to_string();
//! assert!(error.contains("The operator 'aten::mm.out' is not currently implemented for the MPS device."));
//! assert_eq!(sim_mps::counts().raised, 1);
//! ```
//!
//! Tests give orders through [`Orders`], one test at a time; anybody may read [`counts()`]. [`text`] holds the real backend's words.
//!
//! # What counts as an operator
//!
//! Every kernel that the dispatcher runs under the MPS key, counted as it is entered, on whatever thread: allocations
//! (`aten::empty.memory_format`, `aten::empty_strided`), copies, views made by a backend kernel, reads of one number
//! (`aten::_local_scalar_dense`) and arithmetic. Composite operators count by their parts. libtorch runs most arithmetic as an allocation
//! followed by the `out` form, so `a + b` counts twice and reaches the device as `aten::add.out`; on a Mac it is one kernel. What a CPU
//! kernel does inside does not count. Failing at each operator in turn therefore visits every point at which the real backend can raise,
//! and more.
//!
//! # What it cannot show
//!
//! - **Asynchrony**: every call is finished when it returns. Errors that a real device reports at the next synchronisation come at once.
//! - **The end of the process**: Metal's assertions, Objective-C exceptions and crashes on mixed devices. Nothing here aborts.
//! - **Memory pressure**: the limit is a number in an order. There is no cache, no rounding to pages, no unified memory to run short of.
//! - **Metal's numerics**: no fast-math, no other order of sums, none of the real backend's wrong results. Random numbers come from a
//!   generator of the device's own, but the algorithm is the CPU's, so a seed gives the CPU's numbers.
//! - **Limits of its own**: of what MPS refuses only float64 (tensors, not scalars) and mixed placement are refused unasked; other dtypes,
//!   sizes and configurations fail only when ordered. There are no sparse or quantized tensors on the device, and which
//!   operators a Mac lacks is not known here.
//! - **Choices made above the dispatcher**: a few composites pick their algorithm by device before any kernel is asked (recurrent layers, flash
//!   attention on the CPU). They run here in their plain form, and agree with the CPU but for rounding.
//! - **A choice of tch's own**: formatting a small tensor on MPS panics, here and on a Mac, because tch converts it to float64 first.
//!
//! # Elsewhere
//!
//! On a Mac the real device is there, and elsewhere there is none: [`load`] and [`Orders::take`] answer [`Unavailable`].

mod counts;
#[cfg_attr(not(target_os = "linux"), path = "ffi/absent.rs")]
mod ffi;
mod orders;
pub mod text;

pub use counts::{Counts, counts};
pub use orders::{Orders, UnknownOperator};

/// Makes the device known to libtorch. Calling it again does nothing.
///
/// The registration itself happens as the program starts, before the first `backward()` sizes libtorch's threads; this call is what keeps
/// it in the binary.
///
/// # Errors
///
/// [`Unavailable`] where there is no simulator: see the crate's page.
///
/// # Examples
///
/// ```
/// use tch::{Device, Tensor};
///
/// match sim_mps::load() {
///     Ok(()) => assert_eq!(Tensor::from_slice(&[1f32, 2.0]).to_device(Device::Mps).device(), Device::Mps),
///     Err(unavailable) => assert!(!cfg!(target_os = "linux"), "{unavailable}"),
/// }
/// ```
pub fn load() -> Result<(), Unavailable> {
    ffi::load()
}

/// There is no simulated device on this platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the simulated MPS device is built on Linux only: on a Mac use the real one, `tch::Device::Mps`")
    }
}

impl std::error::Error for Unavailable {}
