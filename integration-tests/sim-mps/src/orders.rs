//! Orders from tests: what the device shall refuse, and when.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Unavailable, ffi};

static TAKEN: Mutex<bool> = Mutex::new(false);
static GIVEN_BACK: Condvar = Condvar::new();

/// The right to order the device about, held by one test at a time.
///
/// Taking it resets all orders and counters, and dropping it resets them again, also when a test panics. It may move between threads and be
/// held across awaits. The device itself works without it.
///
/// # Examples
///
/// ```
/// use tch::{Device, Kind, Tensor};
///
/// # if sim_mps::load().is_err() { return }
/// {
///     let orders = sim_mps::Orders::take().unwrap();
///     orders.out_of_memory_after(0);
///     assert!(Tensor::f_zeros([1024], (Kind::Float, Device::Mps)).is_err());
/// }
/// assert!(Tensor::f_zeros([1024], (Kind::Float, Device::Mps)).is_ok());
/// ```
#[derive(Debug)]
pub struct Orders(());

impl Orders {
    /// Waits until nobody else holds the orders, and takes them.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] where there is no simulated device.
    pub fn take() -> Result<Self, Unavailable> {
        crate::load()?;
        let mut taken = taken();
        while *taken {
            taken = GIVEN_BACK.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
        ffi::reset();
        Ok(Self(()))
    }

    /// From now on the operator raises as one that MPS has no kernel for.
    ///
    /// `name` is without overload, and all overloads are meant: `a + b` reaches the device as `aten::add.out`. In-place forms (`aten::relu_`)
    /// are names of their own, unless libtorch runs them as `out` too. Composite operators (`aten::matmul`) never reach a device: name the
    /// one below (`aten::mm`), and look at [`Counts::raised`](crate::Counts::raised).
    ///
    /// # Errors
    ///
    /// [`UnknownOperator`] when libtorch has no operator of this name.
    ///
    /// # Examples
    ///
    /// ```
    /// # if sim_mps::load().is_err() { return }
    /// let orders = sim_mps::Orders::take().unwrap();
    /// assert!(orders.unimplemented("aten::cumsum").is_ok());
    /// assert!(orders.unimplemented("aten::no_such_thing").unwrap_err().to_string().contains("no_such_thing"));
    /// ```
    pub fn unimplemented(&self, name: &str) -> Result<(), UnknownOperator> {
        if !ffi::knows(name) {
            return Err(UnknownOperator(name.to_owned()));
        }
        ffi::unimplemented(name);
        Ok(())
    }

    /// From now on no more than `bytes` may be in use beyond what is in use at this moment.
    ///
    /// An allocation that would exceed it raises; so does the buffer that the device needs to copy a non-contiguous tensor off. An operator
    /// that runs out of memory leaves its arguments as they were.
    ///
    /// # Examples
    ///
    /// ```
    /// use tch::{Device, Kind, Tensor};
    ///
    /// # if sim_mps::load().is_err() { return }
    /// let orders = sim_mps::Orders::take().unwrap();
    /// orders.out_of_memory_after(1000);
    /// let small = Tensor::f_zeros([100], (Kind::Float, Device::Mps));
    /// assert!(small.is_ok());
    /// let error = Tensor::f_zeros([400], (Kind::Float, Device::Mps)).unwrap_err().to_string();
    /// assert!(error.contains("MPS backend out of memory (MPS allocated: "));
    /// ```
    pub fn out_of_memory_after(&self, bytes: u64) {
        ffi::out_of_memory_after(bytes);
    }

    /// The `k`-th operator dispatched from now on raises this text, once; `k` is 1 for the next. May be given several times.
    ///
    /// # Panics
    ///
    /// When `k` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use tch::{Device, Kind, Tensor};
    ///
    /// # if sim_mps::load().is_err() { return }
    /// let orders = sim_mps::Orders::take().unwrap();
    /// let a = Tensor::ones([2], (Kind::Float, Device::Mps));
    /// orders.fail_at(2, &sim_mps::text::out_of_memory());
    /// assert!(a.f_abs().is_err(), "1 is the allocation, 2 the arithmetic");
    /// assert!(a.f_abs().is_ok());
    /// ```
    pub fn fail_at(&self, k: u64, text: &str) {
        assert!(k > 0, "operators are counted from 1: the next one is 1");
        ffi::fail_at(k, text);
    }

    /// Every `n`-th operator dispatched from now on raises this text.
    ///
    /// # Panics
    ///
    /// When `n` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use tch::{Device, Kind, Tensor};
    ///
    /// # if sim_mps::load().is_err() { return }
    /// let orders = sim_mps::Orders::take().unwrap();
    /// let a = Tensor::ones([2], (Kind::Float, Device::Mps));
    /// orders.fail_every(3, &sim_mps::text::kernel_build());
    /// let failed = (0..6).filter(|_| a.f_abs().is_err()).count() as u64;
    /// assert_eq!(failed, sim_mps::counts().raised);
    /// assert!(failed >= 3);
    /// ```
    pub fn fail_every(&self, n: u64, text: &str) {
        assert!(n > 0, "every 0th operator: give 1 for each of them");
        ffi::fail_every(n, text);
    }

    /// Withdraws all orders and sets the counters to 0; memory in use stays counted.
    ///
    /// # Examples
    ///
    /// ```
    /// use tch::{Device, Kind, Tensor};
    ///
    /// # if sim_mps::load().is_err() { return }
    /// let orders = sim_mps::Orders::take().unwrap();
    /// orders.unimplemented("aten::empty").unwrap();
    /// orders.reset();
    /// assert!(Tensor::f_zeros([1], (Kind::Float, Device::Mps)).is_ok());
    /// ```
    pub fn reset(&self) {
        ffi::reset();
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        ffi::reset();
        *taken() = false;
        GIVEN_BACK.notify_one();
    }
}

/// The flag is valid after any panic: it is only ever set whole.
fn taken() -> MutexGuard<'static, bool> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// libtorch has no operator of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownOperator(String);

impl std::fmt::Display for UnknownOperator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "libtorch has no operator `{}`: write it as in the error texts, without overload, such as `aten::cumsum`", self.0)
    }
}

impl std::error::Error for UnknownOperator {}
