//! Features of prices as tensor operations. Series are `[bars, symbols]`, float32; every result has as many bars as its input,
//! unless it says otherwise.
//!
//! Windows are made contiguous before they are reduced: a device's copy of a view is contiguous too, and both must sum in the same
//! order to give the same bits.

use backstop::{Migrate, safe_mps_op};
use tch::{Device, Kind, TchError, Tensor};

use crate::data_preprocessing::CLOSE;

/// Bars that one state looks back on.
pub const WINDOW: i64 = 8;
/// Numbers that describe one symbol at one bar: four series over the window, and three levels.
pub const FEATURES: i64 = 4 * WINDOW + 3;
/// Bars after which the recursions have forgotten how they began: what is left of the seed weighs under 0.1 %.
pub const WARM_UP: usize = 120;

const VOLATILITY_BARS: i64 = 10;
const RSI_BARS: i64 = 14;

/// Moving average convergence/divergence.
#[derive(Debug, Migrate)]
pub struct Macd {
    /// Fast average minus slow average.
    pub line: Tensor,
    /// The average of the line.
    pub signal: Tensor,
    /// Line minus signal.
    pub histogram: Tensor,
}

/// What the agent sees of the market, on the CPU.
#[derive(Debug, Migrate)]
pub struct MarketStates {
    /// `[states, symbols, FEATURES]`
    pub states: Tensor,
    /// The log return that led to each state: `[states, symbols]`
    pub returns: Tensor,
}

/// The states of a cleaned table, one for each bar from the [`WINDOW`]th on.
///
/// # Errors
/// If there are too few bars, or libtorch refuses an operation on every device.
#[safe_mps_op(result = "cpu")]
pub fn market_states(table: &Tensor) -> Result<MarketStates, TchError> {
    let close = table.f_select(2, CLOSE)?.f_contiguous()?;
    let returns = log_returns(&close)?;
    let volatility = rolling_volatility(&returns, VOLATILITY_BARS)?;
    let strength = rsi(&close, RSI_BARS)?.f_div_scalar(50.0)?.f_sub_scalar(1.0)?;
    let momentum = macd(&close, 12, 26, 9)?.histogram.f_div(&close)?;
    let windows = normalised_windows(&Tensor::f_stack(&[&returns, &volatility, &strength, &momentum], 2)?, WINDOW)?;
    let states = windows.size()[0];
    let levels = Tensor::f_stack(&[volatility.f_mul_scalar(50.0)?, strength, momentum.f_mul_scalar(100.0)?], 2)?;
    let levels = levels.f_narrow(0, WINDOW - 1, states)?;
    Ok(MarketStates {
        states: Tensor::f_cat(&[windows, levels], 2)?.f_to_device(Device::Cpu)?,
        returns: returns.f_narrow(0, WINDOW - 1, states)?.f_contiguous()?.f_to_device(Device::Cpu)?,
    })
}

/// The log return of each bar: `ln(close[t] / close[t-1])`, 0 for the first.
///
/// # Errors
/// If there is no bar, or libtorch refuses an operation on every device.
#[safe_mps_op]
pub fn log_returns(close: &Tensor) -> Result<Tensor, TchError> {
    let bars = bars_of(close, 1)?;
    let log = close.f_log()?;
    let change = log.f_narrow(0, 1, bars - 1)?.f_sub(&log.f_narrow(0, 0, bars - 1)?)?;
    Tensor::f_cat(&[log.f_narrow(0, 0, 1)?.f_zeros_like()?, change], 0)
}

/// The sample standard deviation of the last `window` returns, per bar (not a year's); 0 until there are that many.
///
/// # Errors
/// If there are fewer bars than `window`, or it is below 2, or libtorch refuses an operation on every device.
#[safe_mps_op]
pub fn rolling_volatility(returns: &Tensor, window: i64) -> Result<Tensor, TchError> {
    if window < 2 {
        return Err(TchError::Shape(format!("a window of {window} bars has no standard deviation; use at least 2")));
    }
    bars_of(returns, window)?;
    let windows = returns.f_unfold(0, window, 1)?.f_contiguous()?;
    let deviation = windows.f_std_dim(-1, true, false)?;
    Tensor::f_cat(&[returns.f_narrow(0, 0, window - 1)?.f_zeros_like()?, deviation], 0)
}

