//! Features against values worked out by hand, and against slow loops over the real prices.

use tch::{Kind, Tensor};
use trading::data_preprocessing::numbers;
use trading::feature_engineering::{FEATURES, WINDOW, log_returns, macd, market_states, normalised_windows, rolling_volatility, rsi};
use trading::market::Market;

/// One symbol's series as `[bars, 1]`.
fn series(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).unsqueeze(1)
}

#[track_caller]
fn assert_close(found: &Tensor, wanted: &[f64], tolerance: f64) {
    let found = numbers(found).unwrap();
    assert_eq!(found.len(), wanted.len());
    for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((f64::from(*found) - wanted).abs() <= tolerance, "value {at} is {found}, not {wanted}");
    }
}

/// Adjusted closes of a bundled symbol.
fn real_closes(symbol: &str) -> Vec<f64> {
    let market = Market::bundled().unwrap();
    let index = market.symbols().iter().position(|listed| listed == symbol).unwrap();
    (0..market.len()).map(|day| market.day(day).unwrap()[index].adjusted_close).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "tensors here are float32")]
fn as_series(values: &[f64]) -> Tensor {
    series(&values.iter().map(|value| *value as f32).collect::<Vec<_>>())
}

#[test]
fn log_returns_are_the_logarithms_of_ratios() {
    let returns = log_returns(&series(&[100.0, 110.0, 55.0, 55.0])).unwrap();
    assert_close(&returns, &[0.0, 0.095_310_18, -std::f64::consts::LN_2, 0.0], 1e-6);
}

#[test]
fn volatility_is_the_sample_deviation_of_the_last_returns() {
    let returns = series(&[0.1, 0.2, 0.3, 0.3, 0.3]);
    let volatility = rolling_volatility(&returns, 3).unwrap();
    // Around the means 0.2, 0.2667 and 0.3, with one degree of freedom less than values.
    assert_close(&volatility, &[0.0, 0.0, 0.1, 0.057_735, 0.0], 1e-6);
}

#[test]
fn rsi_gives_the_published_values_of_the_textbook_series() {
    let close = [
        44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328, 45.6140, 46.2820,
        46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439,
    ];
    let index = rsi(&series(&close), 14).unwrap();
    assert_close(&index.narrow(0, 14, 6), &[70.53, 66.32, 66.55, 69.41, 66.36, 57.97], 0.01);
}

#[test]
fn rsi_is_100_without_losses_0_without_gains_and_50_without_changes() {
    let at_end = |values: [f32; 5]| f64::try_from(rsi(&series(&values), 3).unwrap().select(0, -1)).unwrap();
    assert_eq!(at_end([1.0, 2.0, 3.0, 4.0, 5.0]), 100.0);
    assert_eq!(at_end([5.0, 4.0, 3.0, 2.0, 1.0]), 0.0);
    assert_eq!(at_end([2.0; 5]), 50.0);
}

#[test]
fn macd_is_the_difference_of_two_averages_and_its_own() {
    // Averages over 1 and 3 bars weigh a new value by 1 and 1/2: fast 1 2 4, slow 1 1.5 2.75.
    let found = macd(&series(&[1.0, 2.0, 4.0]), 1, 3, 3).unwrap();
    assert_close(&found.line, &[0.0, 0.5, 1.25], 1e-6);
    assert_close(&found.signal, &[0.0, 0.25, 0.75], 1e-6);
    assert_close(&found.histogram, &[0.0, 0.25, 0.5], 1e-6);
}

/// Exponential average bar by bar.
fn slow_average(values: &[f64], alpha: f64) -> Vec<f64> {
    let mut average = values[0];
    values
        .iter()
        .map(|value| {
            average += alpha * (value - average);
            average
        })
        .collect()
}

#[test]
fn macd_of_the_real_prices_agrees_with_a_loop() {
    let close = real_closes("AAPL");
    let (fast, slow) = (slow_average(&close, 2.0 / 13.0), slow_average(&close, 2.0 / 27.0));
    let line: Vec<f64> = fast.iter().zip(&slow).map(|(fast, slow)| fast - slow).collect();
    let signal = slow_average(&line, 0.2);
    let found = macd(&as_series(&close), 12, 26, 9).unwrap();
    assert_close(&found.line, &line, 2e-3);
    assert_close(&found.signal, &signal, 2e-3);
}

#[test]
fn rsi_of_the_real_prices_agrees_with_a_loop() {
    let close = real_closes("IBM");
    let change: Vec<f64> = close.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let part = |sign: f64| -> Vec<f64> {
        let moves: Vec<f64> = change.iter().map(|change| (change * sign).max(0.0)).collect();
        let mut average = moves[..14].iter().sum::<f64>() / 14.0;
        let mut all = vec![average];
        for value in &moves[14..] {
            average = (average * 13.0 + value) / 14.0;
            all.push(average);
        }
        all
    };
    let wanted: Vec<f64> = part(1.0).iter().zip(part(-1.0)).map(|(gain, loss)| 100.0 * gain / (gain + loss)).collect();
    let found = rsi(&as_series(&close), 14).unwrap();
    assert_close(&found.narrow(0, 14, found.size()[0] - 14), &wanted, 0.02);
}

#[test]
fn windows_have_mean_0_and_deviation_1_and_constant_ones_are_0() {
    let rising = series(&[1.0, 2.0, 3.0, 7.0]);
    let both = Tensor::stack(&[rising, series(&[5.0; 4])], 2);
    let windows = normalised_windows(&both, 3).unwrap();
    assert_eq!(windows.size(), [2, 1, 6]);
    let unit = 1.5_f64.sqrt();
    assert_close(&windows.select(0, 0), &[-unit, 0.0, unit, 0.0, 0.0, 0.0], 1e-5);
    let second = windows.select(0, 1).narrow(1, 0, 3);
    assert!(f64::try_from(second.mean(Kind::Float)).unwrap().abs() < 1e-6);
    assert!((f64::try_from(second.std(false)).unwrap() - 1.0).abs() < 1e-5);
}

#[test]
fn states_begin_with_the_first_whole_window() {
    let table = Tensor::ones([40, 2, 5], (Kind::Float, tch::Device::Cpu)) * 100.0;
    let seen = market_states(&table).unwrap();
    assert_eq!(seen.states.size(), [40 - WINDOW + 1, 2, FEATURES]);
    assert_eq!(seen.returns.size(), [40 - WINDOW + 1, 2]);
    assert!(numbers(&seen.states).unwrap().iter().all(|number| number.is_finite()));
}

#[test]
fn too_few_bars_are_refused_with_their_number() {
    let error = rsi(&series(&[1.0, 2.0]), 14).unwrap_err().to_string();
    assert!(error.contains("2 bars are too few: at least 15"), "{error}");
    assert!(rolling_volatility(&series(&[1.0; 9]), 1).unwrap_err().to_string().contains("at least 2"));
}
