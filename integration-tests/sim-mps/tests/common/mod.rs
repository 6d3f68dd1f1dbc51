//! What the tests of the simulated device share.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use tch::{Device, Kind, Tensor};

/// Whether two tensors hold the same bits, wherever they are.
pub fn same_bits(a: &Tensor, b: &Tensor) -> bool {
    let (a, b) = (a.to_device(Device::Cpu), b.to_device(Device::Cpu));
    a.kind() == b.kind() && a.size() == b.size() && bits(&a) == bits(&b)
}

fn bits(tensor: &Tensor) -> Vec<u8> {
    let flat = tensor.detach().contiguous().view([-1]);
    let mut bytes = vec![0; flat.numel() * flat.kind().elt_size_in_bytes()];
    flat.copy_data_u8(&mut bytes, flat.numel());
    bytes
}

/// Numbers that look random and are the same everywhere.
pub fn numbers(shape: &[i64]) -> Tensor {
    let count: i64 = shape.iter().product();
    (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 12.9898).sin().reshape(shape)
}
