//! `mjc_BoxBox`: where two boxes touch, as MuJoCo 2.3.3 finds it.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::*;

const REL: usize = TEMPORARY;
const OFFSET: usize = TEMPORARY + 9;
const BACK: usize = TEMPORARY + 12;
const QUAD: usize = TEMPORARY + 15;
const AXIS: usize = TEMPORARY + 24;
const FACE: usize = TEMPORARY + 27;

/// An edge-edge axis must beat the best face by this much \[m\]: float32 rounding of the overlaps.
const EDGE_GAIN: f32 = 2e-8;
/// Below this cross product upright boxes count as parallel: their edge-edge axes are face axes, and faces decide.
const PARALLEL: f32 = 1e-6;

/// Component of box b's axis `other` on box a's axis `own` (`swap`: a's `other` on b's `own`).
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
fn relative(scratch: &mut [f32], scratch_base: usize, swap: bool, own: usize, other: usize) -> f32 {
    if swap { scratch[scratch_base + REL + 3 * other + own] } else { scratch[scratch_base + REL + 3 * own + other] }
}

/// Box `ga` of body `a` against box `gb` of body `b` (MuJoCo's order: the smaller geom id first).
///
/// The axis of least overlap among the 6 faces and 9 edge pairs decides. Face: the other box's nearest face is
/// clipped by the face's rectangle, and the gap is **half** the penetration, as in MuJoCo 2.3.3. Edges: the faces
/// next to the two edges are clipped along the common normal, with the full penetration.
#[cfg_attr(feature = "gpu", cube)]
pub fn box_box(scratch: &mut [f32], scratch_base: usize, a: usize, ga: usize, b: usize, gb: usize) {
    let dx = scratch[gb] - scratch[ga];
    let dy = scratch[gb + 1] - scratch[ga + 1];
    let dz = scratch[gb + 2] - scratch[ga + 2];
    for i in 0..3 {
        scratch[scratch_base + OFFSET + i] =
            scratch[ga + 3 + i] * dx + scratch[ga + 6 + i] * dy + scratch[ga + 9 + i] * dz;
        scratch[scratch_base + BACK + i] =
            -(scratch[gb + 3 + i] * dx + scratch[gb + 6 + i] * dy + scratch[gb + 9 + i] * dz);
        for k in 0..3 {
            scratch[scratch_base + REL + 3 * i + k] = scratch[ga + 3 + i] * scratch[gb + 3 + k]
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
            reach_b += scratch[gb + 12 + k] * scratch[scratch_base + REL + 3 * i + k].abs();
            reach_a += scratch[ga + 12 + k] * scratch[scratch_base + REL + 3 * k + i].abs();
        }
        let over_a = scratch[ga + 12 + i] + reach_b - scratch[scratch_base + OFFSET + i].abs();
        let over_b = scratch[gb + 12 + i] + reach_a - scratch[scratch_base + BACK + i].abs();
        if over_a < least {
            least = over_a;
            code = i;
        }
        if over_b < least {
            least = over_b;
            code = 3 + i;
        }
    }
    let lean = scratch[scratch_base + REL + 6].abs().max(scratch[scratch_base + REL + 7].abs());
    if least >= 0.0 && lean > PARALLEL {
        let mut bound = least - EDGE_GAIN;
        for i in 0..3usize {
            for j in 0..3usize {
                // e_i x b_j in a's frame.
                let i1 = (i + 1) % 3;
                let i2 = (i + 2) % 3;
                let n1 = -scratch[scratch_base + REL + 3 * i2 + j];
                let n2 = scratch[scratch_base + REL + 3 * i1 + j];
                let length = (n1 * n1 + n2 * n2).sqrt();
                if length > 1e-5 {
                    let j1 = (j + 1) % 3;
                    let j2 = (j + 2) % 3;
                    let span = scratch[ga + 12 + i1] * n1.abs()
                        + scratch[ga + 12 + i2] * n2.abs()
                        + scratch[gb + 12 + j1] * scratch[scratch_base + REL + 3 * i + j2].abs()
                        + scratch[gb + 12 + j2] * scratch[scratch_base + REL + 3 * i + j1].abs();
                    let along = scratch[scratch_base + OFFSET + i1] * n1 + scratch[scratch_base + OFFSET + i2] * n2;
                    let over = (span - along.abs()) / length;
                    if over < bound {
                        bound = over;
                        least = over;
                        code = 6 + 3 * i + j;
                        let scale = if along < 0.0 { -1.0f32 / length } else { 1.0f32 / length };
                        scratch[scratch_base + AXIS + i] = 0.0;
                        scratch[scratch_base + AXIS + i1] = n1 * scale;
                        scratch[scratch_base + AXIS + i2] = n2 * scale;
                    }
                }
            }
        }
    }
    if least >= 0.0 {
        if code < 6 {
            face_contacts(scratch, scratch_base, a, ga, b, gb, code);
        } else {
            edge_contacts(scratch, scratch_base, a, ga, b, gb, code - 6);
        }
    }
}

