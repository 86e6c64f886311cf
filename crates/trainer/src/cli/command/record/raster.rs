//! A small canvas with smooth edges: every shape is a distance, and a pixel is covered by how far it is inside.

/// An opaque colour: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rgb(pub [u8; 3]);

impl Rgb {
    /// As in style sheets, `#rrggbb`.
    pub fn hex(self) -> String {
        let [r, g, b] = self.0;
        format!("#{r:02x}{g:02x}{b:02x}")
    }

    /// `share` of `other`, the rest of this.
    pub fn mix(self, other: Self, share: f32) -> Self {
        let channel = |i: usize| {
            let (from, to) = (f32::from(self.0[i]), f32::from(other.0[i]));
            (from + (to - from) * share).round() as u8
        };
        Self([channel(0), channel(1), channel(2)])
    }
}

/// Colour and opacity of a shape.
#[derive(Debug, Clone, Copy)]
pub struct Ink(pub Rgb, pub f32);

/// A point or vector in pixels: x to the right, y down.
pub type Px = [f32; 2];

/// A picture; pixel (0, 0) is the upper left one and its centre is at (0.5, 0.5).
#[derive(Debug, Clone)]
pub struct Canvas {
    width: usize,
    pixels: Vec<Rgb>,
    clip: [usize; 2],
}

impl Canvas {
    /// A canvas all in one colour.
    pub fn new(width: usize, height: usize, color: Rgb) -> Self {
        Self { width, pixels: vec![color; width * height], clip: [0, height] }
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> &[Rgb] {
        &self.pixels
    }

    /// Later shapes are drawn in these rows only.
    pub fn clip_rows(&mut self, first: usize, end: usize) {
        self.clip = [first, end.min(self.pixels.len() / self.width.max(1))];
    }

    /// Covers the pixels whose `distance` to a shape's edge \[pixels, negative inside\] says so, within the rectangle
    /// from `low` to `high` that holds the shape.
    pub fn paint(&mut self, ink: Ink, low: Px, high: Px, distance: impl Fn(Px) -> f32) {
        let range = |low: f32, high: f32, first: usize, end: usize| {
            // A conversion of a negative number or NaN to usize gives 0.
            ((low - 1.0).floor() as usize).clamp(first, end)..((high + 1.0).ceil() as usize).clamp(first, end)
        };
        let Ink(color, opacity) = ink;
        for row in range(low[1], high[1], self.clip[0], self.clip[1]) {
            for column in range(low[0], high[0], 0, self.width) {
                let inside = 0.5 - distance([column as f32 + 0.5, row as f32 + 0.5]);
                if inside > 0.0 {
                    let pixel = &mut self.pixels[row * self.width + column];
                    *pixel = pixel.mix(color, inside.min(1.0) * opacity);
                }
            }
        }
    }

    /// A filled disc.
    pub fn disc(&mut self, ink: Ink, [cx, cy]: Px, radius: f32) {
        let (low, high) = around([cx, cy], radius);
        self.paint(ink, low, high, |[x, y]| (x - cx).hypot(y - cy) - radius);
    }

    /// A circle's line, its middle at `radius`.
    pub fn circle(&mut self, ink: Ink, [cx, cy]: Px, radius: f32, thickness: f32) {
        let (low, high) = around([cx, cy], radius + thickness);
        self.paint(ink, low, high, |[x, y]| ((x - cx).hypot(y - cy) - radius).abs() - thickness / 2.0);
    }

    /// A filled rectangle of half sizes `half`, turned so that its first axis points along the unit vector `axis`.
    pub fn rectangle(&mut self, ink: Ink, [cx, cy]: Px, half: Px, [ax, ay]: Px) {
        let (low, high) = around([cx, cy], half[0].hypot(half[1]));
        self.paint(ink, low, high, |[x, y]| {
            let along = ((x - cx) * ax + (y - cy) * ay).abs() - half[0];
            let across = ((y - cy) * ax - (x - cx) * ay).abs() - half[1];
            along.max(across)
        });
    }

    /// A straight line with round ends.
    pub fn line(&mut self, ink: Ink, from: Px, to: Px, thickness: f32) {
        let reach = thickness / 2.0;
        let low = [from[0].min(to[0]) - reach, from[1].min(to[1]) - reach];
        let high = [from[0].max(to[0]) + reach, from[1].max(to[1]) + reach];
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let square = (dx * dx + dy * dy).max(f32::MIN_POSITIVE);
        self.paint(ink, low, high, |[x, y]| {
            let along = (((x - from[0]) * dx + (y - from[1]) * dy) / square).clamp(0.0, 1.0);
            (x - from[0] - along * dx).hypot(y - from[1] - along * dy) - reach
        });
    }
}

fn around([x, y]: Px, reach: f32) -> (Px, Px) {
    ([x - reach, y - reach], [x + reach, y + reach])
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Rgb = Rgb([255; 3]);
    const BLACK: Rgb = Rgb([0; 3]);

    /// Pixels' worth of black.
    fn ink(canvas: &Canvas) -> f64 {
        canvas.pixels().iter().map(|Rgb([r, ..])| f64::from(255 - r) / 255.0).sum()
    }

    #[test]
    fn shapes_cover_their_area() {
        let shape = |draw: &dyn Fn(&mut Canvas)| {
            let mut canvas = Canvas::new(60, 50, WHITE);
            draw(&mut canvas);
            ink(&canvas)
        };
        let black = Ink(BLACK, 1.0);
        let turned = [0.6, 0.8];
        let disc = shape(&|c| c.disc(black, [30.3, 24.6], 15.0));
        assert!((disc - std::f64::consts::PI * 225.0).abs() < 4.0, "{disc}");
        let circle = shape(&|c| c.circle(black, [30.3, 24.6], 15.0, 4.0));
        assert!((circle - std::f64::consts::TAU * 60.0).abs() < 4.0, "{circle}");
        let rectangle = shape(&|c| c.rectangle(black, [30.3, 24.6], [12.0, 8.0], turned));
        assert!((rectangle - 384.0).abs() < 4.0, "{rectangle}");
        let line = shape(&|c| c.line(black, [10.0, 10.0], [50.0, 40.0], 4.0));
        assert!((line - (50.0 * 4.0 + std::f64::consts::PI * 4.0)).abs() < 3.0, "{line}");
        let half = shape(&|c| c.disc(Ink(BLACK, 0.5), [30.3, 24.6], 15.0));
        assert!((half - disc / 2.0).abs() < 4.0, "{half}");
    }

    #[test]
    fn what_lies_outside_is_cut_off() {
        let mut canvas = Canvas::new(20, 20, WHITE);
        canvas.disc(Ink(BLACK, 1.0), [-500.0, 10.0], 30.0);
        canvas.disc(Ink(BLACK, 1.0), [10.0, f32::NAN], 30.0);
        assert_eq!(ink(&canvas), 0.0);
        canvas.clip_rows(0, 10);
        canvas.rectangle(Ink(BLACK, 1.0), [10.0, 10.0], [100.0, 100.0], [1.0, 0.0]);
        assert_eq!(ink(&canvas), 200.0);
    }

    #[test]
    fn colours_are_written_as_in_style_sheets() {
        assert_eq!(Rgb([0, 10, 255]).hex(), "#000aff");
    }
}
