//! The animation: pictures of every so many steps as a GIF that loops.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use color_quant::NeuQuant;
use gif::{DisposalMethod, Encoder, Frame, Repeat};

use super::canvas::{Canvas, Rgb};
use super::episode::{Episode, Replay};
use super::picture::Painter;

/// Time from one picture to the next \[1/100 s\].
const DELAY: u16 = 4;
/// Time the end of an episode stays \[1/100 s\].
const LAST_DELAY: u16 = 120;
/// Index of the colour that shows what was there before.
const SAME: u8 = 255;
/// Colours a GIF can have besides [`SAME`].
const COLORS: usize = 255;
/// Colours that keep their value exactly where there are more than [`COLORS`].
const PLAIN_COLORS: usize = 96;
/// Pictures looked at to choose the colours.
const SAMPLES: usize = 24;
/// Pictures between two reports of progress.
const REPORT_EVERY: usize = 250;

/// The GIF of `replay` and the number of its pictures: `width` pixels wide, `every` steps from one picture to the next,
/// the end of each episode always there. `progress` is called with how many pictures of how many are done.
///
/// # Errors
///
/// When the pictures are too large for a GIF.
pub fn animation(
    replay: &Replay,
    width: u16,
    every: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<(Vec<u8>, usize)> {
    let painters: Vec<Painter> =
        replay.episodes.iter().map(|episode| Painter::new(replay, episode, width.into())).collect();
    let shots: Vec<Shot> =
        replay.episodes.iter().zip(&painters).flat_map(|(episode, painter)| shots(episode, painter, every)).collect();
    let height = painters.first().context("nothing was recorded")?.height();
    let height = u16::try_from(height).context("too high for a GIF")?;
    let stride = shots.len().div_ceil(SAMPLES).max(1);
    let mut palette = Palette::of(shots.iter().step_by(stride).map(Shot::draw))?;

    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height, &palette.bytes())?;
    encoder.set_repeat(Repeat::Infinite)?;
    let mut before: Vec<u8> = Vec::new();
    for (i, shot) in shots.iter().enumerate() {
        let picture = palette.index(&shot.draw()?);
        encoder.write_frame(&difference(&before, &picture, width.into(), shot.delay))?;
        before = picture;
        if (i + 1) % REPORT_EVERY == 0 {
            progress(i + 1, shots.len());
        }
    }
    drop(encoder);
    Ok((bytes, shots.len()))
}

/// A picture to be drawn.
struct Shot<'a> {
    painter: &'a Painter<'a>,
    frame: usize,
    since: usize,
    delay: u16,
}

impl Shot<'_> {
    fn draw(&self) -> Result<Canvas> {
        self.painter.draw(self.frame, self.since)
    }
}

fn shots<'a>(episode: &Episode, painter: &'a Painter<'a>, every: usize) -> Vec<Shot<'a>> {
    let last = episode.frames() - 1;
    let frames = (0..last).step_by(every).chain([last]);
    let mut since = 0;
    frames
        .map(|frame| {
            let shot = Shot { painter, frame, since, delay: if frame == last { LAST_DELAY } else { DELAY } };
            since = frame;
            shot
        })
        .collect()
}

/// The part of `picture` that differs from the one `before` (of the same width, or empty), unchanged pixels see-through.
fn difference(before: &[u8], picture: &[u8], width: usize, delay: u16) -> Frame<'static> {
    let mut frame = Frame { delay, dispose: DisposalMethod::Keep, ..Frame::default() };
    let height = picture.len() / width;
    let changed = |at: usize| before.get(at) != Some(&picture[at]);
    let row_changed = |row: &usize| (row * width..(row + 1) * width).any(changed);
    let column_changed = |column: &usize| (0..height).any(|row| changed(row * width + column));
    // A picture that is the same everywhere is one see-through pixel: it still takes its time.
    let (top, left) = ((0..height).find(row_changed).unwrap_or(0), (0..width).find(column_changed).unwrap_or(0));
    let bottom = (top..height).rfind(row_changed).unwrap_or(top);
    let right = (left..width).rfind(column_changed).unwrap_or(left);
    let pixels = (top..=bottom).flat_map(|row| (left..=right).map(move |column| row * width + column));
    let buffer: Vec<u8> = pixels.map(|at| if changed(at) { picture[at] } else { SAME }).collect();
    // A canvas is no larger than u16 either way.
    (frame.left, frame.top) = (left as u16, top as u16);
    (frame.width, frame.height) = ((right - left + 1) as u16, (bottom - top + 1) as u16);
    frame.transparent = Some(SAME);
    frame.buffer = buffer.into();
    frame
}

/// The colours of a GIF and which of them stands for any other colour.
struct Palette {
    /// The most frequent colours, which keep their value exactly.
    plain: Vec<Rgb>,
    /// What the smooth edges and everything rare share.
    mixed: Option<NeuQuant>,
    /// Indices of the colours met so far.
    known: HashMap<Rgb, u8>,
}

