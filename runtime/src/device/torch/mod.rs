//! The only room that names tch: devices, storages, versions and thread state, as the fallback needs them.
//!
//! Nothing here reads error text, and nothing here decides.

mod layers;
mod optimizer;

use std::any::Any;
use std::ffi::{c_char, c_int};

pub(crate) use optimizer::{clear_gradients, give_gradient};
pub use tch::nn::VarStore;
pub use tch::{Device, Kind, TchError, Tensor};

/// The name of a device in events, metrics and messages.
pub(crate) fn label(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Mps => "mps".to_owned(),
        Device::Vulkan => "vulkan".to_owned(),
    }
}

/// The accelerator that holds the tensor; `None` for the CPU and for undefined tensors, which have no device.
#[inline]
pub(crate) fn accelerator(tensor: &Tensor) -> Option<Device> {
    if !tensor.defined() {
        return None;
    }
    match tensor.device() {
        Device::Cpu => None,
        device => Some(device),
    }
}

/// What makes a tensor that tensor: the same for its shallow clones, another for its views.
#[inline]
pub(crate) fn identity(tensor: &Tensor) -> usize {
    // SAFETY: the handle points to a live `at::Tensor`, which is one pointer: that to its implementation. It is only compared.
    unsafe { *tensor.as_ptr().cast::<usize>() }
}

/// The counter of in-place changes; `None` where the tensor has none (inference tensors).
#[inline]
pub(crate) fn version(tensor: &Tensor) -> Option<i64> {
    tensor.f_internal_version().ok()
}

/// Whether gradients of this tensor accumulate in the tensor itself.
pub(crate) fn is_trained_leaf(tensor: &Tensor) -> bool {
    tensor.defined() && tensor.requires_grad() && tensor.is_leaf()
}

/// Moves a tensor, differentiably where gradients are recorded.
///
/// # Errors
///
/// As libtorch raises them: the device may refuse the dtype, or have no memory.
pub(crate) fn to_device(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    tensor.f_to_device_(device, tensor.f_kind()?, false, false)
}

/// A copy on a device, with a storage of its own also where the tensor is there already; differentiable as [`to_device`] is.
pub(crate) fn copy_to(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    tensor.f_to_device_(device, tensor.f_kind()?, false, true)
}

/// A copy with a storage of its own on the same device, without a gradient.
pub(crate) fn duplicate(tensor: &Tensor) -> Result<Tensor, TchError> {
    let copy = |of: &Tensor| of.f_to_device_(of.device(), of.f_kind()?, false, true);
    // Detaching costs as much as a small copy.
    if tensor.requires_grad() { copy(&tensor.f_detach()?) } else { copy(tensor) }
}

/// Overwrites the values of `target`, which keeps its identity, device and place in graphs.
pub(crate) fn overwrite(target: &Tensor, source: &Tensor) -> Result<(), TchError> {
    without_gradients(|| target.shallow_clone().f_copy_(&source.f_detach()?))
}

/// Whether two tensors hold the same values. NaN differs from everything, which errs on the side of writing.
pub(crate) fn same_values(one: &Tensor, other: &Tensor) -> Result<bool, TchError> {
    one.f_equal(other)
}

/// Where a strided tensor lies in its storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) device: Device,
    pub(crate) kind: Kind,
    /// The address of the storage's first element: equal roots, one storage.
    pub(crate) root: usize,
    /// In elements.
    pub(crate) offset: i64,
    pub(crate) size: Vec<i64>,
    pub(crate) stride: Vec<i64>,
}

impl Layout {
    /// `None` for tensors without a plain storage: undefined, empty, sparse, quantized, mkldnn, conjugated and negated ones.
    pub(crate) fn of(tensor: &Tensor) -> Option<Self> {
        if !tensor.defined() || tensor.is_sparse() || tensor.is_mkldnn() {
            return None;
        }
        let kind = tensor.f_kind().ok()?;
        if matches!(kind, Kind::QInt8 | Kind::QUInt8 | Kind::QInt32) || tensor.is_conj() || tensor.is_neg() {
            return None;
        }
        let address = data_address(tensor)?;
        let offset = tensor.storage_offset();
        let root = address.wrapping_sub(usize::try_from(offset).ok()?.wrapping_mul(kind.elt_size_in_bytes()));
        Some(Self { device: tensor.device(), kind, root, offset, size: tensor.size(), stride: tensor.stride() })
    }

