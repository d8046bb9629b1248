//! Charts as SVG, drawn on the server: stacked bars and lines, coloured by the style sheet.
//!
//! The drawing is stretched to its place, so that no words are in it: those are beside it as text. The same figures are a
//! table under it, for who can't see it or wants the numbers.

use super::parts::grouped;
use askama::Template;
use askama::filters::HtmlSafe;

/// Width of a drawing, in its own units.
const WIDTH: f64 = 1000.0;
/// Height of a drawing, in its own units.
const HEIGHT: f64 = 100.0;
/// So many places have a word each.
const FEW: usize = 6;
/// Part of a bar's place that it fills.
const FILLED: f64 = 0.72;

/// One kind of figure.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    /// What it is.
    pub name: &'static str,
    /// Class that colours it: `good`, `bad`, `warn`, `info`, `calm`.
    pub tone: &'static str,
}

/// One place on the axis with a figure of each series; `None` where there is none.
#[derive(Debug, Clone)]
pub struct Place {
    /// What it is.
    pub label: String,
    /// The figures, in the order of the series.
    pub values: Vec<Option<f64>>,
}

/// How a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Bars,
    Lines,
}

/// A chart, ready to be drawn.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/chart.html")]
pub struct Chart {
    /// What it shows.
    title: String,
    /// Unit of the figures; empty for counts.
    unit: &'static str,
    series: Vec<Series>,
    places: Vec<Place>,
    shape: Shape,
    /// The figure at the top.
    top: f64,
}

impl HtmlSafe for Chart {}

/// One piece of a bar.
struct Piece {
    tone: &'static str,
    y: String,
    height: String,
}

/// One bar.
struct Bar {
    x: String,
    width: String,
    /// Where the pointer finds it.
    left: String,
    place: String,
    says: String,
    pieces: Vec<Piece>,
}

/// One stretch of a line without gaps.
struct Stretch {
    tone: &'static str,
    points: String,
}

impl Chart {
    /// Bars of pieces that add up.
    #[must_use]
    pub fn bars(title: impl Into<String>, series: &[Series], places: Vec<Place>) -> Self {
        let sums = places.iter().map(|place| place.values.iter().flatten().sum::<f64>());
        let top = nice(sums.fold(0.0, f64::max), true);
        Self { title: title.into(), unit: "", series: series.to_vec(), places, shape: Shape::Bars, top }
    }

    /// A line for each series.
    #[must_use]
    pub fn lines(title: impl Into<String>, unit: &'static str, series: &[Series], places: Vec<Place>) -> Self {
        let top = nice(places.iter().flat_map(|place| place.values.iter().flatten().copied()).fold(0.0, f64::max), false);
        Self { title: title.into(), unit, series: series.to_vec(), places, shape: Shape::Lines, top }
    }

    /// Whether there is nothing to see.
    fn is_blank(&self) -> bool {
        !self.places.iter().flat_map(|place| &place.values).any(|value| value.is_some_and(|value| value > 0.0))
    }

    fn is_bars(&self) -> bool {
        self.shape == Shape::Bars
    }

    fn said(&self, value: Option<f64>) -> String {
        match value {
            None => "–".to_owned(),
            Some(value) if self.unit.is_empty() => grouped(whole(value)),
            Some(value) => format!("{} {}", short(value), self.unit),
        }
    }

    /// The figures as rows of a table.
    fn rows(&self) -> Vec<(&str, Vec<String>)> {
        self.places.iter().map(|place| (place.label.as_str(), place.values.iter().map(|value| self.said(*value)).collect())).collect()
    }

    /// The words beside the axis: top, middle, bottom.
    fn axis(&self) -> [String; 3] {
        let middle = self.top / 2.0;
        let middle = if self.unit.is_empty() && middle.fract() > 0.0 { String::new() } else { self.said(Some(middle)) };
        [self.said(Some(self.top)), middle, "0".to_owned()]
    }

    /// Whether every place has its word below it.
    fn is_short(&self) -> bool {
        self.places.len() <= FEW
    }

    /// The words below: of each place, or of the first, the middle and the last.
    fn ends(&self) -> Vec<&str> {
        if self.is_short() {
            return self.places.iter().map(|place| place.label.as_str()).collect();
        }
        let label = |at: usize| self.places.get(at).map_or("", |place| place.label.as_str());
        vec![label(0), label(self.places.len() / 2), label(self.places.len().saturating_sub(1))]
    }

    fn step(&self) -> f64 {
        WIDTH / count(self.places.len().max(1))
    }

