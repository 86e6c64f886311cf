//! How far an agent is from what it could run into, seen from above: a lower bound.

use crate::agent::Footprint;
use crate::math::square;
use crate::object::ObjectKind;
use crate::object::alone_range;
use crate::params::{
    PARAM_BODIES, PARAM_BODY_FIELDS, PARAM_BODY_FIRST, PARAM_BODY_HALF, PARAM_BODY_KIND, PARAM_BODY_REACH,
    PARAM_SOLID_FIRST, PARAM_SOLID_RADIUS, PARAM_SOLIDS,
};
use crate::state::{COS, LANES, SIN, STATIC_FIELDS, X, Y};

/// Half-widths of the push box between the outer faces of its corner columns.
const COLUMNS: f32 = 1.5;

/// Distance of the agent in `lane` from the nearest free object or solid, as far as they are within `reach` of its
/// origin (no more than `reach` otherwise), and the greatest speed of any point of a free object \[m/s\].
pub(super) fn clearance(params: &[f32], state: &[f32], lane: usize, footprint: &Footprint, reach: f32) -> (f32, f32) {
    let get = |field: usize| state[field * LANES + lane];
    let (x, y, cos, sin) = (get(X), get(Y), get(COS), get(SIN));
    let centre = (x + cos * footprint.x - sin * footprint.y, y + sin * footprint.x + cos * footprint.y);
    let (half_x, half_y) = (footprint.half_x, footprint.half_y);
    let (mut nearest, mut fastest) = (reach, 0.0f32);

    let (first, fields) = (params[PARAM_BODY_FIRST] as usize, params[PARAM_BODY_FIELDS] as usize);
    let push_box = params[PARAM_BODY_KIND] == ObjectKind::PushBox.code();
    let half = params[PARAM_BODY_HALF] * if push_box { COLUMNS } else { 1.0 };
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
        let (dx, dy) = (get(at) - centre.0, get(at + 1) - centre.1);
        // Separating axes: those of the two rectangles.
        let c = (cos * body_cos + sin * body_sin).abs();
        let s = (sin * body_cos - cos * body_sin).abs();
        let own = half * (c + s);
        let apart = [
            (cos * dx + sin * dy).abs() - half_x - own,
            (cos * dy - sin * dx).abs() - half_y - own,
            (body_cos * dx + body_sin * dy).abs() - half - (half_x * c + half_y * s),
            (body_cos * dy - body_sin * dx).abs() - half - (half_x * s + half_y * c),
        ];
        // One that is tilted stands out of its outline by so much.
        let tilt = 4.0 * half * (square(get(at + 4)) + square(get(at + 5))).sqrt();
        nearest = nearest.min(apart.into_iter().fold(f32::MIN, f32::max) - tilt);
    }

    let radius = params[PARAM_SOLID_RADIUS];
    let first = params[PARAM_SOLID_FIRST] as usize;
    for solid in 0..params[PARAM_SOLIDS] as usize {
        let at = first + solid * STATIC_FIELDS;
        let (dx, dy) = (get(at) - centre.0, get(at + 1) - centre.1);
        let out_x = ((cos * dx + sin * dy).abs() - half_x).max(0.0);
        let out_y = ((cos * dy - sin * dx).abs() - half_y).max(0.0);
        nearest = nearest.min((square(out_x) + square(out_y)).sqrt() - radius);
    }
    (nearest, fastest)
}