    /// One past the last element that the tensor can reach, from the storage's first element.
    pub(crate) fn end(&self) -> i64 {
        self.offset + 1 + self.size.iter().zip(&self.stride).map(|(size, stride)| (size - 1) * stride).sum::<i64>()
    }

    /// Whether this is the same view as `other`, of a storage that begins `start` elements later.
    pub(crate) fn is_shifted(&self, other: &Self, start: i64) -> bool {
        self.offset == other.offset + start && self.size == other.size && self.stride == other.stride && self.kind == other.kind
    }

    /// How many elements the tensor shows.
    pub(crate) fn elements(&self) -> i64 {
        self.size.iter().product()
    }
}

/// The address of the first element; `None` where libtorch has none to give (no storage, or empty).
fn data_address(tensor: &Tensor) -> Option<usize> {
    unsafe extern "C" {
        fn free(text: *mut c_char);
    }
    // SAFETY: the handle is live for the length of the borrow, and reading the address changes nothing behind it. The error
    // that libtorch may have left is taken and freed with the C allocator that made it, as tch does after each of its calls.
    unsafe {
        let address = torch_sys::at_data_ptr(tensor.as_ptr().cast_mut()) as usize;
        let error = torch_sys::get_and_reset_last_err();
        if !error.is_null() {
            free(error);
            return None;
        }
        (address != 0).then_some(address)
    }
}

/// Whether this thread records gradients.
pub(crate) fn records_gradients() -> bool {
    let recorded = record_gradients(true);
    record_gradients(recorded);
    recorded
}

/// Switches the recording of gradients on this thread; returns how it was.
pub(crate) fn record_gradients(record: bool) -> bool {
    // SAFETY: the call sets a flag of this thread and returns the one before.
    unsafe { torch_sys::at_grad_set_enabled(c_int::from(record)) != 0 }
}

/// Runs `work` without recording gradients; the flag is as before afterwards, also after a panic.
pub(crate) fn without_gradients<T>(work: impl FnOnce() -> T) -> T {
    let _guard = tch::no_grad_guard();
    work()
}

/// The autocast flags of this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Autocast {
    nesting: c_int,
    enabled: bool,
}

impl Autocast {
    /// As they are now.
    pub(crate) fn now() -> Self {
        let nesting = nesting();
        // SAFETY: the call reads a flag of this thread. It warns of its own age, so it is only asked inside of `tch::autocast`, which asks too.
        let enabled = nesting > 0 && unsafe { torch_sys::at_autocast_is_enabled() != 0 };
        Self { nesting, enabled }
    }

    /// Puts them back, after a panic has left a `tch::autocast` half-way.
    pub(crate) fn restore(self) {
        let left = nesting() - self.nesting;
        // SAFETY: both calls change a flag of this thread, and set it to what it was.
        unsafe {
            (0..left).for_each(|_| _ = torch_sys::at_autocast_decrement_nesting());
            if left > 0 {
                torch_sys::at_autocast_set_enabled(c_int::from(self.enabled));
            }
        }
    }
}

/// How many `tch::autocast` this thread is in.
fn nesting() -> c_int {
    // SAFETY: the counter belongs to this thread, and the pair of calls leaves it as it was.
    unsafe {
        torch_sys::at_autocast_increment_nesting();
        torch_sys::at_autocast_decrement_nesting()
    }
}

/// Whether the device still answers: one element is made there and read back.
pub(crate) fn answers(device: Device) -> bool {
    let read = Tensor::f_zeros([1], (Kind::Float, device)).and_then(|one| to_device(&one, Device::Cpu));
    read.is_ok()
}

/// The text of a libtorch error, without tch's prefix.
pub(crate) fn text(error: &TchError) -> String {
    match error {
        TchError::Torch(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The error that carries `text`.
pub(crate) fn error(text: String) -> TchError {
    TchError::Torch(text)
}

/// Adds to the text of a tch error; other values are left alone.
pub(crate) fn append(error: &mut dyn Any, addition: &str) {
    if let Some(TchError::Torch(text)) = error.downcast_mut::<TchError>() {
        text.push_str(addition);
    }
}