    fn drawn_bars(&self) -> Vec<Bar> {
        let step = self.step();
        let bar = |(at, place): (usize, &Place)| {
            let left = step * count(at);
            let mut below = 0.0;
            let mut pieces = Vec::new();
            let mut says = vec![place.label.clone()];
            for (series, value) in self.series.iter().zip(&place.values) {
                says.push(format!("{}: {}", series.name, self.said(*value)));
                let height = HEIGHT * value.unwrap_or(0.0) / self.top;
                if height > 0.0 {
                    pieces.push(Piece { tone: series.tone, y: number(HEIGHT - below - height), height: number(height) });
                }
                below += height;
            }
            Bar {
                x: number(left + step * (1.0 - FILLED) / 2.0),
                width: number(step * FILLED),
                left: number(left),
                place: number(step),
                says: says.join("\n"),
                pieces,
            }
        };
        self.places.iter().enumerate().map(bar).collect()
    }

    fn drawn_lines(&self) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        for (at, series) in self.series.iter().enumerate() {
            let mut points = Vec::new();
            for (number_of, place) in self.places.iter().enumerate() {
                match place.values.get(at).copied().flatten() {
                    Some(value) => points.push((self.step() * (count(number_of) + 0.5), HEIGHT - HEIGHT * value / self.top)),
                    None => stretches.extend(stretch(series.tone, &mut points)),
                }
            }
            stretches.extend(stretch(series.tone, &mut points));
        }
        stretches
    }
}

/// A stretch of these points, which are gone then; one alone is drawn as a short dash.
fn stretch(tone: &'static str, points: &mut Vec<(f64, f64)>) -> Option<Stretch> {
    let points = std::mem::take(points);
    let points = match points[..] {
        [] => return None,
        [(x, y)] => vec![(x - 3.0, y), (x + 3.0, y)],
        _ => points,
    };
    let points = points.into_iter().map(|(x, y)| format!("{},{}", number(x), number(y))).collect::<Vec<_>>().join(" ");
    Some(Stretch { tone, points })
}

/// The next round number above, so that the axis reads well; at least 1, for counts at least 4.
fn nice(value: f64, is_count: bool) -> f64 {
    let value = value.max(if is_count { 4.0 } else { 1.0 });
    let scale = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * scale).find(|round| *round >= value).unwrap_or(value)
}

fn number(value: f64) -> String {
    format!("{value:.2}")
}

fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[expect(clippy::cast_precision_loss, reason = "places on an axis")]
fn count(places: usize) -> f64 {
    places as f64
}

#[expect(clippy::cast_possible_truncation, reason = "counts far below 2^52")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: [Series; 2] = [Series { name: "Sent", tone: "good" }, Series { name: "Failed", tone: "bad" }];

    fn place(label: &str, values: [Option<f64>; 2]) -> Place {
        Place { label: label.into(), values: values.to_vec() }
    }

    #[test]
    fn bars_stand_on_each_other_and_the_table_has_the_figures() {
        let chart = Chart::bars("Messages", &SERIES, vec![place("08:00", [Some(6.0), Some(2.0)]), place("09:00", [Some(0.0), Some(0.0)])]);
        assert!((chart.top - 8.0).abs() < 1e-9);
        let bars = chart.drawn_bars();
        let [sent, failed] = &bars[0].pieces[..] else { panic!("two pieces") };
        assert_eq!((sent.y.as_str(), sent.height.as_str(), failed.y.as_str()), ("25.00", "75.00", "0.00"));
        assert!(bars[1].pieces.is_empty());
        let html = chart.to_string();
        assert!(html.contains("<th scope=\"row\">08:00</th>") && html.contains("<td>6</td>"), "{html}");
        assert!(!html.contains("style="), "{html}");
    }

    #[test]
    fn a_line_has_gaps_where_nothing_was_measured() {
        let places = [Some(1.0), None, Some(2.0), Some(3.0)].map(|value| place("x", [value, None]));
        let chart = Chart::lines("Latency", "ms", &SERIES, places.to_vec());
        let stretches = chart.drawn_lines();
        assert_eq!(stretches.len(), 2);
        assert_eq!(stretches[1].points, "625.00,50.00 875.00,25.00");
    }

    #[test]
    fn without_figures_nothing_is_divided_by_zero() {
        let chart = Chart::bars("Messages", &SERIES, vec![place("x", [Some(0.0), None])]);
        assert!(chart.is_blank() && !chart.to_string().contains("NaN"));
        assert!(Chart::bars("Messages", &SERIES, Vec::new()).is_blank());
        let rounded = [nice(0.0, true), nice(3.0, false), nice(41.0, true), nice(1000.0, true)].map(number);
        assert_eq!(rounded, ["4.00", "4.00", "50.00", "1000.00"]);
    }
}
