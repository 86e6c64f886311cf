//! The animation: pictures of every so many steps as a GIF that loops.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use gif::{DisposalMethod, Encoder, Frame, Repeat};

use super::episode::{Episode, Replay};
use super::picture::Painter;
use super::raster::{Canvas, Rgb};

/// Time from one picture to the next \[1/100 s\].
const DELAY: u16 = 4;
/// Time the end of an episode stays \[1/100 s\].
const LAST_DELAY: u16 = 120;
/// Index of the colour that shows what was there before.
const SAME: u8 = 255;
/// Colours a GIF can have besides [`SAME`].
const COLORS: usize = 255;
/// Pictures looked at to choose the colours.
const SAMPLES: usize = 24;
/// Pictures between two reports of progress.
const REPORT_EVERY: usize = 250;

/// The GIF of `replay` and the number of its pictures: `width` pixels wide, `every` steps from one picture to the next,
/// the end of each episode always there. `progress` hears now and then how many pictures of how many are done.
///
/// # Errors
///
/// When the picture is too large for a GIF.
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
    let palette = Palette::of(shots.iter().step_by(stride).map(Shot::draw));

    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height, &palette.bytes())?;
    encoder.set_repeat(Repeat::Infinite)?;
    let mut before: Vec<u8> = Vec::new();
    for (i, shot) in shots.iter().enumerate() {
        let picture = palette.index(&shot.draw());
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
    fn draw(&self) -> Canvas {
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
    colors: Vec<Rgb>,
    /// Index of the nearest colour, by the upper five bits of red, green and blue.
    nearest: Vec<u8>,
}

impl Palette {
    /// The most frequent colours of some pictures, colours alike to five bits a channel counted as one.
    fn of(pictures: impl Iterator<Item = Canvas>) -> Self {
        let mut counts: BTreeMap<Rgb, u64> = BTreeMap::new();
        for picture in pictures {
            for color in picture.pixels() {
                *counts.entry(*color).or_default() += 1;
            }
        }
        // Per cell its most frequent colour, so that plain areas keep theirs exactly, and all its pixels.
        let mut cells: BTreeMap<usize, (u64, Rgb, u64)> = BTreeMap::new();
        for (color, count) in counts {
            let cell = cells.entry(cell(color)).or_insert((0, color, 0));
            if count > cell.0 {
                (cell.0, cell.1) = (count, color);
            }
            cell.2 += count;
        }
        let mut cells: Vec<(u64, Rgb, u64)> = cells.into_values().collect();
        cells.sort_by_key(|(_, color, all)| (std::cmp::Reverse(*all), *color));
        let colors: Vec<Rgb> = cells.iter().take(COLORS).map(|(_, color, _)| *color).collect();
        let nearest = (0..1usize << 15).map(|cell| nearest(&colors, cell)).collect();
        Self { colors, nearest }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.colors.iter().flat_map(|Rgb(channels)| *channels).collect();
        bytes.resize(3 * (COLORS + 1), 0);
        bytes
    }

    fn index(&self, picture: &Canvas) -> Vec<u8> {
        picture.pixels().iter().map(|color| self.nearest[cell(*color)]).collect()
    }
}

/// Which of the 2^15 cells of colour space holds a colour.
fn cell(Rgb([r, g, b]): Rgb) -> usize {
    [r, g, b].iter().fold(0, |cell, channel| cell << 5 | usize::from(channel >> 3))
}

/// Index of the colour nearest to the middle of a cell; a colour of the cell itself if there is one.
fn nearest(colors: &[Rgb], at: usize) -> u8 {
    let middle = [at >> 10, at >> 5 & 31, at & 31].map(|bits| (bits * 8 + 4) as i32);
    let distance = |color: &Rgb| -> i32 {
        if cell(*color) == at {
            return -1;
        }
        color.0.iter().zip(middle).map(|(channel, middle)| (i32::from(*channel) - middle).pow(2)).sum()
    };
    let best = colors.iter().enumerate().min_by_key(|(_, color)| distance(color));
    best.map_or(0, |(index, _)| index as u8)
}

#[cfg(test)]
mod tests {
    use super::super::raster::Ink;
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
        let mut canvas = Canvas::new(40, 40, colors[0]);
        canvas.disc(Ink(colors[1], 1.0), [20.0, 20.0], 15.0);
        canvas.rectangle(Ink(colors[2], 1.0), [20.0, 20.0], [6.0, 4.0], [0.6, 0.8]);
        let palette = Palette::of([canvas.clone()].into_iter());
        let (bytes, indices) = (palette.bytes(), palette.index(&canvas));
        assert_eq!(bytes.len(), 768);
        for (color, index) in canvas.pixels().iter().zip(indices).filter(|(color, _)| colors.contains(color)) {
            assert_eq!(bytes[3 * usize::from(index)..][..3], color.0);
        }
    }
}
