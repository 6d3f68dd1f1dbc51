//! What `#[safe_mps_op]` stands on without a new warning, in a crate of edition 2018 that shadows every name it can.
#![deny(warnings, missing_docs, unsafe_code, clippy::pedantic)]

use std::convert::TryFrom;
use std::future::Future;
use std::pin::Pin;

use backstop::safe_mps_op;
use sim_mps::Orders;
use tch::{Device, TchError, Tensor};

/// Names that an expansion must not take for its own.
#[allow(dead_code, non_snake_case, clippy::pedantic)]
mod shadows {
    pub struct Result;
    pub struct Option;
    pub struct String;
    pub struct Box;
    pub mod core {}
    pub mod std {}
    pub fn Ok() {}
    pub fn Some() {}
    pub fn None() {}
    pub fn returns() {}
    pub fn arguments() {}
}

/// Where all of them are in scope.
mod shadowed {
    #[allow(unused_imports, clippy::wildcard_imports)]
    use super::shadows::*;
    use super::{safe_mps_op, Future, Pin, TchError, Tensor};

    /// Plain.
    #[safe_mps_op]
    pub fn plain(x: &Tensor) -> ::std::result::Result<Tensor, TchError> {
        x.f_abs()
    }

    /// `async`.
    #[safe_mps_op]
    pub async fn later(x: &Tensor) -> ::std::result::Result<Tensor, TchError> {
        x.f_abs()
    }

    /// Returns a future.
    #[safe_mps_op]
    pub fn boxed<'a>(x: &'a Tensor) -> Pin<::std::boxed::Box<dyn Future<Output = Tensor> + 'a>> {
        ::std::boxed::Box::pin(async move { x.abs() })
    }
}

/// A trait with every kind of method.
trait Model: Sized {
    /// What it scales by.
    const SCALE: f64;

    /// With a body of its own.
    #[safe_mps_op]
    fn scaled(&self, x: &Tensor) -> Tensor {
        x.abs() * Self::SCALE
    }

    /// Consumes.
    fn closed(self, x: Tensor) -> Tensor;

    /// Returns a future.
    fn later<'a>(&'a self, x: Tensor) -> Pin<Box<dyn Future<Output = Tensor> + Send + 'a>>;
}

/// Something with methods.
#[derive(Clone, Copy)]
struct Scale(f64);

impl Model for Scale {
    const SCALE: f64 = 2.0;

    #[safe_mps_op]
    fn closed(mut self, mut x: Tensor) -> Tensor {
        self.0 += 1.0;
        x = x.abs();
        x * self.0
    }

    #[safe_mps_op]
    fn later<'a>(&'a self, x: Tensor) -> Pin<Box<dyn Future<Output = Tensor> + Send + 'a>> {
        macro_rules! factor {
            ($this:expr) => {
                $this.0
            };
        }
        Box::pin(async move { x.abs() * factor!(self) })
    }
}

/// Generic, with a labelled break, an early return, nested items and a destructured parameter.
#[safe_mps_op]
fn generic<T, const N: usize>(x: &Tensor, (factors, _): ([T; N], &str), #[allow(unused_variables)] unused: T) -> Result<Tensor, TchError>
where
    T: Into<f64> + Copy,
{
    struct Nested(f64);
    impl Nested {
        fn get(&self) -> f64 {
            self.0
        }
    }
    if N == 0 {
        return x.f_neg();
    }
    let mut at = 0;
    let sum = 'sum: {
        loop {
            if at == N {
                break 'sum Nested(factors.iter().map(|factor| (*factor).into()).sum());
            }
            at += 1;
        }
    };
    x.f_abs()?.f_mul_scalar(sum.get())
}

/// Any number of tensors that are made one by one.
#[safe_mps_op]
fn each<'a>(x: &'a Tensor, times: i64) -> impl Iterator<Item = Tensor> + 'a {
    (0..times).map(move |time| x + time)
}

/// `async`, with a parameter that a lint is about.
#[safe_mps_op]
async fn unused(x: &Tensor, #[allow(unused_variables)] factor: f64) -> Tensor {
    x.abs()
}

/// A future that captures what edition 2018 lets it.
#[safe_mps_op]
fn summed<'a>(x: &'a Tensor, others: &'a [Tensor]) -> impl Future<Output = Tensor> + 'a {
    async move { others.iter().fold(x.abs(), |sum, other| sum + other) }
}

#[tokio::test(flavor = "current_thread")]
async fn functions_of_older_editions_fall_back() {
    let Ok(orders) = Orders::take() else { return };
    let x = Tensor::from_slice(&[-1.0_f32, 2.0]).to_device(Device::Mps);
    orders.unimplemented("aten::abs").unwrap();
    let values = |tensor: &Tensor| Vec::<f32>::try_from(tensor.to_device(Device::Cpu)).unwrap();
    assert_eq!(values(&shadowed::plain(&x).unwrap()), [1.0, 2.0]);
    assert_eq!(values(&shadowed::later(&x).await.unwrap()), [1.0, 2.0]);
    assert_eq!(values(&shadowed::boxed(&x).await), [1.0, 2.0]);
    assert_eq!(values(&Scale(3.0).scaled(&x)), [2.0, 4.0]);
    assert_eq!(values(&Scale(3.0).closed(x.shallow_clone())), [4.0, 8.0]);
    assert_eq!(values(&Scale(3.0).later(x.shallow_clone()).await), [3.0, 6.0]);
    assert_eq!(values(&generic(&x, ([1.0_f32, 2.0], ""), 0.0).unwrap()), [3.0, 6.0]);
    assert_eq!(values(&unused(&x, 1.0).await), [1.0, 2.0]);
    assert_eq!(values(&summed(&x, &[x.shallow_clone()]).await), [0.0, 4.0]);
    assert_eq!(each(&x, 2).map(|y| values(&y)).collect::<Vec<_>>(), [[-1.0, 2.0], [0.0, 3.0]]);
}
