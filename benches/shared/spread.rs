//! What measurements of the same come to.

/// A median and a range: `{:.2}` prints `1.02 (0.98 to 1.10)`, and with `CATENA_BENCH_EXACT` set all digits.
///
/// `cargo xtask bench --against` reads that form, and puts this file into trees that don't know the variable yet: it must go on to need
/// nothing but std.
pub(crate) struct Spread(f64, f64, f64);

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        Self(values[values.len() / 2], values[0], values[values.len() - 1])
    }

    /// Of the ratios, round by round.
    #[allow(dead_code, reason = "not every bench compares two")]
    pub(crate) fn of_ratios(a: &[f64], b: &[f64]) -> Self {
        Self::of(&a.iter().zip(b).map(|(a, b)| a / b).collect::<Vec<_>>())
    }

    #[allow(dead_code, reason = "not every bench needs the number alone")]
    pub(crate) fn median(&self) -> f64 {
        self.0
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if std::env::var_os("CATENA_BENCH_EXACT").is_some() {
            return write!(f, "{} ({} to {})", self.0, self.1, self.2);
        }
        let digits = f.precision().unwrap_or(0);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.0, self.1, self.2)
    }
}
