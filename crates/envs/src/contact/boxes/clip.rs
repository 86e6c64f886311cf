//! `mjc_BoxBox`, its second half: faces clipped by each other, and the contacts that this leaves.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::super::*;
use super::{FACE, QUAD};

/// Writes the face of `own` with the outward axis w (times `sign`) for [`emit`]: its centre, its axes u and v, the
/// direction of the contact normal per height (w drifting by `ku` u and `kv` v), and the unit normal times `out`.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn set_face(
    scratch: &mut [f32],
    scratch_base: usize,
    own: usize,
    u: usize,
    v: usize,
    w: usize,
    sign: f32,
    out: f32,
    ku: f32,
    kv: f32,
) {
    let unit = out / (1.0 + ku * ku + kv * kv).sqrt();
    let reach = sign * scratch[own + 12 + w];
    for k in 0..3 {
        let row = own + 3 + 3 * k;
        let along_u = scratch[row + u];
        let along_v = scratch[row + v];
        let along_w = scratch[row + w];
        let rise = sign * along_w + ku * along_u + kv * along_v;
        scratch[scratch_base + FACE + k] = scratch[own + k] + reach * along_w;
        scratch[scratch_base + FACE + 3 + k] = along_u;
        scratch[scratch_base + FACE + 6 + k] = along_v;
        scratch[scratch_base + FACE + 9 + k] = rise;
        scratch[scratch_base + FACE + 12 + k] = unit * rise;
    }
}

/// Pushes the contact of the point of the other box that lies `z` < 0 below (x, y) on the face of [`set_face`], along
/// the normal: midway between the two.
#[cfg_attr(feature = "gpu", cube)]
fn emit(scratch: &mut [f32], scratch_base: usize, a: usize, b: usize, x: f32, y: f32, z: f32, gap: f32) {
    if z < 0.0 {
        let f = scratch_base + FACE;
        let half = 0.5 * z;
        let px = scratch[f] + x * scratch[f + 3] + y * scratch[f + 6] + half * scratch[f + 9];
        let py = scratch[f + 1] + x * scratch[f + 4] + y * scratch[f + 7] + half * scratch[f + 10];
        let pz = scratch[f + 2] + x * scratch[f + 5] + y * scratch[f + 8] + half * scratch[f + 11];
        let nx = scratch[f + 12];
        let ny = scratch[f + 13];
        let nz = scratch[f + 14];
        push_contact(scratch, scratch_base, a, b, nx, ny, nz, px, py, pz, gap);
    }
}

/// Pushes the points where the outline of the quad at [`QUAD`] (corner, two edge vectors of which `edges` count) crosses
/// the face's outline; the gap is `factor` z. Returns how many lie below the face.
#[cfg_attr(feature = "gpu", cube)]
fn clip_outlines(
    scratch: &mut [f32],
    scratch_base: usize,
    a: usize,
    b: usize,
    half_u: f32,
    half_v: f32,
    edges: usize,
    factor: f32,
) -> u32 {
    let q = scratch_base + QUAD;
    let mut crossings = 0u32;
    let lines = if edges == 2 { 4usize } else { edges };
    for line in 0..lines {
        let e = if line == 0 || line == 3 { q + 3 } else { q + 6 };
        let shift_1 = if line == 2 { 1.0f32 } else { 0.0f32 };
        let shift_2 = if line == 3 { 1.0f32 } else { 0.0f32 };
        let x = scratch[q] + shift_1 * scratch[q + 3] + shift_2 * scratch[q + 6];
        let y = scratch[q + 1] + shift_1 * scratch[q + 4] + shift_2 * scratch[q + 7];
        let z = scratch[q + 2] + shift_1 * scratch[q + 5] + shift_2 * scratch[q + 8];
        let ex = scratch[e];
        let ey = scratch[e + 1];
        let ez = scratch[e + 2];
        for pair in 0..4usize {
            let on_u = pair < 2;
            let side = if pair % 2 == 0 { -1.0f32 } else { 1.0f32 };
            let from = if on_u { x } else { y };
            let slope = if on_u { ex } else { ey };
            let half = if on_u { half_u } else { half_v };
            if slope.abs() > 1e-12 {
                let t = (side * half - from) / slope;
                let cross = if on_u { y + t * ey } else { x + t * ex };
                let room = if on_u { half_v } else { half_u };
                let height = z + t * ez;
                if (t - 0.5).abs() <= 0.5 && cross.abs() <= room && height <= 0.0 {
                    let px = if on_u { side * half } else { cross };
                    let py = if on_u { cross } else { side * half };
                    emit(scratch, scratch_base, a, b, px, py, height, factor * height);
                    crossings += 1u32;
                }
            }
        }
    }
    crossings
}

