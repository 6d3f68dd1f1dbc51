//! What the device has counted.

use crate::ffi;

/// What the device did since the orders were last taken or reset, by every thread of the process.
///
/// # Examples
///
/// ```
/// use tch::{Device, Kind, Tensor};
///
/// # if sim_mps::load().is_err() { return }
/// let orders = sim_mps::Orders::take().unwrap();
/// let a = Tensor::from_slice(&[1f32, 2.0]).to_device(Device::Mps);
/// let before = sim_mps::counts();
/// assert_eq!((before.dispatched, before.to_device), (2, 1), "an allocation and a copy");
///
/// let _ = a.sum(Kind::Float).double_value(&[]);
/// assert_eq!(sim_mps::counts().from_device, 1);
/// # drop(orders);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counts {
    /// Operators that the dispatcher ran under the MPS key, failed ones included; the crate's page says what counts as one.
    pub dispatched: u64,
    /// Errors that orders raised: at least 1 after a test whose fault really struck.
    pub raised: u64,
    /// Copies from the host to the device.
    pub to_device: u64,
    /// Copies from the device to the host, and reads of a single number.
    pub from_device: u64,
    /// Bytes of device memory in use now. Not reset by anything.
    pub live_bytes: u64,
}

impl Counts {
    /// Copies in either direction.
    #[must_use]
    pub fn copies(&self) -> u64 {
        self.to_device + self.from_device
    }
}

/// The counters as they stand; all zero where there is no simulated device.
#[must_use]
pub fn counts() -> Counts {
    ffi::counts()
}
