//! How far an agent is from what it could run into, seen from above: a lower bound.

use crate::agent::{Footprint, Patch};
use crate::math::square;
use crate::object::ObjectKind;
use crate::object::alone_range;
use crate::params::{
    PARAM_BODIES, PARAM_BODY_FIELDS, PARAM_BODY_FIRST, PARAM_BODY_HALF, PARAM_BODY_KIND, PARAM_BODY_REACH,
    PARAM_SOLID_FIRST, PARAM_SOLID_RADIUS, PARAM_SOLIDS,
};
use crate::state::{COS, LANES, SIN, STATIC_FIELDS, X, Y};

/// Half-width of the push box between the outer faces of its corner columns, in half-widths of the box.
const COLUMNS: f32 = 1.5;
/// Squares that together are an object seen from above: their centre and their half-width, in half-widths of the object.
const BOX: &[(f32, f32, f32)] = &[(0.0, 0.0, 1.0)];
const PUSH_BOX: &[(f32, f32, f32)] =
    &[(0.0, 0.0, 1.0), (1.0, 1.0, 0.5), (1.0, -1.0, 0.5), (-1.0, 1.0, 0.5), (-1.0, -1.0, 0.5)];
const PUSH_BOX_OUTLINE: &[(f32, f32, f32)] = &[(0.0, 0.0, COLUMNS)];

/// How finely shapes are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// A rectangle round each: most agents are clear of that already.
    Outline,
    /// The agent's patches, the push box' columns.
    Parts,
}

/// Distance of the agent in `lane` from the nearest free object or solid, as far as they are within `reach` of its
/// origin (no more than `reach` otherwise), and the greatest speed of any point of a free object \[m/s\].
pub(super) fn clearance(
    params: &[f32],
    state: &[f32],
    lane: usize,
    footprint: &Footprint,
    reach: f32,
    detail: Detail,
) -> (f32, f32) {
    let get = |field: usize| state[field * LANES + lane];
    let (x, y, cos, sin) = (get(X), get(Y), get(COS), get(SIN));
    let fine = detail == Detail::Parts;
    let patches = if fine { footprint.parts } else { std::slice::from_ref(&footprint.whole) };
    let (mut nearest, mut fastest) = (reach, 0.0f32);

    let (first, fields) = (params[PARAM_BODY_FIRST] as usize, params[PARAM_BODY_FIELDS] as usize);
    let push_box = params[PARAM_BODY_KIND] == ObjectKind::PushBox.code();
    let squares = if !push_box {
        BOX
    } else if fine {
        PUSH_BOX
    } else {
        PUSH_BOX_OUTLINE
    };
    let half = params[PARAM_BODY_HALF];
    let widest = half * if push_box { COLUMNS } else { 1.0 };
    let range = alone_range(reach, params[PARAM_BODY_REACH]);
    for body in 0..params[PARAM_BODIES] as usize {
        let at = first + body * fields;
        let speed = (square(get(at + 7)) + square(get(at + 8)) + square(get(at + 9))).sqrt();
        let spin = (square(get(at + 10)) + square(get(at + 11)) + square(get(at + 12))).sqrt();
        fastest = fastest.max(speed + spin * params[PARAM_BODY_REACH]);
        if square(get(at) - x) + square(get(at + 1) - y) >= square(range) {
            continue;
        }
        let (w, z) = (get(at + 3), get(at + 6));
        let level = 1.0 / (square(w) + square(z)).max(1e-6);
        let (body_cos, body_sin) = (1.0 - 2.0 * z * z * level, 2.0 * w * z * level);
        // In the agent's frame: where the body is and how it is turned.
        let (dx, dy) = (get(at) - x, get(at + 1) - y);
        let (dx, dy) = (cos * dx + sin * dy, cos * dy - sin * dx);
        let (c, s) = (cos * body_cos + sin * body_sin, cos * body_sin - sin * body_cos);
        // One that is tilted stands out of its outline by so much.
        let tilt = 4.0 * widest * (square(get(at + 4)) + square(get(at + 5))).sqrt();
        for (out_x, out_y, size) in squares {
            let (out_x, out_y) = (half * out_x, half * out_y);
            let (square_x, square_y) = (dx + c * out_x - s * out_y, dy + s * out_x + c * out_y);
            for patch in patches {
                nearest = nearest.min(apart(patch, square_x, square_y, c, s, half * size) - tilt);
            }
        }
    }

    let radius = params[PARAM_SOLID_RADIUS];
    let first = params[PARAM_SOLID_FIRST] as usize;
    for solid in 0..params[PARAM_SOLIDS] as usize {
        let at = first + solid * STATIC_FIELDS;
        let (dx, dy) = (get(at) - x, get(at + 1) - y);
        let (dx, dy) = (cos * dx + sin * dy, cos * dy - sin * dx);
        for patch in patches {
            let out_x = ((dx - patch.x).abs() - patch.half_x).max(0.0);
            let out_y = ((dy - patch.y).abs() - patch.half_y).max(0.0);
            nearest = nearest.min((square(out_x) + square(out_y)).sqrt() - radius - patch.radius);
        }
    }
    (nearest, fastest)
}