/// The relative strength index of J. W. Wilder, "New Concepts in Technical Trading Systems" (1978): 0 to 100.
///
/// `100 · gain / (gain + loss)`, where gain and loss are the averages of rises and falls smoothed by
/// `average[t] = (average[t-1] · (period-1) + value[t]) / period`, which start as the plain mean of the first `period` changes. Where
/// Wilder has no value yet, the mean of the changes so far stands in; without any change it is 50.
///
/// # Errors
/// If there are not more bars than `period`, or libtorch refuses an operation on every device.
#[safe_mps_op]
pub fn rsi(close: &Tensor, period: i64) -> Result<Tensor, TchError> {
    let bars = bars_of(close, period + 1)?;
    let change = close.f_narrow(0, 1, bars - 1)?.f_sub(&close.f_narrow(0, 0, bars - 1)?)?;
    #[expect(clippy::cast_precision_loss, reason = "a number of bars")]
    let alpha = 1.0 / period as f64;
    let gain = smoothed(&change.f_clamp_min(0.0)?, alpha, period)?;
    let loss = smoothed(&change.f_neg()?.f_clamp_min(0.0)?, alpha, period)?;
    let total = gain.f_add(&loss)?;
    let index = gain.f_div(&total)?.f_mul_scalar(100.0)?;
    let neutral = total.f_full_like(50.0)?;
    let index = index.f_where_self(&total.f_gt(0.0)?, &neutral)?;
    Tensor::f_cat(&[neutral.f_narrow(0, 0, 1)?, index], 0)
}

/// Moving average convergence/divergence (G. Appel): the difference of two exponential averages of the close, its own exponential
/// average (the signal), and their difference. Averages weigh a new value by `2 / (bars + 1)` and start at the first value.
///
/// # Errors
/// If there is no bar, or libtorch refuses an operation on every device.
#[safe_mps_op]
pub fn macd(close: &Tensor, fast: i64, slow: i64, signal: i64) -> Result<Macd, TchError> {
    let line = exponential_average(close, fast)?.f_sub(&exponential_average(close, slow)?)?;
    let signal = exponential_average(&line, signal)?;
    let histogram = line.f_sub(&signal)?;
    Ok(Macd { line, signal, histogram })
}

/// The last `window` values of each of several series, each window with mean 0 and standard deviation 1 (a constant window is all 0):
/// `[bars, symbols, series]` → `[bars - window + 1, symbols, series · window]`.
///
/// # Errors
/// If there are fewer bars than `window`, or libtorch refuses an operation on every device.
#[safe_mps_op]
pub fn normalised_windows(series: &Tensor, window: i64) -> Result<Tensor, TchError> {
    bars_of(series, window)?;
    let windows = series.f_unfold(0, window, 1)?.f_contiguous()?;
    let centred = windows.f_sub(&windows.f_mean_dim(-1, true, Kind::Float)?)?;
    let deviation = centred.f_square()?.f_mean_dim(-1, true, Kind::Float)?.f_sqrt()?;
    centred.f_div(&deviation.f_add_scalar(1e-6)?)?.f_flatten(2, 3)
}

fn exponential_average(series: &Tensor, bars: i64) -> Result<Tensor, TchError> {
    #[expect(clippy::cast_precision_loss, reason = "a number of bars")]
    let alpha = 2.0 / (bars as f64 + 1.0);
    smoothed(series, alpha, 1)
}

/// `average[t] = (1-alpha) · average[t-1] + alpha · value[t]`, which starts as the mean of the first `seed` values; before that it is
/// the mean of the values so far.
///
/// The recursion is unrolled into one product with a lower triangular matrix: `average = powers · values + decay · start`.
fn smoothed(series: &Tensor, alpha: f64, seed: i64) -> Result<Tensor, TchError> {
    let bars = bars_of(series, seed)?;
    let options = (Kind::Float, series.device());
    let counts = Tensor::f_arange_start(1, seed + 1, options)?.f_unsqueeze(1)?;
    let head = series.f_narrow(0, 0, seed)?.f_cumsum(0, Kind::Float)?.f_div(&counts)?;
    let rest = bars - seed;
    if rest == 0 {
        return Ok(head);
    }
    let row = Tensor::f_arange(rest, options)?;
    let lag = row.f_unsqueeze(1)?.f_sub(&row.f_unsqueeze(0)?)?.f_clamp_min(0.0)?;
    // With alpha 1 nothing is remembered: then a logarithm of almost 0 serves, because that of 0 times a lag of 0 is no number.
    let decay = (1.0 - alpha).max(f64::MIN_POSITIVE).ln();
    let powers = lag.f_mul_scalar(decay)?.f_exp()?.f_mul_scalar(alpha)?.f_tril(0)?;
    let start = row.f_add_scalar(1.0)?.f_mul_scalar(decay)?.f_exp()?.f_unsqueeze(1)?.f_mul(&head.f_narrow(0, seed - 1, 1)?)?;
    let tail = powers.f_matmul(&series.f_narrow(0, seed, rest)?.f_contiguous()?)?.f_add(&start)?;
    Tensor::f_cat(&[head, tail], 0)
}

fn bars_of(series: &Tensor, least: i64) -> Result<i64, TchError> {
    let bars = series.size().first().copied().unwrap_or(0);
    if bars < least {
        return Err(TchError::Shape(format!("{bars} bars are too few: at least {least} are needed")));
    }
    Ok(bars)
}