/// Face against the other box: the quad cut by the face's rectangle, with half the penetration as gap.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn clip_on_face(
    scratch: &mut [f32],
    scratch_base: usize,
    a: usize,
    b: usize,
    half_u: f32,
    half_v: f32,
    edges: usize,
) {
    let q = scratch_base + QUAD;
    clip_outlines(scratch, scratch_base, a, b, half_u, half_v, edges, 0.5);
    let det = scratch[q + 3] * scratch[q + 7] - scratch[q + 6] * scratch[q + 4];
    if edges == 2 && det.abs() > 1e-15 {
        // Corners of the face under the quad.
        for corner in 0..4usize {
            let cx = if corner & 1 == 0 { -half_u } else { half_u };
            let cy = if corner & 2 == 0 { -half_v } else { half_v };
            let x = cx - scratch[q];
            let y = cy - scratch[q + 1];
            let s = (x * scratch[q + 7] - y * scratch[q + 6]) / det;
            let t = (y * scratch[q + 3] - x * scratch[q + 4]) / det;
            if (s - 0.5).abs() < 0.5 && (t - 0.5).abs() < 0.5 {
                let z = scratch[q + 2] + s * scratch[q + 5] + t * scratch[q + 8];
                emit(scratch, scratch_base, a, b, cx, cy, z, 0.5 * z);
            }
        }
    }
    // Corners of the quad over the face; the deepest one counts even outside, as in MuJoCo.
    let corners = if edges == 0 { 1usize } else { 2 * edges };
    for corner in 0..corners {
        let s = if corner & 1 == 0 { 0.0f32 } else { 1.0f32 };
        let t = if corner & 2 == 0 { 0.0f32 } else { 1.0f32 };
        let x = scratch[q] + s * scratch[q + 3] + t * scratch[q + 6];
        let y = scratch[q + 1] + s * scratch[q + 4] + t * scratch[q + 7];
        let z = scratch[q + 2] + s * scratch[q + 5] + t * scratch[q + 8];
        if corner == 0 || (x.abs() < half_u && y.abs() < half_v) {
            emit(scratch, scratch_base, a, b, x, y, z, 0.5 * z);
        }
    }
}

/// Edge against edge: the quad (box b's face, projected along the normal) cut by the rectangle of box a's face (axis w
/// times `sign`), with the full penetration as gap.
///
/// MuJoCo 2.3.3 overwrites the quad's determinant with the squared depth at the first of the rectangle's corners that
/// it finds inside, so that it misses most of the further ones. Vases feel the missing contact (0.02 m/s in a
/// substep), hence the same slip here, and corners in the same order.
#[cfg_attr(feature = "gpu", cube)]
pub(super) fn clip_between_edges(
    scratch: &mut [f32],
    scratch_base: usize,
    a: usize,
    b: usize,
    ga: usize,
    w: usize,
    sign: f32,
    ku: f32,
    kv: f32,
) {
    let q = scratch_base + QUAD;
    let half_u = scratch[ga + 12 + (w + 1) % 3];
    let half_v = scratch[ga + 12 + (w + 2) % 3];
    let factor = (1.0 + ku * ku + kv * kv).sqrt();
    let crossings = clip_outlines(scratch, scratch_base, a, b, half_u, half_v, 2, factor);
    let mut corners = 0u32;
    let mut det = scratch[q + 3] * scratch[q + 7] - scratch[q + 6] * scratch[q + 4];
    for corner in 0..4usize {
        let outer = if corner < 2 { -1.0f32 } else { 1.0f32 };
        let inner = if corner % 2 == 0 { -1.0f32 } else { 1.0f32 };
        let lower_u = if w == 1 { -sign * inner } else { inner };
        let lower_v = if w == 0 { -sign * outer } else { outer };
        let cx = if w == 2 { sign * outer * half_u } else { lower_u * half_u };
        let cy = if w == 2 { inner * half_v } else { lower_v * half_v };
        let x = cx - scratch[q];
        let y = cy - scratch[q + 1];
        let s = (x * scratch[q + 7] - y * scratch[q + 6]) / det;
        let t = (y * scratch[q + 3] - x * scratch[q + 4]) / det;
        let s_in = (s - 0.5).abs() <= 0.5;
        let t_in = (t - 0.5).abs() <= 0.5;
        if (s_in && t_in) || (crossings == 0 && (s_in || t_in)) {
            let s = s.clamp(0.0, 1.0);
            let t = t.clamp(0.0, 1.0);
            let px = scratch[q] + s * scratch[q + 3] + t * scratch[q + 6];
            let py = scratch[q + 1] + s * scratch[q + 4] + t * scratch[q + 7];
            let z = scratch[q + 2] + s * scratch[q + 5] + t * scratch[q + 8];
            let away_x = px + z * ku - cx;
            let away_y = py + z * kv - cy;
            det = away_x * away_x + away_y * away_y + z * z;
            emit(scratch, scratch_base, a, b, 0.5 * (cx + px), 0.5 * (cy + py), z, -det.sqrt());
            if z < 0.0 {
                corners += 1u32;
            }
        }
    }
    // Corners of the quad over the face, or all where the outlines never meet.
    for corner in 0..4usize {
        let s = if corner & 1 == 0 { 0.0f32 } else { 1.0f32 };
        let t = if corner & 2 == 0 { 0.0f32 } else { 1.0f32 };
        let x = scratch[q] + s * scratch[q + 3] + t * scratch[q + 6];
        let y = scratch[q + 1] + s * scratch[q + 4] + t * scratch[q + 7];
        let z = scratch[q + 2] + s * scratch[q + 5] + t * scratch[q + 8];
        let u_in = x.abs() <= half_u;
        let v_in = y.abs() <= half_v;
        if (u_in && v_in) || (crossings == 0 && (corners == 0 || u_in || v_in)) {
            let near_x = x.max(-half_u).min(half_u);
            let near_y = y.max(-half_v).min(half_v);
            let out_x = x - near_x;
            let out_y = y - near_y;
            let deep = factor * z;
            let gap = -(out_x * out_x + out_y * out_y + deep * deep).sqrt();
            emit(scratch, scratch_base, a, b, 0.5 * (x + near_x), 0.5 * (y + near_y), z, gap);
        }
    }
}
