//! Latencies in steps of a few per doubling, so that quantiles of any number of requests come from a few dozen counts.

/// The step that a latency belongs to: four per doubling, so that a quantile is at most a quarter too high. Everything below
/// 4 us is one step.
#[must_use]
pub fn step(micros: u64) -> i32 {
    let micros = micros.max(4);
    let top = micros.ilog2();
    let quarter = (micros >> (top - 2)) & 3;
    i32::try_from(u64::from(top) * 4 + quarter).unwrap_or(i32::MAX)
}

/// The smallest latency above a step, in microseconds.
#[must_use]
pub fn end_of(step: i32) -> u64 {
    let next = step.clamp(8, 250) + 1;
    let quarter = u64::try_from(next % 4).unwrap_or(0);
    (4 + quarter) << (next / 4 - 2)
}

/// The latency that a part `quantile` (0 to 1) of all requests stayed below, in microseconds, from counts by step in rising
/// order. `None` without requests.
#[must_use]
pub fn quantile(counts: &[(i32, i64)], quantile: f64) -> Option<u64> {
    let all: i64 = counts.iter().map(|(_, count)| count).sum();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts far below 2^52, and a part of them")]
    let wanted = ((all as f64 * quantile).ceil() as i64).max(1);
    let mut seen = 0;
    let reached = counts.iter().find(|(_, count)| {
        seen += count;
        seen >= wanted
    });
    reached.filter(|_| all > 0).map(|(step, _)| end_of(*step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_ends_at_most_a_quarter_above_what_is_in_it() {
        let mut last = 0;
        for micros in (0..20_000).chain([1 << 20, 1 << 40, u64::MAX >> 3]) {
            let step = step(micros);
            assert!(step >= last, "steps rise");
            last = step;
            let end = end_of(step);
            assert!(end > micros && end <= (micros + micros / 4).max(5) + 1, "{micros} is in a step that ends at {end}");
        }
    }

    #[test]
    fn quantiles_come_from_counts() {
        let counts = [(step(100), 90), (step(1000), 9), (step(100_000), 1)];
        assert_eq!(quantile(&counts, 0.5), Some(end_of(step(100))));
        assert_eq!(quantile(&counts, 0.95), Some(end_of(step(1000))));
        assert_eq!(quantile(&counts, 1.0), Some(end_of(step(100_000))));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
