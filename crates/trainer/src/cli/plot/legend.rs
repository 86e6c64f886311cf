//! The legend of a figure: the names of its curves, in as many lines as they need.

use std::fmt::Write;

use super::{Figure, LEFT, RIGHT, escaped, stroke};

/// Width of a letter of the legend, roughly.
const LETTER: f64 = 6.6;
/// Between two lines of the legend.
pub const LEGEND_LINE: f64 = 18.0;

/// Where the names of the curves stand: side by side as long as they fit into `width`.
pub fn legend(figure: &Figure, width: f64) -> Vec<LegendPlace<'_>> {
    let (mut x, mut line) = (LEFT, 0);
    let mut places = Vec::new();
    for (index, curve) in figure.panels.first().iter().flat_map(|p| &p.curves).enumerate() {
        let length = 24.0 + LETTER * curve.name.chars().count() as f64;
        if x > LEFT && x + length > width - RIGHT {
            (x, line) = (LEFT, line + 1);
        }
        places.push(LegendPlace { name: &curve.name, index, x, line });
        x += 20.0 + length;
    }
    places
}

/// A curve's name in the legend.
pub struct LegendPlace<'a> {
    name: &'a str,
    index: usize,
    x: f64,
    /// Lines above it.
    pub line: usize,
}

impl LegendPlace<'_> {
    /// Draws it with a piece of its curve.
    pub fn draw(&self, svg: &mut String) {
        let (x, y) = (self.x, 38.0 + LEGEND_LINE * self.line as f64);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.0}\" y1=\"{y:.0}\" x2=\"{:.0}\" y2=\"{y:.0}\" {} stroke-width=\"3\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
            x + 18.0,
            stroke(self.index),
            x + 24.0,
            y + 4.0,
            escaped(self.name)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Curve, PALETTE, PANEL_HEIGHT, PANEL_WIDTH, Panel, Point, Scale};
    use super::*;

    #[test]
    fn a_legend_of_many_curves_takes_several_lines_and_tells_them_apart() {
        let point = Point { x: 0.0, y: 0.0, low: 0.0, high: 0.0 };
        let curve = |index: usize| Curve { name: format!("algorithm number {index:02}"), points: vec![point] };
        let panel = Panel { label: "cost".into(), curves: (0..9).map(curve).collect(), limit: None };
        let panels = vec![panel.clone(), panel];
        let figure = Figure { title: "T".into(), x_label: "steps".into(), x_scale: Scale::Linear, panels };
        let width = 2.0 * PANEL_WIDTH;
        let places = legend(&figure, width);
        assert!(places.iter().all(|place| place.x + 24.0 + LETTER * place.name.len() as f64 <= width));
        assert_eq!(places.iter().map(|place| place.line).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 1, 1, 1, 2]);
        let svg = figure.to_svg();
        assert!(svg.contains(&format!("viewBox=\"0 0 {width} {}\"", PANEL_HEIGHT + 36.0)), "{svg}");
        assert!(stroke(0) == format!("stroke=\"{}\"", PALETTE[0]) && stroke(7).contains("dasharray"));
    }
}
