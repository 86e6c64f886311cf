//! What a page needs to show a figure's values under the pointer: where the panels lie, and the numbers of their curves.

use serde::Serialize;

use super::{BOTTOM, Figure, LEFT, PANEL_HEIGHT, PANEL_WIDTH, RIGHT, Scale, TOP, color};

/// Significant digits of a number.
const DIGITS: usize = 6;

/// A figure's panels in the units of its SVG, and their curves in those of the axes.
#[derive(Debug, Serialize)]
pub struct Hover {
    /// What stands on the horizontal axis.
    x_label: String,
    /// Whether it is logarithmic.
    log: bool,
    /// What it spans; of a logarithmic axis, as powers of two.
    x_range: (f64, f64),
    panels: Vec<HoverPanel>,
}

#[derive(Debug, Serialize)]
struct HoverPanel {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    y_range: (f64, f64),
    limit: Option<String>,
    curves: Vec<HoverCurve>,
}

#[derive(Debug, Serialize)]
struct HoverCurve {
    name: String,
    color: &'static str,
    /// x, y and half the spread, point after point.
    points: Vec<[f64; 3]>,
}

impl Figure {
    /// The figure's numbers, for a page.
    pub fn hover(&self) -> Hover {
        let below = self.below_legend();
        let panels = self.panels.iter().enumerate().map(|(index, panel)| {
            let left = PANEL_WIDTH * index as f64;
            let curves = panel.curves.iter().enumerate().map(|(place, curve)| HoverCurve {
                name: curve.name.clone(),
                color: color(place),
                points: curve
                    .points
                    .iter()
                    .filter(|p| p.x.is_finite() && p.y.is_finite())
                    .map(|p| [p.x, p.y, (p.high - p.low) / 2.0].map(rounded))
                    .collect(),
            });
            HoverPanel {
                left: left + LEFT,
                right: left + PANEL_WIDTH - RIGHT,
                top: below + TOP,
                bottom: below + PANEL_HEIGHT - BOTTOM,
                y_range: panel.y_range(),
                limit: panel.limit.as_ref().map(|(_, name)| name.clone()),
                curves: curves.collect(),
            }
        });
        Hover {
            x_label: self.x_label.clone(),
            log: self.x_scale == Scale::Log2,
            x_range: self.x_range(),
            panels: panels.collect(),
        }
    }
}

/// Digits that nobody would see.
fn rounded(value: f64) -> f64 {
    let text = format!("{value:.*e}", DIGITS - 1);
    text.parse().ok().filter(|value: &f64| value.is_finite()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Curve, Panel, Point};
    use super::*;

    #[test]
    fn numbers_are_those_of_the_curves() {
        let point = |x: f64, y: f64| Point { x, y, low: y - 0.5, high: y + 0.5 };
        let curve = Curve { name: "a".into(), points: vec![point(0.0, 1.0), point(2.0, f64::NAN), point(3.0, 2.0)] };
        let panel = Panel { label: "cost".into(), curves: vec![curve], limit: Some((25.0, "limit 25".into())) };
        let figure = Figure {
            title: String::new(),
            x_label: "steps".into(),
            x_scale: Scale::Linear,
            panels: vec![panel.clone(), panel],
        };
        let hover = figure.hover();
        assert_eq!(hover.x_range, (0.0, 3.0));
        let second = &hover.panels[1];
        assert_eq!((second.left, second.right), (PANEL_WIDTH + LEFT, 2.0 * PANEL_WIDTH - RIGHT));
        assert_eq!(second.curves[0].points, [[0.0, 1.0, 0.5], [3.0, 2.0, 0.5]]);
        assert!(second.y_range.0 < 0.6 && second.y_range.1 > 25.0);
        assert_eq!((rounded(0.123_456_789), rounded(f64::NAN), rounded(-1e300)), (0.123_457, 0.0, -1e300));
    }
}