/// How far a patch and a square of half-width `half` are apart at least, below 0 where they overlap: the square has its
/// centre at (`x`, `y`) and is turned by the angle of cosine `c` and sine `s`, in the agent's frame.
fn apart(patch: &Patch, x: f32, y: f32, c: f32, s: f32, half: f32) -> f32 {
    let (dx, dy) = (x - patch.x, y - patch.y);
    // Separating axes: those of the two rectangles.
    let own = half * (c.abs() + s.abs());
    let gaps = [
        dx.abs() - patch.half_x - own,
        dy.abs() - patch.half_y - own,
        (c * dx + s * dy).abs() - half - (patch.half_x * c.abs() + patch.half_y * s.abs()),
        (c * dy - s * dx).abs() - half - (patch.half_x * s.abs() + patch.half_y * c.abs()),
    ];
    // A disc is a point here, whose distance from the square's corners is known.
    let disc = patch.half_x == 0.0 && patch.half_y == 0.0;
    let corner = if disc { gaps[2].max(0.0).hypot(gaps[3].max(0.0)) } else { f32::MIN };
    gaps.into_iter().fold(corner, f32::max) - patch.radius
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Car, Point, Racecar, SimdAgent};
    use crate::math::TAU;
    use crate::registry::find;
    use crate::rng;

    const REACH: f32 = 0.6;

    /// The agent in the lane 0 of an environment whose only body stands at (`x`, `y`), turned by `yaw`; solids are far away.
    fn place(params: &[f32], state: &mut [f32], agent_yaw: f32, x: f32, y: f32, yaw: f32) {
        let mut put = |field: usize, value: f32| state[field * LANES] = value;
        put(COS, agent_yaw.cos());
        put(SIN, agent_yaw.sin());
        let body = params[PARAM_BODY_FIRST] as usize;
        for (number, value) in [x, y, 0.2, (0.5 * yaw).cos(), 0.0, 0.0, (0.5 * yaw).sin()].into_iter().enumerate() {
            put(body + number, value);
        }
        for solid in 0..params[PARAM_SOLIDS] as usize {
            put(params[PARAM_SOLID_FIRST] as usize + solid * STATIC_FIELDS, 100.0);
        }
    }

    /// Points of a patch: its corners, its edges' middles, its centre, and its rim where it is round.
    fn points(patch: &Patch) -> Vec<(f32, f32)> {
        let mut points = Vec::new();
        for (a, b) in [-1.0, 0.0, 1.0].into_iter().flat_map(|a| [-1.0, 0.0, 1.0].map(|b| (a, b))) {
            points.push((patch.x + a * patch.half_x, patch.y + b * patch.half_y));
        }
        if patch.radius > 0.0 {
            for k in 0..24 {
                let (sin, cos) = (k as f32 * 0.261_8).sin_cos();
                points.push((patch.x + patch.radius * cos, patch.y + patch.radius * sin));
            }
        }
        points
    }

    /// Distance of a point in the agent's frame from the squares of the object, 0 within.
    fn distance(point: (f32, f32), squares: &[(f32, f32, f32)], half: f32, x: f32, y: f32, yaw: f32) -> f32 {
        let (sin, cos) = yaw.sin_cos();
        let (dx, dy) = (point.0 - x, point.1 - y);
        let (dx, dy) = (cos * dx + sin * dy, cos * dy - sin * dx);
        let gap = |(out_x, out_y, size): &(f32, f32, f32)| {
            let (gap_x, gap_y) = ((dx - half * out_x).abs() - half * size, (dy - half * out_y).abs() - half * size);
            gap_x.max(0.0).hypot(gap_y.max(0.0))
        };
        squares.iter().map(gap).fold(f32::MAX, f32::min)
    }

    fn check<A: SimdAgent>(id: &str) {
        let spec = find(id).unwrap();
        let params = spec.params(1);
        let mut state = vec![0.0; spec.state_dim() * LANES];
        let mut closer = 0;
        for trial in 0..20_000u32 {
            let unit = |number: u32| rng::unit(rng::bits(7, number, trial, 0, 0));
            let (agent_yaw, yaw) = (TAU * unit(0), TAU * unit(1));
            let (x, y) = (1.2 * unit(2) - 0.6, 1.2 * unit(3) - 0.6);
            // In the world; the agent stands at its origin.
            let (sin, cos) = agent_yaw.sin_cos();
            place(&params, &mut state, agent_yaw, cos * x - sin * y, sin * x + cos * y, agent_yaw + yaw);
            let at = |detail| clearance(&params, &state, 0, &A::FOOTPRINT, REACH, detail).0;
            let (outline, parts) = (at(Detail::Outline), at(Detail::Parts));
            assert!(parts >= outline - 1e-5, "{id} {trial}: {parts} with parts, {outline} with outlines");
            closer += usize::from(parts > outline + 0.01);
            let squares = if params[PARAM_BODY_KIND] == ObjectKind::PushBox.code() { PUSH_BOX } else { BOX };
            let near = |point| distance(point, squares, params[PARAM_BODY_HALF], x, y, yaw);
            let least = A::FOOTPRINT.parts.iter().flat_map(points).map(near).fold(REACH, f32::min);
            assert!(parts <= least + 1e-5, "{id} {trial}: {parts}, and yet points {least} apart");
        }
        assert!(closer > 2_000, "{id}: parts tell more than outlines in {closer} of 20,000 places");
    }

    #[test]
    fn parts_are_farther_than_outlines_and_no_farther_than_they_are() {
        check::<Point>("PointPush1");
        check::<Car>("CarPush1");
        check::<Racecar>("RacecarPush1");
    }

    #[test]
    fn between_the_columns_of_the_push_box_there_is_room() {
        let spec = find("PointPush1").unwrap();
        let params = spec.params(1);
        let mut state = vec![0.0; spec.state_dim() * LANES];
        let half = params[PARAM_BODY_HALF];
        // The arrow, 0.15 m ahead, in the notch: 2 cm short of the face.
        place(&params, &mut state, 0.0, 0.15 + 0.02 + half, 0.0, 0.0);
        let at = |detail| clearance(&params, &state, 0, &Point::FOOTPRINT, REACH, detail).0;
        assert!(at(Detail::Outline) < 0.0);
        assert!((at(Detail::Parts) - 0.02).abs() < 1e-4, "{}", at(Detail::Parts));
    }
}
