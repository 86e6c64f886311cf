//! The canvas that frames are drawn on: smooth shapes in pixels, by tiny-skia.

use std::f32::consts::TAU;

use tiny_skia::{FillRule, LineCap, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

/// Longest stretch of an arc drawn as a straight line \[rad\]: at the radius of 100 pixels it is 0.05 pixels off.
const ARC_STEP: f32 = 0.06;

/// An opaque colour: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rgb(pub [u8; 3]);

impl Rgb {
    /// As in style sheets, `#rrggbb`.
    pub fn hex(self) -> String {
        let [r, g, b] = self.0;
        format!("#{r:02x}{g:02x}{b:02x}")
    }

    /// `fraction` of `other`, the rest of this.
    pub fn mix(self, other: Self, fraction: f32) -> Self {
        let channel = |i: usize| {
            let (from, to) = (f32::from(self.0[i]), f32::from(other.0[i]));
            (from + (to - from) * fraction).round() as u8
        };
        Self([channel(0), channel(1), channel(2)])
    }
}

/// Colour and opacity of a shape.
#[derive(Debug, Clone, Copy)]
pub struct Ink(pub Rgb, pub f32);

impl Ink {
    fn paint(self) -> Paint<'static> {
        let Self(Rgb([r, g, b]), opacity) = self;
        let mut paint = Paint { anti_alias: true, ..Paint::default() };
        paint.set_color_rgba8(r, g, b, (opacity.clamp(0.0, 1.0) * 255.0).round() as u8);
        paint
    }
}

/// A point or vector in pixels: x to the right, y down.
pub type Px = [f32; 2];

/// A picture without transparency; pixel (0, 0) is the upper left one and its centre is at (0.5, 0.5).
#[derive(Debug, Clone)]
pub struct Canvas {
    pixmap: Pixmap,
}

impl Canvas {
    /// A canvas all in one colour; `None` where a side is 0 or no memory could hold it.
    pub fn new(width: u32, height: u32, Rgb([r, g, b]): Rgb) -> Option<Self> {
        let mut pixmap = Pixmap::new(width, height)?;
        pixmap.fill(tiny_skia::Color::from_rgba8(r, g, b, 255));
        Some(Self { pixmap })
    }

    /// The colour of the pixel in this column and row, which must exist.
    #[cfg(test)]
    pub fn pixel(&self, column: usize, row: usize) -> Rgb {
        let at = 4 * (row * self.pixmap.width() as usize + column);
        let bytes = &self.pixmap.data()[at..at + 3];
        Rgb([bytes[0], bytes[1], bytes[2]])
    }

