//! Gremlins of a block that meet nothing: they only drift.

use pulp::NullaryFnOnce;

use crate::lanes::{Lane, row, row_mut, with_simd};
use crate::object::ObjectKind;
use crate::object::{GREMLIN_HOME, drift, drift_stages, mocap_pull, orbit};
use crate::params::{PARAM_BODIES, PARAM_BODY_FIELDS, PARAM_BODY_FIRST, PARAM_BODY_KIND, PARAM_STAGES, PARAM_SUBSTEP};
use crate::state::{AGE, LANES};

/// Ten substeps of the gremlins of the lanes for which `keep` holds.
pub(super) fn drift_lanes(params: &[f32], state: &mut [f32], keep: &[bool; LANES]) {
    if params[PARAM_BODY_KIND] == ObjectKind::Gremlin.code() {
        with_simd(Drift { params, state, keep });
    }
}

struct Drift<'a> {
    params: &'a [f32],
    state: &'a mut [f32],
    keep: &'a [bool; LANES],
}

impl NullaryFnOnce for Drift<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { params, state, keep } = self;
        drift_all_lanes(params, state, keep);
    }
}

#[inline(always)]
fn drift_all_lanes(params: &[f32], state: &mut [f32], keep: &[bool; LANES]) {
    let (first, count) = (params[PARAM_BODY_FIRST] as usize, params[PARAM_BODIES] as usize);
    let fields = params[PARAM_BODY_FIELDS] as usize;
    let step = params[PARAM_SUBSTEP];
    let age = *row(state, AGE);
    let (mut out_x, mut out_y) = ([[0.0; LANES]; 10], [[0.0; LANES]; 10]);
    for substep in 0..10 {
        for l in 0..LANES {
            (out_x[substep][l], out_y[substep][l]) = orbit(age[l], substep as f32, step);
        }
    }
    let none = [[0.0; LANES]; 10];
    for gremlin in 0..count {
        let at = first + gremlin * fields;
        for k in 0..3 {
            let (height, gravity) = mocap_pull(k);
            let out: &[Lane; 10] = [&out_x, &out_y, &none][k];
            let home = if k == 2 { [height; LANES] } else { *row(state, at + GREMLIN_HOME + k) };
            let (mut place, mut velocity) = (*row(state, at + k), *row(state, at + 7 + k));
            for out in out {
                if params[PARAM_STAGES] > 1.0 {
                    for l in 0..LANES {
                        (place[l], velocity[l]) = drift_stages(place[l], velocity[l], home[l] + out[l], gravity, step);
                    }
                } else {
                    for l in 0..LANES {
                        velocity[l] = drift(place[l], velocity[l], home[l] + out[l], gravity, step);
                        place[l] += step * velocity[l];
                    }
                }
            }
            for (field, values) in [(at + k, place), (at + 7 + k, velocity)] {
                let row = row_mut(state, field);
                for l in 0..LANES {
                    row[l] = if keep[l] { values[l] } else { row[l] };
                }
            }
        }
    }
}
