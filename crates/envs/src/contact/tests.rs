//! Against single substeps and slides recorded from MuJoCo 2.3.3 (`tests/parity/contact_fixture.py`).

use super::*;
use crate::object::{VASE_FIELDS, VASE_REST_Z, vases_begin, vases_moving, vases_substep};

const STEP: f32 = 0.002;
const SUBSTEPS: usize = 10;
// The Point: sphere of radius 0.1 and cube of side 0.1, density 1; its cube's centre 0.1 m ahead.
const MASS: f32 = 0.005_188_79;
const MASS_COM: f32 = 1e-4;
const INERTIA_ABOUT_ORIGIN: f32 = 2.842_182_7e-5;

fn fixture() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../tests/fixtures/contact/vases.json")).expect("fixture is JSON")
}

fn numbers(value: &serde_json::Value) -> Vec<f32> {
    value.as_array().expect("array").iter().map(|x| x.as_f64().expect("number") as f32).collect()
}

/// Vases in a state with stride 3 at base 1, to catch wrong addressing.
struct Vases {
    state: Vec<f32>,
    count: usize,
    scratch: Vec<f32>,
}

impl Vases {
    fn new(vases: &[Vec<f32>]) -> Self {
        let mut state = vec![f32::NAN; 3 * VASE_FIELDS * vases.len() + 1];
        for (k, &x) in vases.iter().flatten().enumerate() {
            state[1 + 3 * k] = x;
        }
        Self { state, count: vases.len(), scratch: vec![f32::NAN; SCRATCH_LEN + 5] }
    }

    fn begin(&mut self, x: f32, y: f32) -> u32 {
        vases_begin(&mut self.state, 1, 3, 0, self.count, x, y, &mut self.scratch, 5)
    }

    fn substep(&mut self, pose: &[f32], v: &[f32], f: &[f32], step: f32) {
        let (mass, com, inertia) = (MASS, MASS_COM, INERTIA_ABOUT_ORIGIN);
        vases_substep(
            &mut self.state,
            1,
            3,
            0,
            pose[0],
            pose[1],
            pose[2],
            pose[3],
            v[0],
            v[1],
            v[2],
            f[0],
            f[1],
            f[2],
            mass,
            com,
            inertia,
            step,
            &mut self.scratch,
            5,
        );
    }

    fn vase(&self, i: usize) -> Vec<f32> {
        (0..VASE_FIELDS).map(|k| self.state[1 + 3 * (VASE_FIELDS * i + k)]).collect()
    }