    /// The colours of the pixels, row by row.
    pub fn pixels(&self) -> impl Iterator<Item = Rgb> {
        self.pixmap.data().chunks_exact(4).map(|pixel| Rgb([pixel[0], pixel[1], pixel[2]]))
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    ///
    /// When the encoder fails.
    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.pixmap.encode_png()?)
    }

    /// Fills a shape. Coordinates that are not finite draw nothing.
    pub fn fill(&mut self, ink: Ink, shape: &Path) {
        self.pixmap.fill_path(shape, &ink.paint(), FillRule::Winding, Transform::identity(), None);
    }

    fn stroke(&mut self, ink: Ink, path: &Path, thickness: f32) {
        let stroke = Stroke { width: thickness, line_cap: LineCap::Round, ..Stroke::default() };
        self.pixmap.stroke_path(path, &ink.paint(), &stroke, Transform::identity(), None);
    }

    /// A filled disc.
    pub fn disc(&mut self, ink: Ink, [x, y]: Px, radius: f32) {
        if let Some(circle) = PathBuilder::from_circle(x, y, radius) {
            self.fill(ink, &circle);
        }
    }

    /// A circle's line, its middle at `radius`.
    pub fn circle(&mut self, ink: Ink, [x, y]: Px, radius: f32, thickness: f32) {
        if let Some(circle) = PathBuilder::from_circle(x, y, radius) {
            self.stroke(ink, &circle, thickness);
        }
    }

    /// A filled rectangle of half sizes `half`, turned so that its first axis points along the unit vector `axis`.
    pub fn rectangle(&mut self, ink: Ink, [x, y]: Px, half: Px, axis: Px) {
        if axis == [1.0, 0.0] {
            if let Some(rect) = Rect::from_ltrb(x - half[0], y - half[1], x + half[0], y + half[1]) {
                self.fill(ink, &PathBuilder::from_rect(rect));
            }
            return;
        }
        let corner =
            |along: f32, across: f32| [x + along * axis[0] - across * axis[1], y + along * axis[1] + across * axis[0]];
        let [a, b] = half;
        self.polygon(ink, [corner(a, b), corner(a, -b), corner(-a, -b), corner(-a, b)]);
    }

    /// A straight line with round ends.
    pub fn line(&mut self, ink: Ink, from: Px, to: Px, thickness: f32) {
        let mut path = PathBuilder::new();
        path.move_to(from[0], from[1]);
        path.line_to(to[0], to[1]);
        if let Some(path) = path.finish() {
            self.stroke(ink, &path, thickness);
        }
    }

    /// The part of a ring between the radii `inner` and `outer` and between two angles, counterclockwise from the x axis
    /// \[rad\].
    pub fn ring_sector(&mut self, ink: Ink, [x, y]: Px, [inner, outer]: [f32; 2], [from, to]: [f32; 2]) {
        let steps = (((to - from).min(TAU) / ARC_STEP).ceil() as u16).max(1);
        let point = |radius: f32, step: u16| {
            let angle = from + (to - from) * f32::from(step) / f32::from(steps);
            [x + radius * angle.cos(), y - radius * angle.sin()]
        };
        let out = (0..=steps).map(|step| point(outer, step));
        self.polygon(ink, out.chain((0..=steps).rev().map(|step| point(inner, step))));
    }

    fn polygon(&mut self, ink: Ink, corners: impl IntoIterator<Item = Px>) {
        let mut path = PathBuilder::new();
        for [x, y] in corners {
            if path.is_empty() {
                path.move_to(x, y);
            } else {
                path.line_to(x, y);
            }
        }
        path.close();
        if let Some(path) = path.finish() {
            self.fill(ink, &path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Rgb = Rgb([255; 3]);
    const BLACK: Rgb = Rgb([0; 3]);

    fn canvas(width: u32, height: u32) -> Canvas {
        Canvas::new(width, height, WHITE).expect("a small canvas")
    }

    /// Pixels' worth of black.
    fn ink(canvas: &Canvas) -> f64 {
        canvas.pixels().map(|Rgb([r, ..])| f64::from(255 - r) / 255.0).sum()
    }

    #[test]
    fn shapes_cover_their_area() {
        let shape = |draw: &dyn Fn(&mut Canvas)| {
            let mut canvas = canvas(60, 50);
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
        let upright = shape(&|c| c.rectangle(black, [30.3, 24.6], [12.0, 8.0], [1.0, 0.0]));
        assert!((upright - 384.0).abs() < 4.0, "{upright}");
        let line = shape(&|c| c.line(black, [10.0, 10.0], [50.0, 40.0], 4.0));
        assert!((line - (50.0 * 4.0 + std::f64::consts::PI * 4.0)).abs() < 3.0, "{line}");
        let half = shape(&|c| c.disc(Ink(BLACK, 0.5), [30.3, 24.6], 15.0));
        assert!((half - disc / 2.0).abs() < 4.0, "{half}");
        // A quarter of the ring between 10 and 20: a quarter of 300 pi.
        let sector = shape(&|c| c.ring_sector(black, [30.3, 24.6], [10.0, 20.0], [0.3, 0.3 + TAU / 4.0]));
        assert!((sector - std::f64::consts::PI * 75.0).abs() < 3.0, "{sector}");
    }

    #[test]
    fn what_lies_outside_or_nowhere_is_not_drawn() {
        let mut canvas = canvas(20, 20);
        canvas.disc(Ink(BLACK, 1.0), [-500.0, 10.0], 30.0);
        canvas.disc(Ink(BLACK, 1.0), [10.0, f32::NAN], 30.0);
        canvas.line(Ink(BLACK, 1.0), [10.0, f32::INFINITY], [3.0, 4.0], 2.0);
        canvas.rectangle(Ink(BLACK, 1.0), [f32::NAN, 10.0], [3.0, 4.0], [0.6, 0.8]);
        assert_eq!(ink(&canvas), 0.0);
        canvas.rectangle(Ink(BLACK, 1.0), [10.0, 60.0], [100.0, 50.0], [1.0, 0.0]);
        assert_eq!(ink(&canvas), 200.0);
    }

    #[test]
    fn opacity_mixes_with_what_is_there() {
        let (ground, color) = (Rgb([0xf6, 0xf7, 0xf9]), Rgb([0x2f, 0x6f, 0xde]));
        for opacity in [0.0, 0.3, 0.4, 0.75, 0.9, 1.0] {
            let mut canvas = Canvas::new(9, 9, ground).expect("a small canvas");
            canvas.rectangle(Ink(color, opacity), [4.5, 4.5], [4.5, 4.5], [1.0, 0.0]);
            let (got, expected) = (canvas.pixel(4, 4), ground.mix(color, opacity));
            let off = got.0.iter().zip(expected.0).map(|(a, b)| a.abs_diff(b)).max();
            assert!(off <= Some(1), "{opacity}: {got:?} for {expected:?}");
        }
    }

    #[test]
    fn a_png_holds_the_pixels() {
        let mut canvas = Canvas::new(31, 17, WHITE).expect("a small canvas");
        canvas.disc(Ink(Rgb([200, 30, 4]), 0.7), [12.0, 9.0], 6.5);
        let decoded = Pixmap::decode_png(&canvas.png().expect("an encoder that works")).expect("a PNG");
        assert_eq!(decoded, canvas.pixmap);
    }

    #[test]
    fn colours_are_written_as_in_style_sheets() {
        assert_eq!(Rgb([0, 10, 255]).hex(), "#000aff");
    }
}
