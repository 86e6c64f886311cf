//! Where two boxes touch, as MuJoCo 2.3.3's box-box collider finds it.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::*;

const REL: usize = TEMPORARY;
const OFFSET: usize = TEMPORARY + 9;
const BACK: usize = TEMPORARY + 12;
const QUAD: usize = TEMPORARY + 15;
const AXIS: usize = TEMPORARY + 24;

/// An edge-edge axis must beat the best face by this much \[m\]: float32 rounding of the overlaps.
const EDGE_GAIN: f32 = 5e-7;

/// Component of box b's axis `other` on box a's axis `own` (`swap`: a's `other` on b's `own`).
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn relative(scratch: &mut [f32], s0: usize, swap: bool, own: usize, other: usize) -> f32 {
    if swap { scratch[s0 + REL + 3 * other + own] } else { scratch[s0 + REL + 3 * own + other] }
}

/// Box `ga` of body `a` against box `gb` of body `b` (MuJoCo's order: the smaller geom id first).
///
/// The axis of least overlap among the 6 faces and 9 edge pairs decides. Face: the other box's nearest face is
/// clipped by the face's rectangle, and the gap is **half** the penetration, as in MuJoCo 2.3.3. Edges: the faces
/// next to the two edges are clipped along the common normal, with the full penetration.
#[cfg_attr(feature = "gpu", cube)]
pub fn box_box(scratch: &mut [f32], s0: usize, a: usize, ga: usize, b: usize, gb: usize) {
    let dx = scratch[gb] - scratch[ga];
    let dy = scratch[gb + 1] - scratch[ga + 1];
    let dz = scratch[gb + 2] - scratch[ga + 2];
    for i in 0..3 {
        scratch[s0 + OFFSET + i] = scratch[ga + 3 + i] * dx + scratch[ga + 6 + i] * dy + scratch[ga + 9 + i] * dz;
        scratch[s0 + BACK + i] = -(scratch[gb + 3 + i] * dx + scratch[gb + 6 + i] * dy + scratch[gb + 9 + i] * dz);
        for k in 0..3 {
            scratch[s0 + REL + 3 * i + k] = scratch[ga + 3 + i] * scratch[gb + 3 + k]
                + scratch[ga + 6 + i] * scratch[gb + 6 + k]
                + scratch[ga + 9 + i] * scratch[gb + 9 + k];
        }
    }
    let mut least = 1e30f32;
    let mut code = 0usize;
    for i in 0..3 {
        let mut reach_b = 0.0f32;
        let mut reach_a = 0.0f32;
        for k in 0..3 {
            reach_b += scratch[gb + 12 + k] * scratch[s0 + REL + 3 * i + k].abs();
            reach_a += scratch[ga + 12 + k] * scratch[s0 + REL + 3 * k + i].abs();
        }
        let over_a = scratch[ga + 12 + i] + reach_b - scratch[s0 + OFFSET + i].abs();
        let over_b = scratch[gb + 12 + i] + reach_a - scratch[s0 + BACK + i].abs();
        if over_a < least {
            least = over_a;
            code = i;
        }
        if over_b < least {
            least = over_b;
            code = 3 + i;
        }
    }
    if least >= 0.0 {
        let mut bound = least - EDGE_GAIN;
        for i in 0..3usize {
            for j in 0..3usize {
                // e_i x b_j in a's frame.
                let i1 = (i + 1) % 3;
                let i2 = (i + 2) % 3;
                let n1 = -scratch[s0 + REL + 3 * i2 + j];
                let n2 = scratch[s0 + REL + 3 * i1 + j];
                let length = (n1 * n1 + n2 * n2).sqrt();
                if length > 1e-5 {
                    let j1 = (j + 1) % 3;
                    let j2 = (j + 2) % 3;
                    let span = scratch[ga + 12 + i1] * n1.abs()
                        + scratch[ga + 12 + i2] * n2.abs()
                        + scratch[gb + 12 + j1] * scratch[s0 + REL + 3 * i + j2].abs()
                        + scratch[gb + 12 + j2] * scratch[s0 + REL + 3 * i + j1].abs();
                    let along = scratch[s0 + OFFSET + i1] * n1 + scratch[s0 + OFFSET + i2] * n2;
                    let over = (span - along.abs()) / length;
                    if over < bound {
                        bound = over;
                        least = over;
                        code = 6 + 3 * i + j;
                        let scale = if along < 0.0 { -1.0f32 / length } else { 1.0f32 / length };
                        scratch[s0 + AXIS + i] = 0.0;
                        scratch[s0 + AXIS + i1] = n1 * scale;
                        scratch[s0 + AXIS + i2] = n2 * scale;
                    }
                }
            }
        }
    }
    if least >= 0.0 {
        if code < 6 {
            face_contacts(scratch, s0, a, ga, b, gb, code);
        } else {
            edge_contacts(scratch, s0, a, ga, b, gb, code - 6);
        }
    }
}

