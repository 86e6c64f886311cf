//! Against single substeps and slides recorded from MuJoCo 2.3.3 (`tests/parity/contact_fixture.py`).

use super::*;
use crate::agent::point::body::{AGENT_FORCE, PointBody, load_planar_body, write_agent_force};
use crate::object::{bodies_moving, obstacles_begin, obstacles_collide, obstacles_finish};
use crate::params::PARAM_BODIES;
use crate::registry::find;
use crate::state::{FREE_OBJECT_FIELDS, LANES, X, Y};

const STEP: f32 = 0.002;
const SUBSTEPS: usize = 10;
/// Reach of the Point in a step.
const REACH: f32 = 0.178_12;
// The Point: sphere of radius 0.1 and cube of side 0.1, density 1; its cube's centre 0.1 m ahead.
const MASS: f32 = 0.005_188_79;
const MASS_COM: f32 = 1e-4;
const INERTIA_ABOUT_ORIGIN: f32 = 2.842_182_7e-5;
const VASE_FIELDS: usize = FREE_OBJECT_FIELDS;
const VASE_REST_Z: f32 = 0.1 - 4.35e-5;
/// Base of the environment in its block, and of the scratch in its slice: to catch wrong addressing.
const BASE: usize = 3;
const S0: usize = 5;

fn fixture() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../tests/fixtures/contact/vases.json")).expect("fixture is JSON")
}

fn numbers(value: &serde_json::Value) -> Vec<f32> {
    value.as_array().expect("array").iter().map(|x| x.as_f64().expect("number") as f32).collect()
}

pub(crate) fn numbers_f64(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().expect("array").iter().map(|x| x.as_f64().expect("number")).collect()
}

/// Loads a recorded free body of `tests/parity/car_contact_fixture.py` into `slot`.
pub(crate) fn load_object(scratch: &mut [f32], scratch_base: usize, slot: usize, object: &serde_json::Value) {
    let mut state = numbers(&object["state"]);
    assert_eq!(state.len(), FREE_OBJECT_FIELDS);
    let (moments, free) = (numbers(&object["moments"]), numbers(&object["free"]));
    let mass = object["mass"].as_f64().expect("number") as f32;
    load_free_body(&mut state, 0, 1, scratch, scratch_base, slot, mass, 1.0, 1.0, 0.1);
    scratch[body(scratch_base, slot) + ASLEEP] = 0.0;
    let b = body(scratch_base, slot);
    for k in 0..6 {
        scratch[b + FREE + k] = free[k];
        scratch[b + ACC + k] = free[k];
        // The inertia in world axes.
        let (i, j) = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)][k];
        let turn = |row: usize, axis: usize| scratch[b + GEOM + 3 + 3 * row + axis];
        scratch[b + INERTIA + k] = (0..3).map(|axis| turn(i, axis) * turn(j, axis) * moments[axis]).sum();
    }
    scratch[b + TOUCHES] = 0.0;
}

/// The free objects or solids of a level, placed by hand, and a Point among them.
struct World {
    params: Vec<f32>,
    state: Vec<f32>,
    first: usize,
    scratch: Vec<f32>,
}

impl World {
    /// Objects of PointGoal2: `vases` of them, the others far away.
    fn of_vases(vases: &[Vec<f32>]) -> Self {
        let spec = find("PointGoal2").expect("registered");
        let mut params = spec.params(0);
        params[PARAM_BODIES] = vases.len() as f32;
        let first = params[crate::params::PARAM_BODY_FIRST] as usize;
        let mut state = vec![f32::NAN; spec.state_dim() * LANES];
        for (k, &x) in vases.iter().flatten().enumerate() {
            state[BASE + (first + k) * LANES] = x;
        }
        Self { params, state, first, scratch: vec![f32::NAN; SCRATCH_LEN + S0] }
    }

