//! Text in pictures: Inter, whose outlines are filled like any other shape.

use std::sync::LazyLock;

use tiny_skia::{Path, PathBuilder, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::canvas::{Canvas, Ink, Px};

/// Printable ASCII of Inter SemiBold, SIL Open Font License (assets/fonts/OFL.txt, which says how it was cut out).
static INTER: &[u8] = include_bytes!("../../../../../../assets/fonts/Inter-SemiBold-ascii.otf");

static FONT: LazyLock<Font> = LazyLock::new(Font::inter);

/// A character's outline, its left end on the base line at the origin, y up, and the way to the next one; both in units of
/// a capital's height.
struct Glyph {
    outline: Option<Path>,
    advance: f32,
}

/// The glyphs of printable ASCII.
struct Font {
    glyphs: Vec<Glyph>,
}

impl Font {
    const FIRST: u8 = b' ';
    const LAST: u8 = b'~';

    fn inter() -> Self {
        let face = Face::parse(INTER, 0).expect("the font that is compiled in");
        let unit = 1.0 / f32::from(face.capital_height().unwrap_or_else(|| face.ascender()));
        // All digits take the width of the widest, so that a running number does not make its neighbours tremble.
        let digits = (b'0'..=b'9').filter_map(|digit| advance(&face, digit));
        let widest = digits.max().unwrap_or(0);
        let glyphs = (Self::FIRST..=Self::LAST).map(|character| {
            let natural = advance(&face, character).unwrap_or(0);
            let taken = if character.is_ascii_digit() { widest } else { natural };
            let shift = f32::from(taken - natural) / 2.0;
            let outline = glyph(&face, character).and_then(|id| {
                let mut outline = Outline(PathBuilder::new());
                face.outline_glyph(id, &mut outline)?;
                outline.0.finish()?.transform(Transform::from_row(unit, 0.0, 0.0, unit, shift * unit, 0.0))
            });
            Glyph { outline, advance: f32::from(taken) * unit }
        });
        Self { glyphs: glyphs.collect() }
    }

    /// The glyph of a character; a question mark's for what the font does not have.
    fn glyph(&self, character: char) -> &Glyph {
        let byte = u8::try_from(character).ok().filter(|byte| (Self::FIRST..=Self::LAST).contains(byte));
        &self.glyphs[usize::from(byte.unwrap_or(b'?') - Self::FIRST)]
    }
}

fn glyph(face: &Face, character: u8) -> Option<GlyphId> {
    face.glyph_index(char::from(character))
}

fn advance(face: &Face, character: u8) -> Option<u16> {
    face.glyph_hor_advance(glyph(face, character)?)
}

/// Takes the font's curves over into a path.
struct Outline(PathBuilder);

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.0.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.0.close();
    }
}

/// Width of `text` with capitals of `height` pixels.
pub fn text_width(text: &str, height: f32) -> f32 {
    text.chars().map(|character| FONT.glyph(character).advance).sum::<f32>() * height
}

/// Writes `text` with capitals of `height` pixels, their upper left corner at `at`.
pub fn write(canvas: &mut Canvas, ink: Ink, text: &str, at: Px, height: f32) {
    let [mut left, base] = [at[0], at[1] + height];
    for character in text.chars() {
        let glyph = FONT.glyph(character);
        let place = Transform::from_row(height, 0.0, 0.0, -height, left, base);
        if let Some(outline) = glyph.outline.clone().and_then(|outline| outline.transform(place)) {
            canvas.fill(ink, &outline);
        }
        left += glyph.advance * height;
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::Rgb;
    use super::*;

    #[test]
    fn every_character_is_drawn_and_unlike_the_others() {
        let mut seen: Vec<Vec<Rgb>> = Vec::new();
        for character in (Font::FIRST..=Font::LAST).map(char::from) {
            let mut canvas = Canvas::new(40, 44, Rgb([255; 3])).expect("a small canvas");
            write(&mut canvas, Ink(Rgb([0; 3]), 1.0), &character.to_string(), [4.0, 8.0], 24.0);
            let pixels: Vec<Rgb> = canvas.pixels().collect();
            assert_eq!(pixels.iter().all(|pixel| *pixel == Rgb([255; 3])), character == ' ', "{character}");
            assert!(!seen.contains(&pixels), "{character} looks like another character");
            seen.push(pixels);
        }
    }

    #[test]
    fn a_capital_is_as_high_as_asked_for() {
        let mut canvas = Canvas::new(60, 60, Rgb([255; 3])).expect("a small canvas");
        write(&mut canvas, Ink(Rgb([0; 3]), 1.0), "H", [10.0, 10.0], 30.0);
        let dark = |row: usize| (0..60).any(|column| canvas.pixel(column, row).0[0] < 128);
        assert_eq!((0..60).filter(|row| dark(*row)).collect::<Vec<_>>(), (10..40).collect::<Vec<_>>());
    }

    #[test]
    fn a_wider_text_is_wider_and_digits_are_of_one_width() {
        assert!(text_width("Cost 10", 12.0) > text_width("Cost 1", 12.0));
        assert_eq!(text_width("", 12.0), 0.0);
        assert_eq!(text_width("1111", 12.0), text_width("0000", 12.0));
        assert_eq!(text_width("\u{20ac}", 12.0), text_width("?", 12.0), "an unknown character is a question mark");
    }
}
