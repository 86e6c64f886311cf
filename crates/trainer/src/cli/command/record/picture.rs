//! One frame of an episode as a picture: the arena from above, below it the return and every cost against its limit.

use std::f32::consts::TAU;

use anyhow::{Context, Result};

use super::canvas::{Canvas, Ink, Px, Rgb};
use super::episode::{Episode, Pose, Replay, Track};
use super::text::{text_width, write};
use crate::config::Constraint;

const FLOOR: Rgb = Rgb([0xf6, 0xf7, 0xf9]);
const ARENA: Rgb = Rgb([0xd5, 0xd9, 0xe0]);
const PANEL: Rgb = Rgb([0xff, 0xff, 0xff]);
const TEXT: Rgb = Rgb([0x2b, 0x30, 0x3a]);
const FAINT: Rgb = Rgb([0x8a, 0x92, 0xa0]);
const WITHIN: Rgb = Rgb([0x2f, 0x9e, 0x44]);
const ALARM: Rgb = Rgb([0xe0, 0x31, 0x31]);
/// The agents' colours in the original.
const BODY: Rgb = Rgb([0xbd, 0x0b, 0x2f]);
const TRIM: Rgb = Rgb([0x01, 0x27, 0x65]);

/// Free space kept around the arena \[m\].
const MARGIN: f32 = 0.4;
/// A picture shows at most this multiple of the arena's half-width; then it follows the agent.
const WIDEST: f32 = 1.2;
/// Half-width of the largest arena that is shown whole \[m\].
const WHOLE: f32 = 6.0;
/// What is seen to each side of a larger one, a track \[m\].
const PART: f32 = 2.5;
/// Inner radius of the first lidar ring \[m\].
const LIDAR_RADIUS: f32 = 0.24;
/// Width of a lidar ring \[m\].
const LIDAR_RING: f32 = 0.06;
/// Free part of a lidar ring's width.
const LIDAR_GAP: f32 = 0.16;
/// Gap between neighbouring bins of a lidar \[pixels\].
const BIN_GAP: f32 = 1.2;
/// Height of the panel below the arena for each constraint, as a fraction of the width; without any it is as for one.
const PANEL_FRACTION: f32 = 0.17;
/// The cost bar's right end, as a multiple of the limit.
const BAR_LIMITS: f64 = 1.6;

/// The colour of an object, by its name in the original.
pub fn color(kind: &str) -> Rgb {
    Rgb(match kind {
        "goal" | "circle" => [0x2f, 0xb3, 0x44],
        "hazard" => [0x2f, 0x6f, 0xde],
        "vase" => [0x15, 0xb8, 0xc9],
        "button" => [0xf5, 0x8a, 0x07],
        "gremlin" => [0x8b, 0x2f, 0xe0],
        "pillar" => [0x80, 0x80, 0xf0],
        "push_box" => [0x9a, 0x67, 0x34],
        "sigwall" => [0xe3, 0xb5, 0x05],
        _ => [0x86, 0x8e, 0x96],
    })
}

/// Draws the frames of one episode, all with the same scale.
#[derive(Debug)]
pub struct Painter<'a> {
    replay: &'a Replay,
    episode: &'a Episode,
    width: u32,
    /// Half of the arena's side that is seen \[m\].
    reach: f32,
}

/// Where the world lies in the picture.
struct View {
    /// World coordinates of the middle \[m\].
    center: Px,
    /// The middle \[pixels\].
    middle: f32,
    /// Pixels a metre.
    scale: f32,
}

impl View {
    fn point(&self, x: f32, y: f32) -> Px {
        [self.middle + (x - self.center[0]) * self.scale, self.middle - (y - self.center[1]) * self.scale]
    }
}

/// A body in the picture: its own coordinates to pixels.
struct Placed<'a> {
    view: &'a View,
    at: Px,
    cos: f32,
    sin: f32,
}

impl<'a> Placed<'a> {
    fn new(view: &'a View, [x, y, yaw]: Pose) -> Self {
        let (sin, cos) = metres(yaw).sin_cos();
        Self { view, at: [metres(x), metres(y)], cos, sin }
    }

    fn point(&self, ahead: f32, left: f32) -> Px {
        let (x, y) = (self.cos * ahead - self.sin * left, self.sin * ahead + self.cos * left);
        self.view.point(self.at[0] + x, self.at[1] + y)
    }

