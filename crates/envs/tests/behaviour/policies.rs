//! The scripted policies of `tests/fixtures/README.md`: they see only the observation, so both sides can run them.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use envs::{AgentKind, NavigationSpec, ObjectKind, TaskKind};

const BINS: usize = 16;
/// Place of the Point's forward velocity in the observation.
const FORWARD_VELOCITY: usize = 3;
/// Place of the magnetometer in the observation.
const MAGNETOMETER: usize = 9;
/// Torque of the Car's wheels that brings it to about 0.45 m/s \[N m\].
const CAR_TORQUE: f32 = 0.012;
/// Share of the Racecar's largest speed: 0.5 m/s.
const RACECAR_SPEED: f32 = 0.5;
/// Range of the Circle's lidar and radius of the circle \[m\].
const CIRCLE: (f32, f32) = (6.0, 1.5);

/// Uniform actions from an integer generator.
pub struct Uniform(pub u64);

impl Uniform {
    /// The next number of [-1, 1).
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// The action of the policy called `name` in `spec` at the observation `obs`.
pub fn act(name: &str, spec: &NavigationSpec, obs: &[f32], uniform: &mut Uniform) -> [f32; 2] {
    match name {
        "uniform" => [uniform.next(), uniform.next()],
        "seek" => drive(spec, obs, seek(spec, obs)),
        "ram" => drive(spec, obs, bearing(lidar(spec, obs, ObjectKind::Vase))),
        _ => panic!("unknown policy {name}"),
    }
}

fn wrap(angle: f32) -> f32 {
    (angle + PI).rem_euclid(TAU) - PI
}

/// The bins that see a kind of object.
fn lidar<'a>(spec: &NavigationSpec, obs: &'a [f32], kind: ObjectKind) -> &'a [f32] {
    let parts = spec.obs_parts();
    let before = parts.iter().take_while(|(name, _)| *name != kind.lidar_name()).map(|(_, length)| length);
    &obs[before.sum::<usize>()..][..BINS]
}

/// Angle to the nearest object of a lidar in the agent's frame; None when none is in range.
fn bearing(lidar: &[f32]) -> Option<f32> {
    // The first of equals.
    let best = (0..BINS).rev().max_by(|a, b| lidar[*a].total_cmp(&lidar[*b])).expect("16 bins");
    let (after, before) = (lidar[(best + 1) % BINS], lidar[(best + BINS - 1) % BINS]);
    (after + before > 0.0).then(|| wrap((best as f32 + after / (after + before)) * TAU / BINS as f32))
}

/// The angle that does the task, through whatever stands between.
fn seek(spec: &NavigationSpec, obs: &[f32]) -> Option<f32> {
    match spec.level.task {
        TaskKind::Goal | TaskKind::Button => bearing(lidar(spec, obs, ObjectKind::Goal)),
        TaskKind::Push => {
            let to_box = bearing(lidar(spec, obs, ObjectKind::PushBox))?;
            let goal = bearing(lidar(spec, obs, ObjectKind::Goal));
            Some(goal.map_or(to_box, |goal| wrap(to_box + wrap(to_box - goal).clamp(-1.0, 1.0))))
        }
        TaskKind::Circle => {
            let bins = lidar(spec, obs, ObjectKind::Circle);
            let distance = CIRCLE.0 * (1.0 - bins.iter().copied().fold(0.0, f32::max));
            bearing(bins).map(|centre| wrap(centre - FRAC_PI_2 + (distance - CIRCLE.1).clamp(-1.0, 1.0)))
        }
        // The magnetic field points along the track.
        TaskKind::Run => Some(obs[MAGNETOMETER + 1].atan2(obs[MAGNETOMETER])),
    }
}

/// Turns to an angle in the agent's frame and goes ahead while it is in front; wanders without one.
fn drive(spec: &NavigationSpec, obs: &[f32], angle: Option<f32>) -> [f32; 2] {
    match (spec.agent, angle) {
        (AgentKind::Point, None) => [1.0, 0.3],
        (AgentKind::Point, Some(angle)) => {
            let speed = if angle.abs() < 0.6 { 1.0 } else { 0.0 };
            [(5.0 * (speed - obs[FORWARD_VELOCITY])).clamp(-1.0, 1.0), (2.0 * angle).clamp(-1.0, 1.0)]
        }
        (AgentKind::Car, None) => [CAR_TORQUE, 0.5 * CAR_TORQUE],
        (AgentKind::Car, Some(angle)) => {
            // The Car's front is its negative y axis.
            let off = wrap(angle + FRAC_PI_2);
            let ahead = if off.abs() < 1.0 { CAR_TORQUE } else { 0.0 };
            let turn = (0.02 * off).clamp(-0.008, 0.008);
            [ahead + turn, ahead - turn]
        }
        (AgentKind::Racecar, None) => [RACECAR_SPEED, 0.4],
        // What is not ahead is brought there by backing with the wheels the other way.
        (AgentKind::Racecar, Some(angle)) if angle.abs() < 1.0 => [RACECAR_SPEED, (1.5 * angle).clamp(-0.9, 0.9)],
        (AgentKind::Racecar, Some(angle)) => [-RACECAR_SPEED, -0.8f32.copysign(angle)],
    }
}
