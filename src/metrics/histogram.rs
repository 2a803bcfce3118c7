//! How many times were how long. Buckets as Prometheus wants them: cumulative when they are written.

use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Histogram {
    /// Upper ends of the buckets, in seconds, rising.
    bounds: &'static [f64],
    /// One more than bounds: what is longer than all.
    counts: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    pub fn of(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: Duration::ZERO }
    }

    pub fn observe(&mut self, time: Duration) {
        let bucket = self.bounds.partition_point(|bound| *bound < time.as_secs_f64());
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(time);
    }

    /// Up to each bound (`None`: all), how many.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let counts = self.counts.iter().scan(0, |all, count| {
            *all += count;
            Some(*all)
        });
        bounds.zip(counts)
    }

    pub fn sum(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut times = Histogram::of(&[0.5, 1.0]);
        for millis in [500, 501, 1000, 1001] {
            times.observe(Duration::from_millis(millis));
        }
        let cumulative: Vec<_> = times.cumulative().collect();
        assert_eq!(cumulative, [(Some(0.5), 1), (Some(1.0), 3), (None, 4)]);
        assert_eq!((times.count(), times.sum()), (4, 3.002));
    }
}
