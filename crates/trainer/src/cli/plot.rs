//! Figures: curves with a spread over a common horizontal axis, drawn as SVG.

use std::fmt::Write;

mod hover;
mod legend;

pub use hover::Hover;
use legend::{LEGEND_LINE, legend};

/// Colours that stay apart for the colour-blind (Okabe and Ito 2008).
const PALETTE: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
const PANEL_WIDTH: f64 = 420.0;
const PANEL_HEIGHT: f64 = 280.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 48.0;
/// Intervals aimed at between ticks.
const TICKS: f64 = 5.0;
/// The same between powers of two, where names are short.
const LOG_TICKS: f64 = 6.0;
/// Share of the data's range left free above and below.
const HEADROOM: f64 = 0.05;
/// Dashes of the curves that have a colour for the first, second, third time.
const DASHES: [&str; 3] = ["", "8 3", "2 3"];

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Horizontal position.
    pub x: f64,
    /// The curve.
    pub y: f64,
    /// Lower edge of the spread.
    pub low: f64,
    /// Upper edge of the spread.
    pub high: f64,
}

/// A named curve. Its colour is its place in the panel, the same in every panel of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Name in the legend.
    pub name: String,
    /// Points, left to right.
    pub points: Vec<Point>,
}

/// One pair of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What stands on the vertical axis.
    pub label: String,
    /// The curves.
    pub curves: Vec<Curve>,
    /// A dashed horizontal line and its name.
    pub limit: Option<(f64, String)>,
}

/// How numbers lie along the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By their logarithms, marked at powers of two.
    Log2,
}

/// Panels side by side under one title, with a common horizontal axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Title.
    pub title: String,
    /// What stands on the horizontal axis.
    pub x_label: String,
    /// How its numbers lie.
    pub x_scale: Scale,
    /// The panels.
    pub panels: Vec<Panel>,
}

impl Figure {
    /// The figure as an SVG document.
    pub fn to_svg(&self) -> String {
        let width = self.width();
        let legend = legend(self, width);
        let below = self.below_legend();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {:.0}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#222\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{:.0}\" y=\"20\" text-anchor=\"middle\" font-size=\"15\">{}</text>\n",
            PANEL_HEIGHT + below,
            width / 2.0,
            escaped(&self.title)
        );
        legend.iter().for_each(|place| place.draw(&mut svg));
        let x_range = self.x_range();
        for (index, panel) in self.panels.iter().enumerate() {
            let _ = writeln!(svg, "<g transform=\"translate({:.0} {below:.0})\">", PANEL_WIDTH * index as f64);
            panel.draw(&mut svg, x_range, self.x_scale, &self.x_label);
            svg.push_str("</g>\n");
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn width(&self) -> f64 {
        PANEL_WIDTH * self.panels.len() as f64
    }

    /// How far the panels are moved down by a legend of several lines.
    fn below_legend(&self) -> f64 {
        let lines = legend(self, self.width()).last().map_or(0, |place| place.line);
        LEGEND_LINE * lines as f64
    }

    /// What the horizontal axis spans, in places.
    fn x_range(&self) -> (f64, f64) {
        let points = self.panels.iter().flat_map(|p| &p.curves).flat_map(|c| &c.points);
        range(points.map(|p| self.x_scale.place(p.x)), 0.0)
    }
}

impl Panel {
    /// What the vertical axis spans.
    fn y_range(&self) -> (f64, f64) {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        let edges = points.flat_map(|p| [p.y, p.low, p.high]);
        range(edges.chain(self.limit.iter().map(|(value, _)| *value)), HEADROOM)
    }

    fn draw(&self, svg: &mut String, x_range: (f64, f64), scale: Scale, x_label: &str) {
        let y_range = self.y_range();
        let (right, bottom) = (PANEL_WIDTH - RIGHT, PANEL_HEIGHT - BOTTOM);
        let x = |value: f64| LEFT + (scale.place(value) - x_range.0) / (x_range.1 - x_range.0) * (right - LEFT);
        let y = |value: f64| bottom - (value - y_range.0) / (y_range.1 - y_range.0) * (bottom - TOP);

        for (tick, name) in named_ticks(y_range) {
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{0:.1}\" x2=\"{right}\" y2=\"{0:.1}\" stroke=\"#e4e4e4\"/>\
                 <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{3}</text>",
                y(tick),
                LEFT - 6.0,
                y(tick) + 4.0,
                name
            );
        }
        for (tick, name) in scale.ticks(x_range) {
            let _ = writeln!(
                svg,
                "<line x1=\"{0:.1}\" y1=\"{bottom}\" x2=\"{0:.1}\" y2=\"{1}\" stroke=\"#888\"/>\
                 <text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\">{3}</text>",
                x(tick),
                bottom + 4.0,
                bottom + 18.0,
                name
            );
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#888\"/>\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (LEFT + right) / 2.0,
            PANEL_HEIGHT - 10.0,
            escaped(x_label),
            (TOP + bottom) / 2.0,
            escaped(&self.label)
        );
        for (index, curve) in self.curves.iter().enumerate() {
            let upper = curve.points.iter().map(|p| (x(p.x), y(p.high)));
            let lower = curve.points.iter().rev().map(|p| (x(p.x), y(p.low)));
            let _ = writeln!(
                svg,
                "<path d=\"{}Z\" fill=\"{color}\" fill-opacity=\"0.18\"/>\
                 <path d=\"{}\" fill=\"none\" {stroke} stroke-width=\"2\"/>",
                path(upper.chain(lower)),
                path(curve.points.iter().map(|p| (x(p.x), y(p.y)))),
                color = color(index),
                stroke = stroke(index)
            );
        }
        if let Some((value, name)) = &self.limit {
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{0:.1}\" x2=\"{right}\" y2=\"{0:.1}\" stroke=\"#c00\" \
                 stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>\
                 <text x=\"{1}\" y=\"{2:.1}\" fill=\"#c00\">{3}</text>",
                y(*value),
                LEFT + 6.0,
                y(*value) + 15.0, // below and to the left: costs begin high
                escaped(name)
            );
        }
    }
}

