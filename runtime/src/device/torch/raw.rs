//! Reads that every guarded call makes of every tensor, without the check for an error that tch makes after each: these cannot fail, or
//! say so by what they return.

use std::ffi::c_char;
use std::sync::OnceLock;

use super::{Device, Tensor};

/// What makes a tensor that tensor: the same for its shallow clones, another for its views.
#[inline]
pub(crate) fn identity(tensor: &Tensor) -> usize {
    // SAFETY: the handle points to a live `at::Tensor`, which is one pointer: that to its implementation. It is only compared.
    unsafe { *tensor.as_ptr().cast::<usize>() }
}

/// The accelerator that holds the tensor; `None` for the CPU and for undefined tensors, which have no device.
#[inline]
pub(crate) fn accelerator(tensor: &Tensor) -> Option<Device> {
    if !is_defined(tensor) {
        return None;
    }
    // SAFETY: the handle is live for the length of the borrow, and the call only reads. A defined tensor has a device, so it does not raise.
    match unsafe { torch_sys::at_device(tensor.as_ptr().cast_mut()) } {
        -1 => None,
        // As tch maps the numbers of its C functions.
        -3 => Some(Device::Vulkan),
        index => Some(usize::try_from(index).map_or(Device::Mps, Device::Cuda)),
    }
}

/// Whether the tensor is one: all undefined ones have the same identity, which is how libtorch tells them too.
#[inline]
pub(crate) fn is_defined(tensor: &Tensor) -> bool {
    static UNDEFINED: OnceLock<usize> = OnceLock::new();
    identity(tensor) != *UNDEFINED.get_or_init(|| identity(&Tensor::new()))
}

/// Whether the tensor needs a gradient; an undefined one does not.
#[inline]
pub(crate) fn requires_grad(tensor: &Tensor) -> bool {
    // SAFETY: the handle is live for the length of the borrow, and the call only reads a flag, which undefined tensors have too.
    unsafe { torch_sys::at_requires_grad(tensor.as_ptr().cast_mut()) == 1 }
}

/// The counter of in-place changes; `None` where the tensor has none (inference tensors).
#[inline]
pub(crate) fn version(tensor: &Tensor) -> Option<i64> {
    let version = version_or_error(tensor);
    // A counter at 0 looks like an error, so only then is an error looked for.
    if version == 0 && take_error() { None } else { Some(version) }
}

/// The same, and 0 where it has none: then [`take_error`] says so afterwards, once for any number of tensors.
#[inline]
pub(crate) fn version_or_error(tensor: &Tensor) -> i64 {
    // SAFETY: the handle is live for the length of the borrow, and the call only reads a counter.
    unsafe { torch_sys::c_generated::atg__version(tensor.as_ptr().cast_mut()) }
}

/// The address of the first element; `None` where libtorch has none to give (no storage, or empty).
pub(super) fn data_address(tensor: &Tensor) -> Option<usize> {
    // SAFETY: the handle is live for the length of the borrow, and reading the address changes nothing behind it.
    let address = unsafe { torch_sys::at_data_ptr(tensor.as_ptr().cast_mut()) } as usize;
    if take_error() { None } else { (address != 0).then_some(address) }
}

/// Whether a call raised since the last look; its text is dropped.
#[inline]
pub(crate) fn take_error() -> bool {
    unsafe extern "C" {
        fn free(text: *mut c_char);
    }
    // SAFETY: the text is this thread's, is given away by the call, and is freed once, with the allocator that made it, as tch does.
    unsafe {
        let error = torch_sys::get_and_reset_last_err();
        if !error.is_null() {
            free(error);
        }
        !error.is_null()
    }
}
