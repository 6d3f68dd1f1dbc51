//! From quotes to clean tensors: conversion, cleaning, splits, batches.
//!
//! Tables are float32 with one row a bar: `[bars, symbols, columns]`.

use backstop::{Migrate, safe_mps_op};
use tch::{Device, Kind, TchError, Tensor};

use crate::api::Quotes;
use crate::market::COLUMNS;

/// The columns of a cleaned table: open, high, low, close (all adjusted), volume.
pub const CLEAN_COLUMNS: i64 = 5;
/// The place of the adjusted close in a cleaned table.
pub const CLOSE: i64 = 3;

/// A table in two parts, the older one first.
#[derive(Debug, Migrate)]
pub struct Split {
    /// What the agent learns from.
    pub training: Tensor,
    /// What it has never seen.
    pub held_out: Tensor,
}

/// Quotes as a table `[bars, symbols, 6]` on the CPU: open, high, low, close, volume, adjusted close. Touches no device.
///
/// # Errors
/// If libtorch cannot make the tensor, or the bars do not all have the same symbols.
pub fn table(quotes: &[Quotes]) -> Result<Tensor, TchError> {
    let symbols = quotes.first().map_or(0, |first| first.quotes.len());
    let numbers: Vec<f32> = quotes.iter().flat_map(|bar| &bar.quotes).flat_map(|quote| quote.row()).collect();
    if numbers.len() != quotes.len() * symbols * COLUMNS {
        return Err(TchError::Shape(format!("every bar must have the same {symbols} symbols as the first")));
    }
    Tensor::f_from_slice(&numbers)?.f_reshape([length(quotes.len()), length(symbols), length(COLUMNS)])
}

/// Copies a tensor to a device; where the device refuses, the tensor stays on the CPU.
///
/// # Errors
/// If libtorch cannot copy it.
#[safe_mps_op(result = "cpu")]
pub fn to_device(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    tensor.f_to_device(device)
}

/// Cleans a table of [`table`]: `[bars, symbols, 5]`.
///
/// A row with a missing or impossible price (not finite, or not above zero) repeats the row before it; before the first good row it
/// stays as it is. Prices are then adjusted for splits and dividends: each is multiplied by adjusted close / close.
///
/// # Errors
/// If libtorch refuses an operation, on every device.
#[safe_mps_op]
pub fn clean(table: &Tensor) -> Result<Tensor, TchError> {
    let filled = repeat_last_good(table)?;
    let prices = filled.f_narrow(2, 0, 4)?;
    let ratio = filled.f_narrow(2, 5, 1)?.f_div(&filled.f_narrow(2, CLOSE, 1)?)?;
    Tensor::f_cat(&[prices.f_mul(&ratio)?, filled.f_narrow(2, 4, 1)?], 2)
}

/// Picks for each row and symbol the last row so far whose prices are all good.
fn repeat_last_good(table: &Tensor) -> Result<Tensor, TchError> {
    let (bars, symbols, columns) = table.size3()?;
    let prices = Tensor::f_cat(&[table.f_narrow(2, 0, 4)?, table.f_narrow(2, 5, 1)?], 2)?;
    // A comparison with NaN is false, so this finds NaN too.
    let good = prices.f_gt(0.0)?.f_logical_and(&prices.f_lt(f64::from(f32::MAX))?)?.f_all_dim(2, false)?;
    let row = Tensor::f_arange(bars, (Kind::Float, table.device()))?.f_unsqueeze(1)?;
    let (last_good, _) = good.f_to_kind(Kind::Float)?.f_mul(&row)?.f_cummax(0)?;
    let index = last_good.f_to_kind(Kind::Int64)?.f_unsqueeze(2)?.f_expand([bars, symbols, columns], false)?;
    table.f_gather(0, &index.f_contiguous()?, false)
}

/// Splits a table by time: the first part of the bars (a fraction between 0 and 1) is for training. No bar is in both.
///
/// # Errors
/// If a part would be empty, or libtorch refuses an operation on every device.
#[safe_mps_op]
pub fn split(table: &Tensor, fraction: f64) -> Result<Split, TchError> {
    let bars = table.size().first().copied().unwrap_or(0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a number of bars")]
    let first = (bars as f64 * fraction) as i64;
    if first < 1 || first >= bars {
        return Err(TchError::Shape(format!("a fraction of {fraction} leaves a part of {bars} bars empty")));
    }
    let training = table.f_narrow(0, 0, first)?.f_contiguous()?;
    let held_out = table.f_narrow(0, first, bars - first)?.f_contiguous()?;
    Ok(Split { training, held_out })
}

/// Cuts a tensor into pieces of `size` rows along its first dimension; what is left over at the end is no piece.
///
/// # Errors
/// If `size` is not above zero, or libtorch refuses an operation on every device.
#[safe_mps_op]
pub fn batches(tensor: &Tensor, size: i64) -> Result<Vec<Tensor>, TchError> {
    if size < 1 {
        return Err(TchError::Shape(format!("batches of {size} rows; a batch has at least one")));
    }
    let rows = tensor.size().first().copied().unwrap_or(0);
    (0..rows / size).map(|batch| tensor.f_narrow(0, batch * size, size)?.f_contiguous()).collect()
}

/// The numbers of a tensor, row by row, whatever its shape and device.
///
/// # Errors
/// If libtorch cannot copy them.
pub fn numbers(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_reshape(-1)?;
    Vec::<f32>::try_from(&flat)
}

/// A length as libtorch wants it.
pub(crate) fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
