//! `#[safe_mps_op]` on functions of every shape: methods below `#[async_trait]`, functions that return a future, and results that borrow.
#![cfg(not(feature = "disable-decorators"))]

mod borrowed;
mod both;
mod boxed_methods;
mod futures;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backstop::{Migrate, TimeoutError, safe_mps_op, timeout_async};
use sim_mps::Orders;
use tch::{Device, Kind, TchError, Tensor};
use tokio::task::yield_now;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).reshape([-1])).unwrap()
}

/// What the functions below compute, on the CPU.
fn expected(input: &[f32]) -> Vec<f32> {
    values(&Tensor::from_slice(input).abs().sqrt())
}

const INPUT: [f32; 3] = [-2.0, 3.0, -0.1];

/// The operator that the device does not have.
fn without_abs() -> Option<Orders> {
    let orders = Orders::take().ok()?;
    orders.unimplemented("aten::abs").unwrap();
    Some(orders)
}

fn is_from_the_cpu(y: &Tensor) {
    assert_eq!((values(y), y.device()), (expected(&INPUT), Device::Mps));
}