    /// The pillar of PointPush1, its box far away.
    fn of_pillar(x: f32, y: f32) -> Self {
        let spec = find("PointPush1").expect("registered");
        let mut params = spec.params(0);
        params[PARAM_BODIES] = 0.0;
        let first = params[crate::params::PARAM_SOLID_FIRST] as usize;
        let mut state = vec![f32::NAN; spec.state_dim() * LANES];
        state[BASE + first * LANES] = x;
        state[BASE + (first + 1) * LANES] = y;
        Self { params, state, first, scratch: vec![f32::NAN; SCRATCH_LEN + S0] }
    }

    fn begin(&mut self, x: f32, y: f32) -> u32 {
        self.state[BASE + X * LANES] = x;
        self.state[BASE + Y * LANES] = y;
        obstacles_begin(&self.params, &mut self.state, BASE, REACH, &mut self.scratch, S0)
    }

    fn substep(&mut self, pose: &[f32], v: &[f32], f: &[f32], step: f32) {
        let s = &mut self.scratch;
        let (mass, com, inertia) = (MASS, MASS_COM, INERTIA_ABOUT_ORIGIN);
        load_planar_body(
            s, S0, pose[0], pose[1], 0.1, pose[2], pose[3], v[0], v[1], v[2], f[0], f[1], f[2], mass, com, inertia,
        );
        obstacles_collide::<PointBody>(&self.params, &mut self.state, BASE, 0.0, s, S0);
        solve_active::<PointBody>(s, S0);
        write_agent_force(s, S0);
        if step > 0.0 {
            obstacles_finish(&self.params, &mut self.state, BASE, step, s, S0);
        }
    }

    fn vase(&self, i: usize) -> Vec<f32> {
        (0..VASE_FIELDS).map(|k| self.state[BASE + (self.first + VASE_FIELDS * i + k) * LANES]).collect()
    }

    fn bodies_in_contact(&self) -> usize {
        let all = self.scratch[S0 + COUNT] as usize;
        (0..all).filter(|&i| self.scratch[of(contact(S0, i), FIRST)] != STATIC_SLOT as f32).count()
    }
}

#[test]
fn impedance_rises_from_0_9_to_0_95_within_a_millimetre() {
    assert_eq!(impedance(0.0), 0.9);
    assert!((impedance(-0.000_25) - (0.9 + 0.05 * 0.125)).abs() < 1e-7);
    assert!((impedance(-0.000_5) - 0.925).abs() < 1e-7);
    assert!((impedance(-0.000_75) - (0.9 + 0.05 * 0.875)).abs() < 1e-7);
    assert_eq!(impedance(-0.02), 0.95);
}

#[test]
fn a_substep_in_contact_matches_mujoco() {
    let fixture = fixture();
    let rows = fixture["substeps"].as_array().expect("rows");
    assert!(rows.len() >= 40);
    for (n, row) in rows.iter().enumerate() {
        let what = format!("row {n} ({})", row["kind"]);
        let before: Vec<Vec<f32>> = row["vases"].as_array().expect("vases").iter().map(numbers).collect();
        let (pose, push) = (numbers(&row["pose"]), numbers(&row["push"]));
        let mut vases = World::of_vases(&before);
        assert_eq!(vases.begin(pose[0], pose[1]), before.len() as u32, "{what}");
        vases.substep(&pose, &numbers(&row["velocity"]), &numbers(&row["force"]), STEP);

        assert_eq!(vases.bodies_in_contact() as u64, row["contacts"].as_u64().expect("count"), "{what}");
        let touches = row["kind"].as_str().expect("kind").contains("agent")
            || row["kind"].as_str().expect("kind").contains("arrow");
        assert_eq!(vases.scratch[S0 + CONTACT_TOUCH], if touches { 1.0 } else { 0.0 }, "{what}");
        // Within 2e-4 m/s and 2e-3 rad/s a substep: what changes of 5e-4 N and 3e-5 N m do to the Point.
        for (k, &expected) in push.iter().enumerate() {
            let got = vases.scratch[S0 + AGENT_FORCE + k];
            let unit = if k < 2 { MASS / STEP } else { INERTIA_ABOUT_ORIGIN / STEP };
            assert!((got - expected).abs() < 2e-4 * unit, "{what}: push {k}: {got} {expected}");
        }
        for (i, after) in row["after"].as_array().expect("after").iter().enumerate() {
            let (got, after) = (vases.vase(i), numbers(after));
            for k in 0..6 {
                let tolerance = if k < 3 { 1e-3 } else { 1e-2 };
                assert!((got[7 + k] - after[k]).abs() < tolerance, "{what}: vase {i}, velocity {k}: {got:?} {after:?}");
            }
        }
    }
}

