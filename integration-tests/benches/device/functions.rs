//! What is measured, with the attribute and without.

use backstop::{Migrate, safe_mps_op};
use tch::{Device, Kind, TchError, Tensor, nn};

type Product = Result<Tensor, TchError>;

pub fn bare(a: &Tensor, b: &Tensor, _c: &Tensor) -> Product {
    a.f_matmul(b)
}

#[safe_mps_op]
pub fn guarded(a: &Tensor, b: &Tensor, _c: &Tensor) -> Product {
    a.f_matmul(b)
}

/// What [`with_snapshot`] does while nothing fails, by hand.
pub fn with_copies(a: &Tensor, b: &Tensor, c: &Tensor) -> Product {
    let _copies = [copy(a, Device::Mps)?, copy(b, Device::Mps)?, copy(c, Device::Mps)?];
    bare(a, b, c)
}

#[safe_mps_op(snapshot)]
pub fn with_snapshot(a: &Tensor, b: &Tensor, _c: &Tensor) -> Product {
    a.f_matmul(b)
}

/// Does nothing, so that nothing hides what is around it.
#[safe_mps_op]
pub fn empty(_a: &Tensor, _b: &Tensor, _c: &Tensor) -> Result<(), TchError> {
    Ok(())
}

/// What [`empty_with_snapshot`] does, by hand: the copies live until the end.
pub fn three_copies(a: &Tensor, b: &Tensor, c: &Tensor) -> Result<(), TchError> {
    let _copies = [copy(a, Device::Mps)?, copy(b, Device::Mps)?, copy(c, Device::Mps)?];
    Ok(())
}

#[safe_mps_op(snapshot)]
pub fn empty_with_snapshot(_a: &Tensor, _b: &Tensor, _c: &Tensor) -> Result<(), TchError> {
    Ok(())
}

/// Always on the CPU, by the policy beside this program.
#[safe_mps_op]
pub fn straight(a: &Tensor, b: &Tensor) -> Product {
    a.f_matmul(b)
}

/// What [`straight`] does, by hand.
pub fn by_hand(a: &Tensor, b: &Tensor) -> Product {
    let (a, b) = (a.f_to_device(Device::Cpu)?, b.f_to_device(Device::Cpu)?);
    a.f_matmul(&b)?.f_to_device(Device::Mps)
}

/// Never sent straight to the CPU, so that each call fails on the device first.
#[safe_mps_op]
pub fn failing(a: &Tensor, b: &Tensor) -> Product {
    a.f_matmul(b)
}

#[derive(Migrate)]
pub struct Module {
    pub layers: Vec<nn::Linear>,
}

/// Always on the CPU, by the policy beside this program; moves its argument and does nothing.
#[safe_mps_op]
pub fn moved(module: &Module) -> Result<usize, TchError> {
    Ok(module.layers.len())
}

/// What [`moved`] does, by hand: all copies live until the end.
pub fn copies(module: &Module) -> Result<Vec<Tensor>, TchError> {
    let tensors = module.layers.iter().flat_map(|layer| std::iter::once(&layer.ws).chain(&layer.bs));
    tensors.map(|tensor| copy(tensor, Device::Cpu)).collect()
}

fn copy(tensor: &Tensor, device: Device) -> Product {
    tensor.f_to_device_(device, Kind::Float, false, true)
}
