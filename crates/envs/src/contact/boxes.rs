//! `mjc_BoxBox`: where two boxes touch, as MuJoCo 2.3.3 finds it.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

mod clip;

use super::*;
use clip::{clip_between_edges, clip_on_face, set_face};

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
