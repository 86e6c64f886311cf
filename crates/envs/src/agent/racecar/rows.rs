//! Rows of the Racecar's contact objective that only its front wheels feel: the rod between the hinges, their limits, the bumper.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::block::{HINGES, RATE, ROW, ROW_COUNT, ROWS, SEARCH_PATH};
use super::variants::scalar::{Front, Problem};

/// Writes a row of what only the front wheels feel.
#[cfg_attr(feature = "gpu", cube)]
fn write_row(
    scratch: &mut [f32],
    scratch_base: usize,
    row: usize,
    left: f32,
    left_spin: f32,
    right: f32,
    right_spin: f32,
    offset: f32,
    weight: f32,
    both: f32,
) {
    let at = scratch_base + ROWS + ROW * row;
    scratch[at] = left;
    scratch[at + 1] = left_spin;
    scratch[at + 2] = right;
    scratch[at + 3] = right_spin;
    scratch[at + 4] = offset;
    scratch[at + 5] = weight;
    scratch[at + 6] = both;
}

/// Writes the two edges of a wheel that rubs the bumper in one friction direction, with factors `left` or `right` of the normal (n)
/// and the direction (f) for steering and spin.
#[cfg_attr(feature = "gpu", cube)]
fn write_edges(
    scratch: &mut [f32],
    scratch_base: usize,
    row: usize,
    left: bool,
    steer_n: f32,
    steer_f: f32,
    spin_n: f32,
    spin_f: f32,
    steer_rate: f32,
    spin_rate: f32,
    push: f32,
    weight: f32,
) {
    for k in 0..2usize {
        let sign = if k == 0 { 1.0f32 } else { -1.0f32 };
        let steer = steer_n + sign * steer_f;
        let spin = spin_n + sign * spin_f;
        let offset = steer * steer_rate + spin * spin_rate + push;
        let left_steer = if left { steer } else { 0.0f32 };
        let left_spin = if left { spin } else { 0.0f32 };
        let right_steer = if left { 0.0f32 } else { steer };
        let right_spin = if left { 0.0f32 } else { spin };
        write_row(scratch, scratch_base, row + k, left_steer, left_spin, right_steer, right_spin, offset, weight, 0.0);
    }
}

/// Writes the rows of what only the front wheels feel: the rod, both limits, the bumper (one wheel at most rubs it).
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn write_rows(scratch: &mut [f32], scratch_base: usize, p: Problem) {
    let apart = p.rates.steer_left - p.rates.steer_right + p.rod_push;
    write_row(scratch, scratch_base, 0, 1.0, 0.0, -1.0, 0.0, apart, p.rod_weight, 1.0);
    write_row(scratch, scratch_base, 1, p.left.stop.sense, 0.0, 0.0, 0.0, p.left.stop.push, p.left.stop.weight, 0.0);
    write_row(scratch, scratch_base, 2, 0.0, 0.0, p.right.stop.sense, 0.0, p.right.stop.push, p.right.stop.weight, 0.0);
    let left = p.left.rub.weight > 0.0;
    let steer_rate = if left { p.rates.steer_left } else { p.rates.steer_right };
    let spin_rate = if left { p.rates.left } else { p.rates.right };
    let push = if left { p.left.rub.push } else { p.right.rub.push };
    let weight = if left { p.left.rub.weight } else { p.right.rub.weight };
    let steer_n = if left { p.left.rub.steer.n } else { p.right.rub.steer.n };
    let spin_n = if left { p.left.rub.spin.n } else { p.right.rub.spin.n };
    for i in 0..5usize {
        let steer_f = if left { direction_of(p.left, true, i) } else { direction_of(p.right, true, i) };
        let spin_f = if left { direction_of(p.left, false, i) } else { direction_of(p.right, false, i) };
        write_edges(
            scratch,
            scratch_base,
            3 + 2 * i,
            left,
            steer_n,
            steer_f,
            spin_n,
            spin_f,
            steer_rate,
            spin_rate,
            push,
            weight,
        );
    }
}

/// Friction direction `i` of a front wheel's contact with the bumper, per unit of steering or of spin.
#[cfg_attr(feature = "gpu", cube)]
fn direction_of(w: Front, steering: bool, i: usize) -> f32 {
    let x = if steering { w.rub.steer.x } else { w.rub.spin.x };
    let y = if steering { w.rub.steer.y } else { w.rub.spin.y };
    let t = if steering { w.rub.steer.t } else { w.rub.spin.t };
    let u = if steering { w.rub.steer.u } else { w.rub.spin.u };
    let v = if steering { w.rub.steer.v } else { w.rub.spin.v };
    let mut value = x;
    if i == 1 {
        value = y;
    }
    if i == 2 {
        value = t;
    }
    if i == 3 {
        value = u;
    }
    if i == 4 {
        value = v;
    }
    value
}

/// Value of row `row` for the block's vector at `from`, without its offset.
#[cfg_attr(feature = "gpu", cube)]
fn row_along(scratch: &mut [f32], scratch_base: usize, row: usize, from: usize) -> f32 {
    let at = scratch_base + ROWS + ROW * row;
    let mut value = 0.0f32;
    for k in 0..4usize {
        value += scratch[at + k] * scratch[from + HINGES + k];
    }
    value
}

/// The weight of row `row` at the present accelerations, and its violation; the weight is 0 where the row does not push.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn pushing(scratch: &mut [f32], scratch_base: usize, row: usize) -> (f32, f32) {
    let at = scratch_base + ROWS + ROW * row;
    let violation = row_along(scratch, scratch_base, row, scratch_base + RATE) + scratch[at + 4];
    let on = violation < 0.0 || scratch[at + 6] > 0.0;
    let weight = if on { scratch[at + 5] } else { 0.0f32 };
    (weight, violation)
}

/// Curvature of the rows along the path.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn rows_along(scratch: &mut [f32], scratch_base: usize) -> f32 {
    let mut curvature = 0.0f32;
    for row in 0..ROW_COUNT {
        let (weight, _) = pushing(scratch, scratch_base, row);
        let d = row_along(scratch, scratch_base, row, scratch_base + SEARCH_PATH);
        curvature += weight * d * d;
    }
    curvature
}