/// Contacts of a face (axis code % 3 of box a, or of b from 3 on) with the other box's nearest face, edge or corner.
#[cfg_attr(feature = "gpu", cube)]
fn face_contacts(scratch: &mut [f32], scratch_base: usize, a: usize, ga: usize, b: usize, gb: usize, code: usize) {
    let swap = code >= 3;
    let w = code % 3;
    let u = (w + 1) % 3;
    let v = (w + 2) % 3;
    let centre = if swap { scratch_base + BACK } else { scratch_base + OFFSET };
    let own = if swap { gb } else { ga };
    let other = if swap { ga } else { gb };
    let sign = if scratch[centre + w] < 0.0 { -1.0f32 } else { 1.0f32 };
    let q = scratch_base + QUAD;
    scratch[q] = scratch[centre + u];
    scratch[q + 1] = scratch[centre + v];
    scratch[q + 2] = sign * scratch[centre + w] - scratch[own + 12 + w];
    for k in 3..9 {
        scratch[q + k] = 0.0;
    }
    let mut edges = 0usize;
    for k in 0..3 {
        let ku = relative(scratch, scratch_base, swap, u, k);
        let kv = relative(scratch, scratch_base, swap, v, k);
        let kw = sign * relative(scratch, scratch_base, swap, w, k);
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
    let out = if swap { -1.0f32 } else { 1.0f32 };
    set_face(scratch, scratch_base, own, u, v, w, sign, out, 0.0, 0.0);
    let half_u = scratch[own + 12 + u];
    let half_v = scratch[own + 12 + v];
    clip_on_face(scratch, scratch_base, a, b, half_u, half_v, edges);
}

/// Contacts of edge i of box a with edge j of box b, code = 3 i + j; the unit normal from a to b is at [`AXIS`].
#[cfg_attr(feature = "gpu", cube)]
fn edge_contacts(scratch: &mut [f32], scratch_base: usize, a: usize, ga: usize, b: usize, gb: usize, code: usize) {
    let i = code / 3;
    let j = code % 3;
    // Of box b: the face spanned by edge j and the axis best aligned with edge i; `rest` is its normal's axis.
    let j1 = (j + 1) % 3;
    let j2 = (j + 2) % 3;
    let first = scratch[scratch_base + REL + 3 * i + j1].abs() >= scratch[scratch_base + REL + 3 * i + j2].abs();
    let span = if first { j1 } else { j2 };
    let rest = if first { j2 } else { j1 };
    // Of box a: the face next to edge i whose normal is least aligned with edge j.
    let i1 = (i + 1) % 3;
    let i2 = (i + 2) % 3;
    let w = if scratch[scratch_base + REL + 3 * i1 + j].abs() < scratch[scratch_base + REL + 3 * i2 + j].abs() {
        i1
    } else {
        i2
    };
    let u = (w + 1) % 3;
    let v = (w + 2) % 3;
    let nu = scratch[scratch_base + AXIS + u];
    let nv = scratch[scratch_base + AXIS + v];
    let nw = scratch[scratch_base + AXIS + w];
    let sign = if nw > 0.0 { 1.0f32 } else { -1.0f32 };
    let rise = nw.abs();
    if rise > 1e-6 {
        // Along the normal onto the face: a point at height z lands (ku, kv) z away.
        let ku = nu / rise;
        let kv = nv / rise;
        let mut on_span = 0.0f32;
        let mut on_rest = 0.0f32;
        for k in 0..3 {
            on_span += scratch[scratch_base + AXIS + k] * scratch[scratch_base + REL + 3 * k + span];
            on_rest += scratch[scratch_base + AXIS + k] * scratch[scratch_base + REL + 3 * k + rest];
        }
        let half_span = if on_span < 0.0 { scratch[gb + 12 + span] } else { -scratch[gb + 12 + span] };
        let half_rest = if on_rest < 0.0 { scratch[gb + 12 + rest] } else { -scratch[gb + 12 + rest] };
        let half_edge = scratch[gb + 12 + j];
        let q = scratch_base + QUAD;
        for axis in 0..3 {
            let row = if axis == 0 { u } else { v };
            let row = if axis == 2 { w } else { row };
            let flip = if axis == 2 { sign } else { 1.0f32 };
            let along_span = flip * scratch[scratch_base + REL + 3 * row + span];
            let along_rest = flip * scratch[scratch_base + REL + 3 * row + rest];
            let along_edge = flip * scratch[scratch_base + REL + 3 * row + j];
            scratch[q + axis] = flip * scratch[scratch_base + OFFSET + row]
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
        set_face(scratch, scratch_base, ga, u, v, w, sign, 1.0, ku, kv);
        clip_between_edges(scratch, scratch_base, a, b, ga, w, sign, ku, kv);
    }
}

/// Writes the face of `own` with the outward axis w (times `sign`) for [`emit`]: its centre, its axes u and v, the
/// direction of the contact normal per height (w drifting by `ku` u and `kv` v), and the unit normal times `out`.
#[cfg_attr(feature = "gpu", cube)]
fn set_face(
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
fn clip_on_face(scratch: &mut [f32], scratch_base: usize, a: usize, b: usize, half_u: f32, half_v: f32, edges: usize) {
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
fn clip_between_edges(
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