    fn bodies_in_contact(&self) -> usize {
        let all = self.scratch[5 + COUNT] as usize;
        (0..all).filter(|&i| self.scratch[contact(5, i) + FIRST] != STATIC_SLOT as f32).count()
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
        let mut vases = Vases::new(&before);
        assert_eq!(vases.begin(pose[0], pose[1]), before.len() as u32, "{what}");
        vases.substep(&pose, &numbers(&row["velocity"]), &numbers(&row["force"]), STEP);

        assert_eq!(vases.bodies_in_contact() as u64, row["contacts"].as_u64().expect("count"), "{what}");
        let touches = row["kind"].as_str().expect("kind").contains("agent")
            || row["kind"].as_str().expect("kind").contains("arrow");
        assert_eq!(vases.scratch[5 + TOUCH], if touches { 1.0 } else { 0.0 }, "{what}");
        // Within 2e-4 m/s and 2e-3 rad/s a substep: what changes of 5e-4 N and 3e-5 N m do to the Point.
        for (k, &expected) in push.iter().enumerate() {
            let got = vases.scratch[5 + AGENT_FORCE + k];
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
        let mut vases = Vases::new(&[numbers(&row["start"])]);
        let mut moving = 0;
        for _ in 0..40 {
            if vases.begin(-9.0, -9.0) > 0 {
                for _ in 0..SUBSTEPS {
                    vases.substep(&[-9.0, -9.0, 1.0, 0.0], &[0.0; 3], &[0.0; 3], STEP);
                }
            }
            moving += vases_moving(&mut vases.state, 1, 3, 0, 1);
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
    let mut vases = Vases::new(&[resting(0.5, 0.0), resting(-0.2, 0.1), resting(-0.5, 0.1), resting(-2.0, 0.0)]);
    assert_eq!(vases.begin(1.5, 0.0), 0);
    // The second is in the Point's reach, the third in the second's; they sleep on, untouched.
    assert_eq!(vases.begin(0.1, 0.0), 2);
    vases.substep(&[0.1, 0.0, 1.0, 0.0], &[0.0; 3], &[0.0; 3], STEP);
    assert_eq!(vases.scratch[5 + TOUCH], 0.0);
    assert_eq!(vases.vase(1), resting(-0.2, 0.1));
}

#[test]
fn a_forward_pass_moves_nothing() {
    let before = resting(0.19, 0.0);
    let mut vases = Vases::new(std::slice::from_ref(&before));
    assert_eq!(vases.begin(0.0, 0.0), 1);
    vases.substep(&[0.0, 0.0, -1.0, 0.0], &[0.5, 0.0, 0.0], &[0.0; 3], 0.0);
    assert_eq!(vases.scratch[5 + TOUCH], 1.0);
    assert!(vases.scratch[5 + AGENT_FORCE] < 0.0, "the vase ahead pushes back");
    assert_eq!(vases.vase(0), before);
}

#[test]
fn a_ball_inside_a_box_leaves_through_the_nearest_face() {
    let mut vases = Vases::new(&[resting(0.03, 0.0)]);
    assert_eq!(vases.begin(0.0, 0.0), 1);
    vases.substep(&[0.0, 0.0, -1.0, 0.0], &[0.0; 3], &[0.0; 3], 0.0);
    // Centre 7 cm inside the face x = -0.07: the vase is pushed to +x.
    let first = contact(5, 0);
    assert_eq!(vases.scratch[first + FRAME], 1.0);
    assert!(vases.scratch[body(5, 1) + ACC] > 0.0);
}

#[test]
fn a_substep_against_a_pillar_matches_mujoco() {
    let fixture = fixture();
    let rows = fixture["pillars"].as_array().expect("rows");
    assert!(rows.len() >= 16);
    for (n, row) in rows.iter().enumerate() {
        let (pose, v, f) = (numbers(&row["pose"]), numbers(&row["velocity"]), numbers(&row["force"]));
        let (pillar, push) = (numbers(&row["pillar"]), numbers(&row["push"]));
        let (x, y, cos, sin) = (pose[0], pose[1], pose[2], pose[3]);
        let s = &mut vec![f32::NAN; SCRATCH_LEN];
        load_static(s, 0);
        load_planar_body(
            s,
            0,
            x,
            y,
            0.1,
            cos,
            sin,
            v[0],
            v[1],
            v[2],
            f[0],
            f[1],
            f[2],
            MASS,
            MASS_COM,
            INERTIA_ABOUT_ORIGIN,
        );
        s[COUNT] = 0.0;
        let weight = 128.482_1;
        set_surface(s, 0, 1.0, 0.01, 0.01, weight);
        ball_ball(s, 0, AGENT_SLOT, x, y, 0.1, 0.1, STATIC_SLOT, pillar[0], pillar[1], 0.1, pillar[2], 1.0 / 3.0);
        set_surface(s, 0, 1.0, 0.005, 0.0001, weight);
        place_upright_box(s, SPARE_GEOM, x + 0.1 * cos, y + 0.1 * sin, 0.1, cos, sin, 0.05, 0.05, 0.05);
        sphere_box(s, 0, STATIC_SLOT, pillar[0], pillar[1], 0.1, pillar[2], AGENT_SLOT, SPARE_GEOM);
        assert_eq!(s[COUNT] as u64, row["contacts"].as_u64().expect("count"), "row {n}");
        solve(s, 0, 0, false);
        write_agent_force(s, 0);
        // The sphere: float32 rounding. The arrow: MuJoCo's convex collider puts the point elsewhere in the depth.
        let tolerance = if row["kind"] == "agent+pillar" { 1e-4 } else { 2e-2 };
        let scale = (push[0] * push[0] + push[1] * push[1]).sqrt();
        for k in 0..3 {
            let (got, unit) = (s[AGENT_FORCE + k], if k < 2 { 1.0 } else { 0.1 });
            assert!((got - push[k]).abs() < tolerance * scale * unit, "row {n} {}: {k}: {got} {push:?}", row["kind"]);
        }
    }
}