    /// A rectangle with its middle at (`ahead`, `left`) and these half sizes, in body axes \[m\].
    fn rectangle(&self, canvas: &mut Canvas, ink: Ink, [ahead, left]: [f32; 2], half: [f32; 2]) {
        let half = half.map(|h| h * self.view.scale);
        canvas.rectangle(ink, self.point(ahead, left), half, [self.cos, -self.sin]);
    }

    fn disc(&self, canvas: &mut Canvas, ink: Ink, radius: f32) {
        canvas.disc(ink, self.point(0.0, 0.0), radius * self.view.scale);
    }

    fn circle(&self, canvas: &mut Canvas, ink: Ink, radius: f32, thickness: f32) {
        canvas.circle(ink, self.point(0.0, 0.0), radius * self.view.scale, (thickness * self.view.scale).max(1.0));
    }
}

/// Millimetres as metres, milliradians as radians.
fn metres(thousandths: i32) -> f32 {
    thousandths as f32 / 1e3
}

impl<'a> Painter<'a> {
    /// Pictures of `width` pixels for an episode of `replay`.
    pub fn new(replay: &'a Replay, episode: &'a Episode, width: u32) -> Self {
        let half = replay.half_extent;
        let agent = episode.agent.iter().map(|[x, y, _]| metres(x.abs().max(y.abs())));
        // What the task shows beyond the extents, such as the circle.
        let fixed = (episode.objects.iter()).map(|o| {
            let [x, y, _] = o.at(0);
            metres(x.abs().max(y.abs())) + if o.kind == "sigwall" { 0.0 } else { o.size }
        });
        let seen = agent.chain(fixed).fold(half, f32::max) + MARGIN;
        let widest = if half > WHOLE { PART } else { WIDEST * half };
        let reach = seen.min(widest + MARGIN).max(fixed_reach(episode));
        Self { replay, episode, width, reach }
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> u32 {
        self.width + self.panel()
    }

    fn panel(&self) -> u32 {
        self.panel_row() * self.replay.constraints.len().max(1) as u32
    }

    fn panel_row(&self) -> u32 {
        (self.width as f32 * PANEL_FRACTION).round() as u32
    }

    /// The picture of `frame`; `since` is the frame shown before it, so that no cost in between goes unseen.
    ///
    /// # Errors
    ///
    /// When no memory holds a picture of this width.
    pub fn draw(&self, frame: usize, since: usize) -> Result<Canvas> {
        let (width, height) = (self.width, self.height());
        let canvas = Canvas::new(width, height, FLOOR);
        let mut canvas = canvas.with_context(|| format!("a picture of {width} x {height} pixels is too large"))?;
        let agent = self.episode.agent_at(frame);
        let free = self.reach - MARGIN;
        let middle = self.width as f32 / 2.0;
        let view = View {
            center: [agent[0], agent[1]].map(|p| metres(p) - metres(p).clamp(-free, free)),
            middle,
            scale: middle / self.reach,
        };
        self.draw_arena(&mut canvas, &view);
        // Flat things first: what stands on the floor is seen above them.
        let standing = |o: &&Track| !matches!(o.kind, "goal" | "hazard" | "circle" | "sigwall");
        let objects = || self.episode.objects.iter();
        for object in objects().filter(|o| !standing(o)).chain(objects().filter(standing)) {
            draw_object(&mut canvas, &view, object, object.at(frame), self.is_target(object, frame));
        }
        let costs = self.episode.costs_between(since.min(frame), frame);
        self.draw_agent(&mut canvas, &view, agent, costs);
        self.draw_lidars(&mut canvas, &view, agent, self.episode.lidar_at(frame));
        // Last, over whatever reaches below the arena.
        self.draw_panel(&mut canvas, frame);
        Ok(canvas)
    }

    /// The button to press stands where the goal is.
    fn is_target(&self, object: &Track, frame: usize) -> bool {
        let mut goals = self.episode.objects.iter().filter(|o| o.kind == "goal");
        object.kind == "button"
            && goals.any(|goal| {
                let (goal, button) = (goal.at(frame), object.at(frame));
                (goal[0] - button[0]).abs() + (goal[1] - button[1]).abs() < 20
            })
    }

    fn draw_arena(&self, canvas: &mut Canvas, view: &View) {
        let half = self.replay.half_extent;
        let corner = |x: f32, y: f32| view.point(x * half, y * half);
        let corners = [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
        for i in 0..4 {
            canvas.line(Ink(ARENA, 1.0), corners[i], corners[(i + 1) % 4], 1.5);
        }
        if half > WHOLE {
            // Lines every metre, that an agent whom the picture follows is seen to move.
            for axis in 0..2usize {
                let first = (view.center[axis] - self.reach).ceil();
                for k in (0..(2.0 * self.reach) as usize + 1).map(|k| first + k as f32) {
                    let end = |side: f32| {
                        let across = view.center[1 - axis] + side * self.reach;
                        if axis == 0 { view.point(k, across) } else { view.point(across, k) }
                    };
                    canvas.line(Ink(ARENA, 0.7), end(-1.0), end(1.0), 0.7);
                }
            }
        }
    }

    fn draw_agent(&self, canvas: &mut Canvas, view: &View, pose: Pose, costs: bool) {
        let placed = Placed::new(view, pose);
        if costs {
            placed.disc(canvas, Ink(ALARM, 0.35), LIDAR_RADIUS);
        }
        let (body, trim) = (Ink(BODY, 1.0), Ink(TRIM, 1.0));
        if self.replay.agent == "Car" {
            for side in [-1.0, 1.0] {
                placed.rectangle(canvas, trim, [side * 0.13, 0.1], [0.025, 0.05]);
            }
            placed.rectangle(canvas, body, [0.0, 0.0], [0.1, 0.1]);
            placed.rectangle(canvas, trim, [0.0, 0.15], [0.1, 0.014]);
            placed.rectangle(canvas, trim, [0.0, 0.125], [0.014, 0.025]);
            placed.rectangle(canvas, trim, [0.0, -0.165], [0.05, 0.014]);
            placed.rectangle(canvas, trim, [0.0, -0.13], [0.05, 0.03]);
        } else if self.replay.agent == "Racecar" {
            for (ahead, left) in [(0.165, 0.1225), (0.165, -0.1225), (-0.16, 0.1225), (-0.16, -0.1225)] {
                placed.rectangle(canvas, trim, [ahead, left], [0.05, 0.0225]);
            }
            placed.rectangle(canvas, body, [0.0025, 0.0], [0.2025, 0.09]);
            placed.rectangle(canvas, trim, [0.23, 0.0], [0.0165, 0.0875]);
        } else {
            placed.disc(canvas, body, 0.1);
            placed.rectangle(canvas, trim, [0.1, 0.0], [0.05, 0.05]);
        }
    }

    /// One ring per lidar, in the colour of what it sees, the stronger the closer.
    fn draw_lidars(&self, canvas: &mut Canvas, view: &View, pose: Pose, readings: &[f32]) {
        let middle = Placed::new(view, pose).point(0.0, 0.0);
        let yaw = metres(pose[2]);
        let mut first = 0;
        for (ring, lidar) in self.replay.lidars.iter().enumerate() {
            let readings = &readings[first..first + lidar.bins];
            first += lidar.bins;
            let inner = (LIDAR_RADIUS + LIDAR_RING * (ring as f32 + LIDAR_GAP / 2.0)) * view.scale;
            let outer = inner + (1.0 - LIDAR_GAP) * LIDAR_RING * view.scale;
            let sector = TAU / lidar.bins as f32;
            let gap = BIN_GAP / (inner + outer);
            for (bin, closeness) in readings.iter().enumerate().filter(|(_, c)| **c > 0.02) {
                let from = yaw + bin as f32 * sector;
                // Eight strengths: more would cost a GIF colours and bytes.
                let strength = (closeness * 8.0).ceil() / 8.0;
                let ink = Ink(color(lidar.kind), 0.9 * strength);
                canvas.ring_sector(ink, middle, [inner, outer], [from + gap, from + sector - gap]);
            }
        }
    }

    fn draw_panel(&self, canvas: &mut Canvas, frame: usize) {
        let (width, top) = (self.width as f32, self.width as f32);
        let height = self.panel() as f32;
        canvas.rectangle(Ink(PANEL, 1.0), [width / 2.0, top + height / 2.0], [width / 2.0, height / 2.0], [1.0, 0.0]);
        let (pad, letter) = (width * 0.04, width * 0.034);
        let line = top + self.panel_row() as f32 * 0.2;
        write(canvas, Ink(TEXT, 1.0), &format!("Return {:.1}", self.episode.returns[frame]), [pad, line], letter);
        let id = self.replay.env.trim_start_matches("Safety").trim_end_matches("-v0");
        write(canvas, Ink(FAINT, 1.0), id, [pad * 0.7, pad * 0.7], letter * 0.85);
        for k in 0..self.replay.constraints.len() {
            self.draw_cost(canvas, k, frame);
        }
    }

    /// The row of constraint `k` in the panel: the cost until `frame` in numbers and as a bar on which the limit is marked.
    fn draw_cost(&self, canvas: &mut Canvas, k: usize, frame: usize) {
        let width = self.width as f32;
        let height = self.panel_row() as f32;
        let top = width + k as f32 * height;
        let (pad, letter) = (width * 0.04, width * 0.034);
        let Constraint { name, limit } = &self.replay.constraints[k];
        let cost = self.episode.cost_at(k, frame);
        let (tint, ink) = if cost > *limit { (ALARM, ALARM) } else { (WITHIN, TEXT) };

        let label = format!("{} {cost:.0} / {limit}", capitalised(name));
        let left = width - pad - text_width(&label, letter);
        write(canvas, Ink(ink, 1.0), &label, [left, top + height * 0.2], letter);

        let (y, half) = (top + height * 0.72, height * 0.1);
        let most = (BAR_LIMITS * limit).max(1.05 * self.episode.total_cost(k)).max(1.0);
        let x = |cost: f64| pad + (cost / most).min(1.0) as f32 * (width - 2.0 * pad);
        let mut bar = |ink: Ink, end: f32| {
            canvas.rectangle(ink, [(pad + end) / 2.0, y], [(end - pad) / 2.0, half], [1.0, 0.0]);
        };
        bar(Ink(ARENA, 0.6), width - pad);
        if cost > 0.0 {
            bar(Ink(tint, 1.0), x(cost));
        }
        canvas.rectangle(Ink(TEXT, 1.0), [x(*limit), y], [width * 0.003, half * 1.7], [1.0, 0.0]);
    }
}

/// `cost` as `Cost`.
fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What must be seen however far that is: a circle to drive along.
fn fixed_reach(episode: &Episode) -> f32 {
    let circles = episode.objects.iter().filter(|o| o.kind == "circle");
    circles.map(|o| o.size + MARGIN / 2.0).fold(0.0, f32::max)
}

fn draw_object(canvas: &mut Canvas, view: &View, object: &Track, pose: Pose, is_target: bool) {
    let placed = Placed::new(view, pose);
    let color = color(object.kind);
    let dark = Ink(color.mix(TEXT, 0.45), 1.0);
    let size = object.size;
    match object.kind {
        "goal" => {
            placed.disc(canvas, Ink(color, 0.4), size);
            placed.circle(canvas, Ink(color, 1.0), size, 0.02);
        }
        "hazard" => {
            placed.disc(canvas, Ink(color, 0.3), size);
            placed.circle(canvas, Ink(color, 0.8), size, 0.015);
        }
        "circle" => placed.circle(canvas, Ink(color, 0.9), size, 0.04),
        "sigwall" => {
            // A wall stands across the axis on which its middle lies, longer than the picture is wide.
            let [x, y, _] = pose.map(metres);
            let (across, along) = (2.0 * view.middle / view.scale, 0.025);
            let half = if x.abs() > y.abs() { [along, across] } else { [across, along] };
            canvas.rectangle(Ink(color, 0.75), view.point(x, y), half.map(|h| h * view.scale), [1.0, 0.0]);
        }
        "pillar" => {
            placed.disc(canvas, Ink(color, 1.0), size);
            placed.circle(canvas, dark, size, 0.02);
        }
        "button" => {
            if is_target {
                placed.circle(canvas, Ink(ALARM, 1.0), size + 0.05, 0.03);
            }
            placed.disc(canvas, Ink(color, 1.0), size);
            placed.circle(canvas, dark, size, 0.015);
        }
        "vase" | "gremlin" | "push_box" => {
            placed.rectangle(canvas, dark, [0.0, 0.0], [size, size]);
            let inner = size - 1.2 / view.scale;
            placed.rectangle(canvas, Ink(color, 1.0), [0.0, 0.0], [inner, inner]);
            if object.kind == "push_box" {
                // Its four corner columns.
                for (x, y) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
                    placed.rectangle(canvas, dark, [x * size, y * size], [size / 2.0, size / 2.0]);
                    placed.rectangle(
                        canvas,
                        Ink(color.mix(TEXT, 0.2), 1.0),
                        [x * size, y * size],
                        [inner - size / 2.0; 2],
                    );
                }
            }
        }
        _ => placed.disc(canvas, Ink(color, 0.6), size),
    }
}

#[cfg(test)]
mod tests;