impl Scale {
    /// Where a value stands, before the axis is stretched to the panel.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log2 => value.max(f64::MIN_POSITIVE).log2(),
        }
    }

    /// Values to mark within a range of places, and what to write there.
    fn ticks(self, range: (f64, f64)) -> Vec<(f64, String)> {
        match self {
            Self::Linear => named_ticks(range),
            Self::Log2 => {
                let (first, last) = (range.0.ceil() as i64, range.1.floor() as i64);
                let step = ((range.1 - range.0) / LOG_TICKS).ceil().max(1.0) as usize;
                (first..=last).step_by(step).map(|place| ((place as f64).exp2(), power_of_two(place))).collect()
            }
        }
    }
}

/// 64, 16k, 1M.
fn power_of_two(exponent: i64) -> String {
    match exponent {
        20.. => format!("{}M", 1i64 << (exponent - 20).min(40)),
        10.. => format!("{}k", 1i64 << (exponent - 10)),
        _ => format!("{}", (exponent as f64).exp2()),
    }
}

fn color(index: usize) -> &'static str {
    PALETTE[index % PALETTE.len()]
}

/// A curve's colour and, once all colours are taken, its dashes.
fn stroke(index: usize) -> String {
    let dashes = DASHES[index / PALETTE.len() % DASHES.len()];
    let dashes = if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dashes}\"") };
    format!("stroke=\"{}\"{dashes}", color(index))
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut text = String::new();
    for (index, (x, y)) in points.enumerate() {
        let _ = write!(text, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    text
}

/// Smallest and largest finite value, widened by `headroom` of their distance; never empty.
pub fn range(values: impl Iterator<Item = f64>, headroom: f64) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let distance = if high > low { high - low } else { high.abs().max(1.0) };
    let free = if high > low { headroom * distance } else { 0.5 * distance };
    (low - free, high + free)
}

/// Multiples of 1, 2 or 5 times a power of ten inside the range.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let raw = (high - low) / TICKS;
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= raw).unwrap_or(10.0);
    let step = factor * power;
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|index| index as f64 * step).collect()
}

/// The ticks and their names, as many digits as tell one from the next.
pub fn named_ticks(range: (f64, f64)) -> Vec<(f64, String)> {
    let ticks = ticks(range);
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).next().unwrap_or(f64::INFINITY);
    let name = |tick: f64| match (-step.log10()).ceil() {
        digits @ 3.0..=12.0 => format!("{tick:.*}", digits as usize),
        _ => short(tick),
    };
    ticks.iter().map(|tick| (*tick, name(*tick))).collect()
}

