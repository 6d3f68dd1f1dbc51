//! The only room that names tch: devices, storages, versions and thread state, as the fallback needs them.
//!
//! Nothing here reads what libtorch says in an error, and nothing here decides.

mod conv;
mod layers;
mod layout;
mod names;
mod optimizer;
mod raw;
mod thread;
mod tied;

use std::error::Error;

pub(crate) use layout::Layout;
pub(crate) use names::{is_named, is_named_for_tensors, names_an_optimizer};
pub(crate) use optimizer::{clear_gradients, give_gradient, is_optimizers};
pub(crate) use raw::{accelerator, identity, is_defined, requires_grad, take_error, version, version_or_error};
pub use tch::nn::{VarStore, Variables};
pub use tch::{Device, Kind, TchError, Tensor};
pub(crate) use thread::{Autocast, has_cuda, record_gradients, records_gradients, with_gradients, without_gradients};
pub(crate) use tied::{Passes, counted, tied, tied_once};

/// The name of a device in events, metrics and messages.
pub(crate) fn label(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Mps => "mps".to_owned(),
        Device::Vulkan => "vulkan".to_owned(),
    }
}

/// Whether gradients of this tensor accumulate in the tensor itself.
#[inline]
pub(crate) fn is_trained_leaf(tensor: &Tensor) -> bool {
    requires_grad(tensor) && tensor.is_leaf()
}

/// The gradient that accumulates in the tensor; `None` where there is none.
#[inline]
pub(crate) fn gradient_of(tensor: &Tensor) -> Option<Tensor> {
    if is_trained_leaf(tensor) { Some(tensor.grad()).filter(Tensor::defined) } else { None }
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
    // What `to` and `copy` end in, without their way there. libtorch makes it below what records gradients.
    tensor.f_internal_to_copy((tensor.f_kind()?, accelerator(tensor).unwrap_or(Device::Cpu)), false)
}

/// Overwrites the values of `target`, which keeps its identity, device and place in graphs.
pub(crate) fn overwrite(target: &Tensor, source: &Tensor) -> Result<(), TchError> {
    without_gradients(|| target.shallow_clone().f_copy_(&source.f_detach()?))
}

/// Overwrites the values of `target` by those that it had before: the memory that an expanded tensor shows many times is written once.
pub(crate) fn put_back(target: &Tensor, before: &Tensor) -> Result<(), TchError> {
    let Some(layout) = Layout::of(target) else { return overwrite(target, before) };
    let once = |tensor: &Tensor| {
        let repeated = (0_i64..).zip(&layout.stride).filter(|(_, stride)| **stride == 0);
        repeated
            .filter(|(axis, _)| tensor.size()[*axis as usize] > 1)
            .try_fold(tensor.shallow_clone(), |one, (axis, _)| one.f_narrow(axis, 0, 1))
    };
    let (target, before) = without_gradients(|| Ok::<_, TchError>((once(target)?, once(before)?)))?;
    overwrite(&target, &before)
}

/// Whether two tensors hold the same values; NaN is a value too, as in a series with gaps.
pub(crate) fn same_values(one: &Tensor, other: &Tensor) -> Result<bool, TchError> {
    let may_be_nan = || one.size() == other.size() && one.is_floating_point() && one.f_kind().ok() == other.f_kind().ok();
    Ok(one.f_equal(other)? || may_be_nan() && one.f_allclose(other, 0.0, 0.0, true)?)
}

/// Whether a tensor has other values than this copy. What is written without being counted, as running statistics are, and what is written
/// through `data()`, only shows in the values. They are compared on the CPU, which can; forms of tensors that cannot be compared are written in
/// counted ways alone.
pub(crate) fn has_changed(tensor: &Tensor, before: &Tensor) -> Result<bool, TchError> {
    Ok(!same_values(&to_device(tensor, Device::Cpu)?, &to_device(before, Device::Cpu)?)?)
}

/// Asks the device for an answer: one element is made there and read back.
///
/// # Errors
///
/// The device gives none, or has no memory left.
pub(crate) fn asked(device: Device) -> Result<(), TchError> {
    let read = Tensor::f_zeros([1], (Kind::Float, device)).and_then(|one| to_device(&one, Device::Cpu));
    read.map(drop)
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

/// The text of a libtorch error behind this one: its own, or that of one which it shows as itself.
pub(crate) fn told(error: &(dyn Error + 'static)) -> Option<String> {
    match error.downcast_ref::<TchError>() {
        Some(TchError::Torch(text)) => Some(text.clone()),
        Some(_) => None,
        None => error.to_string().strip_prefix("Internal torch error: ").map(str::to_owned),
    }
}
