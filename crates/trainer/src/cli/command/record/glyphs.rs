//! Letters made of strokes: capitals, digits and what figures need.

use super::raster::{Canvas, Ink, Px};

/// Height of a capital in units of the grid that glyphs are drawn on.
const GRID: f32 = 6.0;
/// Thickness of the strokes, same unit.
const STROKE: f32 = 0.95;
/// Free width after a glyph.
const GAP: f32 = 2.1;
/// Width of a space.
const SPACE: f32 = 2.0;

/// The strokes of a character: lines through points of two digits, column 0 to 4 and row 0 (top) to 6.
fn strokes(character: char) -> &'static str {
    match character.to_ascii_uppercase() {
        '0' | 'O' => "103041453616050110",
        '1' => "011016",
        '2' => "01103041420646",
        '3' => "01103041423323 33444536 361605",
        '4' => "36300444",
        '5' => "40000312324345361605",
        '6' => "413010010516364544331304",
        '7' => "004016",
        '8' => "13020110304142331304051636454433",
        '9' => "051636454130100102133342",
        'A' => "062046 1434",
        'B' => "0333444536060030414233",
        'C' => "4130100105163645",
        'D' => "00062644422000",
        'E' => "40000646 0333",
        'F' => "400006 0333",
        'G' => "41301001051636454323",
        'H' => "0006 4046 0343",
        'I' => "0006",
        'J' => "4045361605",
        'K' => "0006 4004 1346",
        'L' => "000646",
        'M' => "0600234046",
        'N' => "06004640",
        'P' => "06003041423303",
        'Q' => "103041453616050110 3446",
        'R' => "06003041423303 2346",
        'S' => "413010010213334445361605",
        'T' => "0040 2026",
        'U' => "000516364540",
        'V' => "002640",
        'W' => "0016233640",
        'X' => "0046 4006",
        'Y' => "0023 4023 2326",
        'Z' => "00400646",
        '.' => "0606",
        '-' => "0333",
        '/' => "0630",
        _ => "",
    }
}

/// The lines of a character, from point to point.
fn lines(character: char) -> impl Iterator<Item = (Px, Px)> {
    let point = |pair: &[u8]| [f32::from(pair[0] - b'0'), f32::from(pair[1] - b'0')];
    strokes(character)
        .split(' ')
        .flat_map(move |stroke| stroke.as_bytes().windows(4).step_by(2).map(move |w| (point(&w[..2]), point(&w[2..]))))
}

fn advance(character: char) -> f32 {
    let right = lines(character).map(|(from, to)| from[0].max(to[0])).reduce(f32::max);
    right.map_or(SPACE, |right| right + GAP)
}

/// Width of `text` in capitals of `height` pixels.
pub fn text_width(text: &str, height: f32) -> f32 {
    (text.chars().map(advance).sum::<f32>() - GAP).max(0.0) * height / GRID
}

/// Writes `text` in capitals of `height` pixels, its upper left corner at `at`.
pub fn write(canvas: &mut Canvas, ink: Ink, text: &str, at: Px, height: f32) {
    let unit = height / GRID;
    let mut left = at[0];
    for character in text.chars() {
        for (from, to) in lines(character) {
            let place = |p: Px| [left + p[0] * unit, at[1] + p[1] * unit];
            canvas.line(ink, place(from), place(to), STROKE * unit);
        }
        left += advance(character) * unit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_letter_and_digit_is_drawn_on_the_grid_and_unlike_the_others() {
        let mut seen = BTreeSet::new();
        for character in ('A'..='Z').chain('1'..='9').chain(['.', '-', '/']) {
            assert!(lines(character).count() > 0, "{character}");
            assert!(lines(character).all(|(a, b)| [a, b].iter().all(|p| p[0] <= 4.0 && p[1] <= GRID)), "{character}");
            assert!(seen.insert(strokes(character)), "{character}");
        }
        assert_eq!(strokes('a'), strokes('A'));
        assert_eq!(lines('\u{20ac}').count(), 0, "an unknown character is a blank");
    }

    #[test]
    fn a_wider_text_is_wider() {
        assert!(text_width("COST 10", 12.0) > text_width("COST 1", 12.0));
        assert_eq!(text_width("", 12.0), 0.0);
        assert_eq!(text_width("H", 12.0), 8.0);
    }
}