/// Contacts of a face (axis code % 3 of box a, or of b from 3 on) with the other box's nearest face, edge or corner.
#[cfg_attr(feature = "gpu", cube)]
fn face_contacts(scratch: &mut [f32], s0: usize, a: usize, ga: usize, b: usize, gb: usize, code: usize) {
    let swap = code >= 3;
    let w = code % 3;
    let u = (w + 1) % 3;
    let v = (w + 2) % 3;
    let centre = if swap { s0 + BACK } else { s0 + OFFSET };
    let own = if swap { gb } else { ga };
    let other = if swap { ga } else { gb };
    let sign = if scratch[centre + w] < 0.0 { -1.0f32 } else { 1.0f32 };
    let q = s0 + QUAD;
    scratch[q] = scratch[centre + u];
    scratch[q + 1] = scratch[centre + v];
    scratch[q + 2] = sign * scratch[centre + w] - scratch[own + 12 + w];
    for k in 3..9 {
        scratch[q + k] = 0.0;
    }
    let mut edges = 0usize;
    for k in 0..3 {
        let ku = relative(scratch, s0, swap, u, k);
        let kv = relative(scratch, s0, swap, v, k);
        let kw = sign * relative(scratch, s0, swap, w, k);
        let half = if kw < 0.0 { scratch[other + 12 + k] } else { -scratch[other + 12 + k] };
        scratch[q] += half * ku;
        scratch[q + 1] += half * kv;
        scratch[q + 2] += half * kw;
        if kw.abs() < 0.5 && edges < 2 {
            edges += 1;
            let e = q + 3 * edges;
            scratch[e] = -2.0f32 * half * ku;
            scratch[e + 1] = -2.0f32 * half * kv;
            scratch[e + 2] = -2.0f32 * half * kw;
        }
    }
    clip(scratch, s0, a, b, own, u, v, w, sign, swap, 0.0, 0.0, 0.5, edges);
}

