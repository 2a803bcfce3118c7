//! Medians and percentiles, and how they are printed.

use std::time::Duration;

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `of` from 0 to 1; the values need not be sorted.
pub fn percentile(values: &mut [Duration], of: f64) -> Duration {
    values.sort();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list that fits into memory"
    )]
    let index = ((values.len() - 1) as f64 * of).round() as usize;
    values[index]
}

pub fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}
