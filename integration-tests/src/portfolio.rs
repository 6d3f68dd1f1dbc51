//! Money over time: the equity curve, profit and the deepest fall.

/// Equity after each bar, from the opening on.
#[derive(Clone, Debug, PartialEq)]
pub struct EquityCurve {
    start: f64,
    points: Vec<f64>,
}

impl EquityCurve {
    /// An account that starts with this much money.
    #[must_use]
    pub fn new(start: f64) -> Self {
        Self { start, points: Vec::new() }
    }

    /// Adds the equity after a bar.
    pub fn push(&mut self, equity: f64) {
        self.points.push(equity);
    }

    /// The equity after each bar.
    #[must_use]
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    /// What the account started with.
    #[must_use]
    pub fn start(&self) -> f64 {
        self.start
    }

    /// The last equity; the start before the first bar.
    #[must_use]
    pub fn last(&self) -> f64 {
        self.points.last().copied().unwrap_or(self.start)
    }

    /// Money won or lost.
    #[must_use]
    pub fn profit(&self) -> f64 {
        self.last() - self.start
    }

    /// Money won or lost, as a part of the start.
    #[must_use]
    pub fn profit_part(&self) -> f64 {
        self.profit() / self.start
    }

    /// The deepest fall from a high, as a part of that high: 0 to 1.
    #[must_use]
    pub fn deepest_fall(&self) -> f64 {
        let mut high = self.start;
        let mut deepest = 0.0_f64;
        for equity in &self.points {
            high = high.max(*equity);
            deepest = deepest.max((high - equity) / high);
        }
        deepest
    }

    /// A number that is the same only for the same bits in every point (FNV-1a, 64 bits).
    #[must_use]
    pub fn checksum(&self) -> u64 {
        let bytes = self.points.iter().flat_map(|point| point.to_bits().to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}