impl Palette {
    fn of(pictures: impl Iterator<Item = Result<Canvas>>) -> Result<Self> {
        let mut counts: BTreeMap<Rgb, u64> = BTreeMap::new();
        for picture in pictures {
            let pixels: Vec<Rgb> = picture?.pixels().collect();
            for run in pixels.chunk_by(|a, b| a == b) {
                *counts.entry(run[0]).or_default() += run.len() as u64;
            }
        }
        let mut colors: Vec<(Rgb, u64)> = counts.into_iter().collect();
        colors.sort_by_key(|(color, count)| (Reverse(*count), *color));
        let exact = if colors.len() > COLORS { PLAIN_COLORS } else { colors.len() };
        let rest = colors.split_off(exact);
        // A colour weighs as its logarithm: otherwise the edges of what is large get all the entries.
        let weighted = rest.iter().flat_map(|(color, count)| std::iter::repeat_n(color, 1 + count.ilog2() as usize));
        let pixels: Vec<u8> = weighted.flat_map(|Rgb([r, g, b])| [*r, *g, *b, 255]).collect();
        let mixed = (!pixels.is_empty()).then(|| NeuQuant::new(1, COLORS - exact, &pixels));
        let plain: Vec<Rgb> = colors.into_iter().map(|(color, _)| color).collect();
        let known = plain.iter().zip(0..).map(|(color, index)| (*color, index)).collect();
        Ok(Self { plain, mixed, known })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.plain.iter().flat_map(|Rgb(channels)| *channels).collect();
        bytes.extend(self.mixed.iter().flat_map(NeuQuant::color_map_rgb));
        bytes.resize(3 * (COLORS + 1), 0);
        bytes
    }

    fn index(&mut self, picture: &Canvas) -> Vec<u8> {
        let Self { plain, mixed, known } = self;
        let find = |color: Rgb| match &*mixed {
            // Both parts together have less than 256 colours.
            Some(mixed) => (plain.len() + mixed.index_of(&[color.0[0], color.0[1], color.0[2], 255])) as u8,
            None => nearest(plain, color),
        };
        // Most pixels have the colour of the one before.
        let mut last = (Rgb([0; 3]), None);
        let index = |color: Rgb| match last {
            (same, Some(index)) if same == color => index,
            _ => {
                let index = *known.entry(color).or_insert_with(|| find(color));
                last = (color, Some(index));
                index
            }
        };
        picture.pixels().map(index).collect()
    }
}

/// Index of the nearest colour.
fn nearest(colors: &[Rgb], color: Rgb) -> u8 {
    let distance =
        |other: &Rgb| -> u32 { other.0.iter().zip(color.0).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum() };
    colors.iter().zip(0..).min_by_key(|(other, _)| distance(other)).map_or(0, |(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::super::canvas::Ink;
    use super::*;

    #[test]
    fn only_what_changed_is_written() {
        let before = [1, 1, 1, 1, 1, 1, 1, 1, 1];
        let picture = [1, 1, 1, 1, 2, 1, 1, 1, 3];
        let first = difference(&[], &picture, 3, 4);
        assert_eq!((first.width, first.height, &first.buffer[..]), (3, 3, &picture[..]));
        let second = difference(&before, &picture, 3, 4);
        assert_eq!((second.left, second.top, second.width, second.height), (1, 1, 2, 2));
        assert_eq!(second.buffer[..], [2, SAME, SAME, 3]);
        let none = difference(&picture, &picture, 3, 4);
        assert_eq!((none.width, none.height, &none.buffer[..]), (1, 1, &[SAME][..]));
    }

    #[test]
    fn plain_colours_survive_the_palette() {
        let colors = [Rgb([250, 251, 252]), Rgb([189, 11, 47]), Rgb([1, 39, 101])];
        // With few colours in all, and with more than a palette has.
        for shades in [0, 250] {
            let mut canvas = Canvas::new(60, 60, colors[0]).expect("a small canvas");
            canvas.disc(Ink(colors[1], 1.0), [20.0, 20.0], 15.0);
            canvas.rectangle(Ink(colors[2], 1.0), [20.0, 20.0], [6.0, 4.0], [0.6, 0.8]);
            for shade in 0..shades {
                let color = Rgb([shade, 255 - shade, shade / 2 + 7]);
                let at = [30.5 + f32::from(shade % 25), 40.5 + f32::from(shade / 25)];
                canvas.rectangle(Ink(color, 1.0), at, [0.5, 0.5], [1.0, 0.0]);
            }
            let mut palette = Palette::of([Ok(canvas.clone())].into_iter()).expect("a picture");
            let (bytes, indices) = (palette.bytes(), palette.index(&canvas));
            assert_eq!(bytes.len(), 768);
            let (mut kept, mut worst) = (0, 0);
            for (color, index) in canvas.pixels().zip(indices) {
                let shown = &bytes[3 * usize::from(index)..][..3];
                let off = color.0.iter().zip(shown).map(|(a, b)| a.abs_diff(*b)).max().expect("three channels");
                worst = worst.max(off);
                if colors.contains(&color) {
                    assert_eq!(shown, color.0);
                    kept += 1;
                }
            }
            assert!(kept > 3000, "{kept}");
            assert!(if shades == 0 { worst == 0 } else { (1..32).contains(&worst) }, "{shades} shades: {worst}");
        }
    }
}
