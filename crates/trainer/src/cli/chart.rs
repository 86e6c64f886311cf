//! Curves in a terminal, drawn with the dots of Braille characters: two by four in a cell.

use super::colour::{Colour, painted};
use super::plot::{named_ticks, range, short};

/// Columns before the axis: a tick's number.
const LABEL: usize = 7;
/// The first of the 256 characters of Braille patterns.
const BRAILLE: u32 = 0x2800;
/// The bit of the dot in row `y`, column `x` of a cell.
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
/// Share of the data's range left free above and below.
const HEADROOM: f64 = 0.05;

/// One pair of axes.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What stands above it, from the axis on.
    pub title: String,
    /// The curves: points from left to right; what is not finite is a gap.
    pub curves: Vec<Vec<(f64, f64)>>,
    /// Where a line across is drawn.
    pub limit: Option<f64>,
    /// What the horizontal axis spans.
    pub x_range: (f64, f64),
}

/// A cell of the canvas.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    dots: u8,
    curve: usize,
}

/// Dots and who set them, `[rows, columns]` cells.
struct Canvas {
    cells: Vec<Cell>,
    columns: usize,
    rows: usize,
}

impl Canvas {
    fn new(columns: usize, rows: usize) -> Self {
        Self { cells: vec![Cell::default(); columns * rows], columns, rows }
    }

    fn set(&mut self, x: f64, y: f64, curve: usize) {
        let within = |value: f64, end: usize| (value.round().max(0.0) as usize).min(end - 1);
        let (x, y) = (within(x, 2 * self.columns), within(y, 4 * self.rows));
        let cell = &mut self.cells[y / 4 * self.columns + x / 2];
        cell.dots |= DOTS[y % 4][x % 2];
        cell.curve = curve;
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), curve: usize) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let steps = dx.abs().max(dy.abs()).ceil().clamp(1.0, 1e4);
        for step in 0..=steps as usize {
            let share = step as f64 / steps;
            self.set(from.0 + share * dx, from.1 + share * dy, curve);
        }
    }
}

impl Chart {
    /// The chart in `height` lines of `width` columns, both of them as large as it needs at least.
    pub fn lines(&self, width: usize, height: usize, coloured: bool) -> Vec<String> {
        let (columns, rows) = (width.saturating_sub(LABEL + 1).max(8), height.saturating_sub(2).max(3));
        let values = self.curves.iter().flatten().map(|(_, y)| *y);
        let y_range = range(values.chain(self.limit), HEADROOM);
        let place = |value: f64, (low, high): (f64, f64), dots: usize| (value - low) / (high - low) * (dots - 1) as f64;
        let y = |value: f64| (4 * rows - 1) as f64 - place(value, y_range, 4 * rows);
        let row = |value: f64| (y(value) / 4.0).max(0.0) as usize;
        let mut canvas = Canvas::new(columns, rows);
        for (index, curve) in self.curves.iter().enumerate() {
            let mut former = None;
            for (x, value) in curve {
                let point = (place(*x, self.x_range, 2 * columns), y(*value));
                let finite = point.0.is_finite() && point.1.is_finite();
                if finite {
                    canvas.line(former.unwrap_or(point), point, index);
                }
                former = finite.then_some(point);
            }
        }

        let mut labels = vec![String::new(); rows];
        for (tick, name) in named_ticks(y_range) {
            labels[row(tick).min(rows - 1)] = name;
        }
        let paint = |text: &str, colour: Colour| painted(text, coloured.then_some(colour));
        let mut lines = vec![padded(&format!("{:1$}{2}", "", LABEL + 1, self.title), LABEL + 1 + columns)];
        let limit = self.limit.map(row);
        for (index, (cells, label)) in canvas.cells.chunks(columns).zip(&labels).enumerate() {
            let axis = if label.is_empty() { '│' } else { '┤' };
            let mut line = paint(&format!("{label:>LABEL$}{axis}"), Colour::GREY);
            for cell in cells {
                match char::from_u32(BRAILLE + u32::from(cell.dots)) {
                    Some(dots) if cell.dots != 0 => {
                        line.push_str(&paint(&dots.to_string(), Colour::of_curve(cell.curve)));
                    }
                    _ if limit == Some(index) => line.push_str(&paint("╌", Colour::RED)),
                    _ => line.push(' '),
                }
            }
            lines.push(line);
        }
        let (first, last) = (short(self.x_range.0), short(self.x_range.1));
        let axis = format!("{}└{first}{last:>1$}", " ".repeat(LABEL), columns.saturating_sub(first.len()));
        lines.push(paint(&axis, Colour::GREY));
        lines
    }
}

/// `text` in exactly `width` columns.
fn padded(text: &str, width: usize) -> String {
    let cut: String = text.chars().take(width).collect();
    format!("{cut:<width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let rising = (0..=100).map(|x| (f64::from(x), f64::from(x) / 10.0)).collect();
        Chart { title: "return".to_owned(), curves: vec![rising], limit: Some(5.0), x_range: (0.0, 100.0) }
    }

    #[test]
    fn a_rising_line_goes_from_below_left_to_above_right() {
        let lines = chart().lines(40, 12, false);
        assert_eq!(lines.len(), 12);
        assert!(lines.iter().all(|line| line.chars().count() == 40), "{lines:#?}");
        let is_dot = |c: &char| (0x2801..0x2900).contains(&u32::from(*c));
        let place = |line: &String| line.chars().position(|c| is_dot(&c));
        let places: Vec<usize> = lines[1..11].iter().filter_map(place).collect();
        assert!(places.len() >= 9 && places.windows(2).all(|pair| pair[0] > pair[1]), "{places:?}");
        assert!(places[0] >= 36 && *places.last().unwrap() == LABEL + 1, "{places:?}");
        // The limit stands in the middle, and what it is told by.
        let limit: Vec<usize> = (0..12).filter(|row| lines[*row].contains('╌')).collect();
        assert!(limit.len() == 1 && (5..=6).contains(&limit[0]), "{lines:#?}");
        assert!(lines[0].trim_start().starts_with("return ") && lines[11].ends_with("100") && lines[11].contains("└0"));
        assert!(lines[1..11].iter().any(|line| line.trim_start().starts_with("10┤")), "{lines:#?}");
    }

    #[test]
    fn odd_curves_and_small_terminals_are_drawn_too() {
        let mut chart = chart();
        chart.curves = vec![vec![], vec![(1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 1.0)], vec![(50.0, 2.0)]];
        chart.limit = None;
        for (width, height) in [(0, 0), (20, 5), (300, 80)] {
            let lines = chart.lines(width, height, true);
            assert!(lines.len() >= 5 && lines.iter().any(|line| line.contains("\x1b[33m")), "{lines:#?}");
        }
        chart.x_range = (0.0, 0.0);
        assert_eq!(chart.lines(30, 8, false).len(), 8);
    }
}
