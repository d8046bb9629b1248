//! A small line without axes: how a figure went over the last days, beside the figure itself.

use super::parts::grouped;
use askama::Template;
use askama::filters::HtmlSafe;

/// Width and height of the drawing, in its own units.
const SIZE: (f64, f64) = (100.0, 24.0);
/// What is left free above and below, so that the line is not cut.
const EDGE: f64 = 2.0;

/// The line, and the same in words for who can't see it.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/spark.html")]
pub struct Spark {
    points: String,
    /// The last point, which is today.
    end: (String, String),
    says: String,
}

impl HtmlSafe for Spark {}

impl Spark {
    /// Of counts, one a day, today last; `None` where there is nothing to draw.
    pub fn counts(counts: impl IntoIterator<Item = i64>) -> Option<Self> {
        let counts: Vec<i64> = counts.into_iter().collect();
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let values = counts.iter().map(|count| *count as f64).collect::<Vec<_>>();
        Self::of(&values, 0.0, |at| grouped(counts[at]))
    }

    /// Of percentages, one a day, today last; days without any are left out.
    pub fn percents(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().flatten().collect();
        // Who has 99 % wants to see the missing one.
        let floor = values.iter().copied().fold(100.0, f64::min) - 1.0;
        Self::of(&values, floor, |at| format!("{:.1} %", values[at]))
    }

    fn of(values: &[f64], floor: f64, said: impl Fn(usize) -> String) -> Option<Self> {
        if values.len() < 2 || values.iter().all(|value| *value <= 0.0) {
            return None;
        }
        let top = values.iter().copied().fold(floor, f64::max) - floor;
        #[expect(clippy::cast_precision_loss, reason = "days of a month")]
        let step = SIZE.0 / (values.len() - 1) as f64;
        let height = SIZE.1 - 2.0 * EDGE;
        let mut x = -step;
        let places = values.iter().map(|value| {
            x += step;
            (format!("{x:.1}"), format!("{:.1}", SIZE.1 - EDGE - height * (value - floor) / top.max(f64::MIN_POSITIVE)))
        });
        let places: Vec<(String, String)> = places.collect();
        let points = places.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ");
        let all: Vec<String> = (0..values.len()).map(said).collect();
        Some(Self { points, end: places.last()?.clone(), says: format!("The last {} days: {}", all.len(), all.join(", ")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_rises_with_its_figures_and_says_them() {
        let html = Spark::counts([0, 5, 1000]).expect("a line").to_string();
        assert!(html.contains("points=\"0.0,22.0 50.0,21.9 100.0,2.0\""), "{html}");
        assert!(html.contains("The last 3 days: 0, 5, 1\u{202f}000"), "{html}");
        assert!(Spark::counts([0, 0, 0]).is_none() && Spark::counts([7]).is_none());
        let html = Spark::percents([None, Some(99.0), Some(100.0)]).expect("a line").to_string();
        assert!(html.contains("The last 2 days: 99.0 %, 100.0 %") && html.contains("100.0,2.0"), "{html}");
    }
}