/// Contacts of edge i of box a with edge j of box b, code = 3 i + j; the unit normal from a to b is at [`AXIS`].
#[cfg_attr(feature = "gpu", cube)]
fn edge_contacts(scratch: &mut [f32], s0: usize, a: usize, ga: usize, b: usize, gb: usize, code: usize) {
    let i = code / 3;
    let j = code % 3;
    // Of box b: the face spanned by edge j and the axis best aligned with edge i; `rest` is its normal's axis.
    let j1 = (j + 1) % 3;
    let j2 = (j + 2) % 3;
    let first = scratch[s0 + REL + 3 * i + j1].abs() >= scratch[s0 + REL + 3 * i + j2].abs();
    let span = if first { j1 } else { j2 };
    let rest = if first { j2 } else { j1 };
    // Of box a: the face next to edge i whose normal is least aligned with edge j.
    let i1 = (i + 1) % 3;
    let i2 = (i + 2) % 3;
    let w = if scratch[s0 + REL + 3 * i1 + j].abs() < scratch[s0 + REL + 3 * i2 + j].abs() { i1 } else { i2 };
    let u = (w + 1) % 3;
    let v = (w + 2) % 3;
    let nu = scratch[s0 + AXIS + u];
    let nv = scratch[s0 + AXIS + v];
    let nw = scratch[s0 + AXIS + w];
    let sign = if nw > 0.0 { 1.0f32 } else { -1.0f32 };
    let rise = nw.abs();
    if rise > 1e-6 {
        // Along the normal onto the face: a point at height z lands (ku, kv) z away.
        let ku = nu / rise;
        let kv = nv / rise;
        let mut on_span = 0.0f32;
        let mut on_rest = 0.0f32;
        for k in 0..3 {
            on_span += scratch[s0 + AXIS + k] * scratch[s0 + REL + 3 * k + span];
            on_rest += scratch[s0 + AXIS + k] * scratch[s0 + REL + 3 * k + rest];
        }
        let half_span = if on_span < 0.0 { scratch[gb + 12 + span] } else { -scratch[gb + 12 + span] };
        let half_rest = if on_rest < 0.0 { scratch[gb + 12 + rest] } else { -scratch[gb + 12 + rest] };
        let half_edge = scratch[gb + 12 + j];
        let q = s0 + QUAD;
        for axis in 0..3 {
            let row = if axis == 0 { u } else { v };
            let row = if axis == 2 { w } else { row };
            let flip = if axis == 2 { sign } else { 1.0f32 };
            let along_span = flip * scratch[s0 + REL + 3 * row + span];
            let along_rest = flip * scratch[s0 + REL + 3 * row + rest];
            let along_edge = flip * scratch[s0 + REL + 3 * row + j];
            scratch[q + axis] = flip * scratch[s0 + OFFSET + row]
                + half_span * along_span
                + half_rest * along_rest
                + half_edge * along_edge;
            scratch[q + 3 + axis] = -2.0f32 * half_edge * along_edge;
            scratch[q + 6 + axis] = -2.0f32 * half_span * along_span;
        }
        scratch[q + 2] -= scratch[ga + 12 + w];
        for k in 0..3 {
            let z = scratch[q + 3 * k + 2];
            scratch[q + 3 * k] -= ku * z;
            scratch[q + 3 * k + 1] -= kv * z;
        }
        clip(scratch, s0, a, b, ga, u, v, w, sign, false, ku, kv, 1.0 / rise, 2);
    }
}