/// A tick's number without noise digits: 2.5M, 500k, 0.2.
pub fn short(value: f64) -> String {
    let trimmed = |value: f64| {
        let text = format!("{value:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if text == "-0" { "0".to_owned() } else { text.to_owned() }
    };
    match value.abs() {
        size if size >= 1e6 => trimmed(value / 1e6) + "M",
        size if size >= 1e4 => trimmed(value / 1e3) + "k",
        _ => trimmed(value),
    }
}

/// `text` as it stands in HTML and SVG.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((0.0, 10.0)), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks((-0.9, 2.1)), [0.0, 1.0, 2.0]);
        assert_eq!(ticks((0.0, 4e6)), [0.0, 1e6, 2e6, 3e6, 4e6]);
        assert_eq!(short(2_500_000.0), "2.5M");
        assert_eq!(short(20_000.0), "20k");
        assert_eq!(short(-0.001), "0");
        let names = |range| named_ticks(range).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names((0.0, 0.011)), ["0.000", "0.005", "0.010"]);
        assert_eq!(names((0.0, 1.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
    }

    #[test]
    fn a_logarithmic_axis_is_marked_at_powers_of_two() {
        let marks = Scale::Log2.ticks((6.0, 18.0));
        assert_eq!(marks.first(), Some(&(64.0, "64".to_owned())));
        assert!(marks.contains(&(16_384.0, "16k".to_owned())), "{marks:?}");
        assert_eq!(Scale::Log2.place(1024.0), 10.0);
        assert_eq!((power_of_two(21), power_of_two(-1)), ("2M".to_owned(), "0.5".to_owned()));
    }

    #[test]
    fn ranges_survive_odd_data() {
        assert_eq!(range([].into_iter(), 0.1), (0.0, 1.0));
        assert_eq!(range([f64::NAN, 4.0].into_iter(), 0.1), (2.0, 6.0));
        assert_eq!(range([0.0, 10.0].into_iter(), 0.1), (-1.0, 11.0));
    }

    #[test]
    fn a_figure_holds_its_curves_and_the_limit() {
        let points = |y: f64| {
            let point = |x: f64| Point { x, y: y * x, low: y * x - 1.0, high: y * x + 1.0 };
            [0.0, 1.0, 2.0].into_iter().map(point).collect()
        };
        let curves =
            vec![Curve { name: "a<b".into(), points: points(1.0) }, Curve { name: "c".into(), points: points(2.0) }];
        let panel = Panel { label: "cost".into(), curves, limit: Some((25.0, "limit 25".into())) };
        let panels = vec![panel];
        let figure = Figure { title: "T & U".into(), x_label: "steps".into(), x_scale: Scale::Linear, panels };
        let svg = figure.to_svg();
        for part in ["a&lt;b", "T &amp; U", "limit 25", "stroke-dasharray", PALETTE[0], PALETTE[1]] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert_eq!(svg.matches("fill-opacity").count(), 2);
        assert!(!svg.contains("NaN"));

        // The limit and the bottom of the axis tell what a height means: every point stands where its value is.
        let limit = attribute(svg.lines().find(|line| line.contains("stroke-dasharray")).unwrap(), "y1");
        let ticks: Vec<(f64, f64)> = svg.lines().filter(|line| line.contains("#e4e4e4")).map(tick).collect();
        assert!(ticks.len() >= 3, "{ticks:?}");
        let zero = ticks.iter().find(|(value, _)| *value == 0.0).unwrap().1;
        let height = |value: f64| zero + (limit - zero) * value / 25.0;
        for (value, y) in &ticks {
            assert!((height(*value) - y).abs() < 0.11, "tick {value} at {y}");
        }
        let (right, width) = (PANEL_WIDTH - RIGHT, PANEL_WIDTH - RIGHT - LEFT);
        for (index, slope) in [(0, 1.0), (1, 2.0)] {
            let line = svg.lines().find(|l| l.contains(&format!("stroke=\"{}\" stroke-width=\"2\"", PALETTE[index])));
            let [band, curve]: [Vec<(f64, f64)>; 2] = paths(line.unwrap()).try_into().unwrap();
            let expected = |y: &dyn Fn(f64) -> f64, xs: &[f64]| -> Vec<(f64, f64)> {
                xs.iter().map(|x| (LEFT + x / 2.0 * width, height(y(*x)))).collect()
            };
            assert_near(&curve, &expected(&|x| slope * x, &[0.0, 1.0, 2.0]));
            let upper = expected(&|x| slope * x + 1.0, &[0.0, 1.0, 2.0]);
            let lower = expected(&|x| slope * x - 1.0, &[2.0, 1.0, 0.0]);
            assert_near(&band, &[upper, lower].concat());
            assert!((curve[2].0 - right).abs() < 0.11);
        }
    }

    fn assert_near(got: &[(f64, f64)], expected: &[(f64, f64)]) {
        assert_eq!(got.len(), expected.len(), "{got:?} {expected:?}");
        for (a, b) in got.iter().zip(expected) {
            // Written with one digit, and the heights above are read with one.
            assert!((a.0 - b.0).abs() < 0.11 && (a.1 - b.1).abs() < 0.25, "{got:?} {expected:?}");
        }
    }

    fn attribute(line: &str, name: &str) -> f64 {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.parse().unwrap()
    }

    /// A tick's value, by its label, and its height.
    fn tick(line: &str) -> (f64, f64) {
        let label = line.rsplit_once("</text>").unwrap().0.rsplit_once('>').unwrap().1;
        (label.parse().unwrap(), attribute(line, "y1"))
    }

    /// The points of every path of a line.
    fn paths(line: &str) -> Vec<Vec<(f64, f64)>> {
        let data = line.split(" d=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0);
        let points = data.map(|d| d.trim_end_matches('Z').split(['M', 'L']).filter(|point| !point.is_empty()));
        let number = |text: &str| text.parse::<f64>().unwrap();
        let point = |text: &str| text.split_once(' ').map(|(x, y)| (number(x), number(y))).unwrap();
        points.map(|points| points.map(point).collect()).collect()
    }
}
