//! What physics demands of the Racecar on the bare floor; how near it is to the original is told by `tests/parity.rs`.

use super::*;
use crate::registry::find;
use crate::state::{OMEGA, VX, VY, X, Y};
use crate::step::SCRATCH;

/// State of one car in lane 0 after `steps` steps under `command`, begun at rest at the origin with yaw `yaw`.
fn driven(command: impl Fn(usize) -> [f32; 2], steps: usize, yaw: f32) -> Vec<f32> {
    let spec = find("RacecarGoal0").unwrap();
    // No goal is near enough to matter: it is not solid.
    let params = spec.params(1);
    let mut state = vec![0.0; spec.state_dim() * LANES];
    let mut scratch = vec![0.0; SCRATCH];
    Racecar::reset(&mut state, 0, yaw);
    for t in 0..steps {
        Racecar::advance(&params, &mut state, 0, &command(t), 0, &mut scratch, 0);
    }
    state
}

fn get(state: &[f32], field: usize) -> f32 {
    state[field * LANES]
}

#[test]
fn at_rest_it_stays_where_it_is_and_feels_its_weight() {
    let state = driven(|_| [0.0, 0.0], 100, 0.7);
    assert!(get(&state, X).hypot(get(&state, Y)) < 1e-4);
    assert!((get(&state, ACCELEROMETER + 2) - 9.81).abs() < 1e-2, "{}", get(&state, ACCELEROMETER + 2));
    // Ten edges of weight w at each of eight contacts carry 2.16 kg at 4e-5 m.
    assert!((-6e-5..-2e-5).contains(&get(&state, LIFT)), "{}", get(&state, LIFT));
}

#[test]
fn the_speed_asked_for_is_the_speed_reached_and_the_nose_leads() {
    for yaw in [0.0f32, 2.0] {
        let state = driven(|_| [0.5, 0.0], 100, yaw);
        // Half of 20 rad/s on wheels of 5 cm, less what damping and rolling take of a servo of gain 1.
        let (vx, vy) = (get(&state, VX), get(&state, VY));
        let ahead = vx * yaw.cos() + vy * yaw.sin();
        assert!((ahead - 0.5).abs() < 0.01, "{ahead}");
        assert!((vy * yaw.cos() - vx * yaw.sin()).abs() < 0.01);
    }
}

#[test]
fn it_turns_to_the_side_it_steers_to_on_no_tighter_a_circle_than_its_wheelbase_allows() {
    for side in [-1.0f32, 1.0] {
        let state = driven(|_| [0.2, 0.3 * side], 150, 0.0);
        let speed = get(&state, VX).hypot(get(&state, VY));
        // Parallel front wheels at 0.2355 rad, 0.325 m ahead of the axle: radius 1.35 m at the axle's middle, 1.36 m at the
        // origin, 0.16 m ahead of it. The rear axle is one piece and scrubs, so that the circle is wider.
        let tightest = speed / 1.36;
        let omega = side * get(&state, OMEGA);
        assert!((0.4 * tightest..tightest).contains(&omega), "{omega} against {tightest}");
    }
}

#[test]
fn a_wild_drive_leaves_one_problem_in_ten_thousand_unsolved_at_most() {
    let wild = |t: usize| {
        let draw = |k: u32| crate::rng::unit(crate::rng::bits(3, 4, k, (t / 7) as u32, 0)) * 2.2 - 1.1;
        [draw(0), draw(1)]
    };
    let state = driven(wild, 3000, 0.0);
    // Of 3000 steps of 41 stages.
    assert!(get(&state, UNSOLVED) <= 12.0, "{}", get(&state, UNSOLVED));
    assert!(state.iter().all(|number| number.is_finite()));
}
