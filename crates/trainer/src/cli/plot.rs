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
mod tests;