/// Pushes the corners of the quad at [`QUAD`] (corner, two edge vectors; u, v on the face, z above it) cut by the
/// rectangle of `own`'s face (u, v, w): crossings of the outlines, corners of one inside the other. `edges` says
/// how many of the edge vectors count. (`ku`, `kv`) is the drift of the normal per height; the gap is `factor` z.
#[cfg_attr(feature = "gpu", cube)]
fn clip(
    scratch: &mut [f32],
    s0: usize,
    a: usize,
    b: usize,
    own: usize,
    u: usize,
    v: usize,
    w: usize,
    sign: f32,
    swap: bool,
    ku: f32,
    kv: f32,
    factor: f32,
    edges: usize,
) {
    let q = s0 + QUAD;
    let half_u = scratch[own + 12 + u];
    let half_v = scratch[own + 12 + v];
    let edged = factor != 0.5;
    // Outlines: up to four lines, against the two pairs of parallel sides.
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
                if t >= 0.0 && t <= 1.0 && cross.abs() <= room {
                    let px = if on_u { side * half } else { cross };
                    let py = if on_u { cross } else { side * half };
                    emit(scratch, s0, a, b, own, u, v, w, sign, swap, ku, kv, factor, px, py, z + t * ez);
                }
            }
        }
    }
    if edges == 2 {
        // Corners of the rectangle inside the quad.
        let det = scratch[q + 3] * scratch[q + 7] - scratch[q + 6] * scratch[q + 4];
        if det.abs() > 1e-15 {
            for corner in 0..4usize {
                let cx = if corner & 1 == 0 { -half_u } else { half_u };
                let cy = if corner & 2 == 0 { -half_v } else { half_v };
                let x = cx - scratch[q];
                let y = cy - scratch[q + 1];
                let s = (x * scratch[q + 7] - y * scratch[q + 6]) / det;
                let t = (y * scratch[q + 3] - x * scratch[q + 4]) / det;
                if s > 0.0 && s < 1.0 && t > 0.0 && t < 1.0 {
                    let z = scratch[q + 2] + s * scratch[q + 5] + t * scratch[q + 8];
                    emit(scratch, s0, a, b, own, u, v, w, sign, swap, ku, kv, factor, cx, cy, z);
                }
            }
        }
    }
    // Corners of the quad inside the rectangle. On a face the deepest corner counts even outside, as in MuJoCo.
    let corners = if edges == 0 { 1usize } else { 2 * edges };
    for corner in 0..corners {
        let s = if corner & 1 == 0 { 0.0f32 } else { 1.0f32 };
        let t = if corner & 2 == 0 { 0.0f32 } else { 1.0f32 };
        let x = scratch[q] + s * scratch[q + 3] + t * scratch[q + 6];
        let y = scratch[q + 1] + s * scratch[q + 4] + t * scratch[q + 7];
        let z = scratch[q + 2] + s * scratch[q + 5] + t * scratch[q + 8];
        let within = x.abs() < half_u && y.abs() < half_v;
        if within || (corner == 0 && !edged) {
            emit(scratch, s0, a, b, own, u, v, w, sign, swap, ku, kv, factor, x, y, z);
        }
    }
}

/// Pushes one clipped point if it lies below the face, midway between the face and the other box.
#[cfg_attr(feature = "gpu", cube)]
fn emit(
    scratch: &mut [f32],
    s0: usize,
    a: usize,
    b: usize,
    own: usize,
    u: usize,
    v: usize,
    w: usize,
    sign: f32,
    swap: bool,
    ku: f32,
    kv: f32,
    factor: f32,
    x: f32,
    y: f32,
    z: f32,
) {
    if z < 0.0 {
        let pu = x + 0.5 * z * ku;
        let pv = y + 0.5 * z * kv;
        let pw = sign * (scratch[own + 12 + w] + 0.5 * z);
        // The unit normal, from a to b: along w on a face, tilted by (ku, kv) between edges.
        let out = if swap { -1.0f32 } else { 1.0f32 };
        let rise = out / (1.0 + ku * ku + kv * kv).sqrt();
        let mu = rise * ku;
        let mv = rise * kv;
        let mw = rise * sign;
        let row = own + 3;
        let nx = turned(scratch, row, u, v, w, mu, mv, mw);
        let ny = turned(scratch, row + 3, u, v, w, mu, mv, mw);
        let nz = turned(scratch, row + 6, u, v, w, mu, mv, mw);
        let px = scratch[own] + turned(scratch, row, u, v, w, pu, pv, pw);
        let py = scratch[own + 1] + turned(scratch, row + 3, u, v, w, pu, pv, pw);
        let pz = scratch[own + 2] + turned(scratch, row + 6, u, v, w, pu, pv, pw);
        push_contact(scratch, s0, a, b, nx, ny, nz, px, py, pz, factor * z);
    }
}

/// One world coordinate of the vector (x, y, z) given on the axes u, v, w of a shape.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn turned(scratch: &mut [f32], row: usize, u: usize, v: usize, w: usize, x: f32, y: f32, z: f32) -> f32 {
    scratch[row + u] * x + scratch[row + v] * y + scratch[row + w] * z
}