#[test]
fn a_kicked_vase_slides_hops_and_settles_like_mujocos() {
    for (n, row) in fixture()["kicks"].as_array().expect("rows").iter().enumerate() {
        let end = numbers(&row["end"]);
        let mut vases = World::of_vases(&[numbers(&row["start"])]);
        let mut moving = 0;
        for _ in 0..40 {
            if vases.begin(-9.0, -9.0) > 0 {
                for _ in 0..SUBSTEPS {
                    vases.substep(&[-9.0, -9.0, 1.0, 0.0], &[0.0; 3], &[0.0; 3], STEP);
                }
            }
            moving += bodies_moving(&vases.params, &mut vases.state, BASE);
        }
        let got = vases.vase(0);
        assert_eq!(u64::from(moving), row["moving"].as_u64().expect("count"), "kick {n}");
        for k in 0..7 {
            assert!((got[k] - end[k]).abs() < 5e-5, "kick {n}: {got:?} {end:?}");
        }
        assert_eq!(vases.begin(-9.0, -9.0), 0, "kick {n}: a settled vase is not simulated");
    }
}

fn resting(x: f32, y: f32) -> Vec<f32> {
    vec![x, y, VASE_REST_Z, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
}

#[test]
fn only_vases_in_reach_are_simulated() {
    let mut vases = World::of_vases(&[resting(0.5, 0.0), resting(-0.2, 0.1), resting(-0.5, 0.1), resting(-2.0, 0.0)]);
    assert_eq!(vases.begin(1.5, 0.0), 0);
    // The second is in the Point's reach, the third in the second's; they sleep on, untouched.
    assert_eq!(vases.begin(0.1, 0.0), 2);
    vases.substep(&[0.1, 0.0, 1.0, 0.0], &[0.0; 3], &[0.0; 3], STEP);
    assert_eq!(vases.scratch[S0 + CONTACT_TOUCH], 0.0);
    assert_eq!(vases.vase(1), resting(-0.2, 0.1));
}

#[test]
fn a_forward_pass_moves_nothing() {
    let before = resting(0.19, 0.0);
    let mut vases = World::of_vases(std::slice::from_ref(&before));
    assert_eq!(vases.begin(0.0, 0.0), 1);
    vases.substep(&[0.0, 0.0, -1.0, 0.0], &[0.5, 0.0, 0.0], &[0.0; 3], 0.0);
    assert_eq!(vases.scratch[S0 + CONTACT_TOUCH], 1.0);
    assert!(vases.scratch[S0 + AGENT_FORCE] < 0.0, "the vase ahead pushes back");
    assert_eq!(vases.vase(0), before);
}

#[test]
fn a_ball_inside_a_box_leaves_through_the_nearest_face() {
    let mut vases = World::of_vases(&[resting(0.03, 0.0)]);
    assert_eq!(vases.begin(0.0, 0.0), 1);
    vases.substep(&[0.0, 0.0, -1.0, 0.0], &[0.0; 3], &[0.0; 3], 0.0);
    // Centre 7 cm inside the face x = -0.07: the vase is pushed to +x.
    let first = contact(S0, 0);
    assert_eq!(vases.scratch[of(first, FRAME)], 1.0);
    assert!(vases.scratch[body(S0, 1) + ACC] > 0.0);
}

#[test]
fn a_substep_against_a_pillar_matches_mujoco() {
    let fixture = fixture();
    let rows = fixture["pillars"].as_array().expect("rows");
    assert!(rows.len() >= 16);
    for (n, row) in rows.iter().enumerate() {
        let (pose, v, f) = (numbers(&row["pose"]), numbers(&row["velocity"]), numbers(&row["force"]));
        let (pillar, push) = (numbers(&row["pillar"]), numbers(&row["push"]));
        let mut world = World::of_pillar(pillar[0], pillar[1]);
        assert_eq!(world.begin(pose[0], pose[1]), 1, "row {n}");
        world.substep(&pose, &v, &f, 0.0);
        assert_eq!(world.scratch[S0 + COUNT] as u64, row["contacts"].as_u64().expect("count"), "row {n}");
        let tolerance = if row["kind"] == "agent+pillar" { 1e-4 } else { 5e-3 };
        let scale = (push[0] * push[0] + push[1] * push[1]).sqrt();
        for k in 0..3 {
            let (got, unit) = (world.scratch[S0 + AGENT_FORCE + k], if k < 2 { 1.0 } else { 0.1 });
            assert!((got - push[k]).abs() < tolerance * scale * unit, "row {n} {}: {k}: {got} {push:?}", row["kind"]);
        }
    }
}

/// Errors of a substep of the Point against the push box under MuJoCo's contacts: Point \[m/s\], \[rad/s\], box \[m/s\],
/// \[rad/s\].
fn push_errors(row: &serde_json::Value, linked: bool) -> [f32; 4] {
    let (pose, v, f) = (numbers(&row["pose"]), numbers(&row["velocity"]), numbers(&row["force"]));
    let (x, y, cos, sin) = (pose[0], pose[1], pose[2], pose[3]);
    let s = &mut vec![f32::NAN; SCRATCH_LEN];
    load_static(s, 0);
    let (mass, com, inertia) = (MASS, MASS_COM, INERTIA_ABOUT_ORIGIN);
    load_planar_body(s, 0, x, y, 0.1, cos, sin, v[0], v[1], v[2], f[0], f[1], f[2], mass, com, inertia);
    s[COUNT] = 0.0;
    load_object(s, 0, 1, &row["bodies"][0]);
    for contact in row["contacts"].as_array().expect("array") {
        let c = numbers(contact);
        let (mut slots, mut torsion, mut roll) = ([0; 2], 0.005f32, 0.0001f32);
        for (slot, &side) in slots.iter_mut().zip(&c) {
            *slot = match side as usize {
                geom @ 100.. => {
                    torsion = torsion.max(PointBody::geom_torsion(geom - 100));
                    roll = roll.max(PointBody::geom_roll(geom - 100));
                    PointBody::geom_slot(geom - 100)
                }
                0 => STATIC_SLOT,
                body => body,
            };
        }
        set_surface(s, 0, 1.0, torsion, roll, c[9]);
        push_contact(s, 0, slots[0], slots[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]);
    }
    solve::<PointBody>(s, 0, 1, linked);
    let mut errors = [0.0f32; 4];
    let (acc, object) = (numbers(&row["acc"]), numbers(&row["bodies"][0]["acc"]));
    for (k, k6) in [0, 1, 5].into_iter().enumerate() {
        errors[k / 2] = errors[k / 2].max((s[body(0, AGENT_SLOT) + ACC + k6] - acc[k]).abs() * STEP);
    }
    for k in 0..6 {
        errors[2 + k / 3] = errors[2 + k / 3].max((s[body(0, 1) + ACC + k] - object[k]).abs() * STEP);
    }
    errors
}

#[test]
fn a_substep_of_the_point_against_the_push_box_matches_mujoco() {
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/contact/car.json")).expect("fixture is JSON");
    let rows = fixture["point"].as_array().expect("rows");
    assert!(rows.len() >= 20);
    for (n, row) in rows.iter().enumerate() {
        // Block by block the Point and the box would come within 6e-5 m/s and 3e-3 rad/s, in more sweeps.
        let errors = push_errors(row, true);
        for (k, (error, limit)) in errors.iter().zip([2e-5, 4e-4, 5e-5, 2e-4]).enumerate() {
            assert!(*error < limit, "row {n} ({}): {k}: {errors:?}", row["kind"]);
        }
    }
}
