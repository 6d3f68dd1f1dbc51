//! Measures every variant in turn, round after round, so that what disturbs the machine disturbs all of them.

use crate::Done;
use crate::variants::Variant;

/// One thing for each variant; `None` where the scenario makes no sense for it.
pub type Each<T> = [Option<T>; COLUMNS];
/// One figure for each variant.
pub type Figures = Each<f64>;

/// How many variants there are.
pub const COLUMNS: usize = 8;
/// What the others are compared with.
pub const BARE: usize = 0;
/// See [`BARE`].
pub const TOKIO: usize = 1;
/// What the goals are for.
pub const GUARDED: usize = COLUMNS - 1;

/// A generic function, once for each variant, in the order of the columns.
#[macro_export]
macro_rules! each {
    ($measure:ident) => {{
        use $crate::variants::*;
        [
            Some($measure::<Bare>),
            Some($measure::<Tokio>),
            Some($measure::<PingoraFast>),
            Some($measure::<PingoraTokio>),
            Some($measure::<Tower>),
            Some($measure::<Tracing>),
            Some($measure::<ByHand>),
            Some($measure::<Guarded>),
        ]
    }};
}

/// The names of the columns.
pub fn names() -> [&'static str; COLUMNS] {
    let names: Each<fn() -> &'static str> = each!(name);
    names.map(|name| name.map_or("", |name| name()))
}

fn name<V: Variant>() -> &'static str {
    V::NAME
}

/// The column of that name.
pub fn column(name: &str) -> Done<usize> {
    Ok(names().iter().position(|known| *known == name).ok_or_else(|| format!("there is no variant `{name}`"))?)
}

/// Where only variants that limit make sense: the others are left out.
pub fn limited<T>(mut each: Each<T>) -> Each<T> {
    each[BARE] = None;
    each[5] = None;
    each
}

/// So many rounds, after one that warms up.
pub fn rounds(count: usize, measures: Each<impl Fn() -> f64>) -> Vec<Figures> {
    (0..=count).map(|round| one(round, &measures)).skip(1).collect()
}

/// Each round begins with another variant: none always follows the same.
fn one(round: usize, measures: &Each<impl Fn() -> f64>) -> Figures {
    let mut figures = [None; COLUMNS];
    for turn in 0..COLUMNS {
        let column = (round + turn) % COLUMNS;
        figures[column] = measures[column].as_ref().map(|measure| measure());
    }
    figures
}

/// The median of each column of what `of` makes of each round.
pub fn medians(rounds: &[Figures], of: impl Fn(&Figures, usize) -> Option<f64>) -> Figures {
    std::array::from_fn(|column| median(rounds.iter().filter_map(|round| of(round, column)).collect()))
}

/// The value in the middle; `None` of none.
pub fn median(values: Vec<f64>) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value that this part of all values does not exceed.
pub fn quantile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * part).round() as usize).copied()
}
