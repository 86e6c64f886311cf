//! One environment on slices: the simplest way to write one. [`crate::Batched`] makes a [`crate::VecEnv`] of it.

use crate::spec::EnvSpec;

/// What one step of one environment gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome<const C: usize = 1> {
    /// Reward.
    pub reward: f32,
    /// Costs, in the order of [`EnvSpec::constraints`].
    pub costs: [f32; C],
    /// The episode has ended by itself: nothing follows.
    pub terminated: bool,
    /// The episode was cut off, though more would follow. [`EnvSpec::max_episode_steps`] is counted for the environment.
    pub truncated: bool,
}

/// One environment with `C` constraints.
///
/// It must be a function of the seed it was reset with and the actions alone; then runs repeat and resume bit for bit,
/// whatever the number of threads.
///
/// ```
/// use envs::{Env, EnvSpec, Outcome};
///
/// /// A mass on a line, pushed towards the origin; it costs to be fast.
/// struct Mass {
///     position: f64,
///     velocity: f64,
/// }
///
/// impl Env for Mass {
///     fn spec(&self) -> EnvSpec {
///         EnvSpec {
///             id: "Mass-v0".to_owned(),
///             obs_dim: 2,
///             action_dim: 1,
///             max_episode_steps: 100,
///             constraints: vec!["speed".to_owned()],
///         }
///     }
///
///     fn reset(&mut self, seed: u64, obs: &mut [f32]) {
///         (self.position, self.velocity) = ((seed >> 11) as f64 / (1u64 << 53) as f64, 0.0);
///         obs.copy_from_slice(&[self.position as f32, 0.0]);
///     }
///
///     fn step(&mut self, action: &[f32], obs: &mut [f32]) -> Outcome {
///         self.velocity += 0.05 * f64::from(action[0]);
///         self.position += 0.05 * self.velocity;
///         obs.copy_from_slice(&[self.position as f32, self.velocity as f32]);
///         let cost = if self.velocity.abs() > 0.5 { 1.0 } else { 0.0 };
///         Outcome { reward: -self.position.abs() as f32, costs: [cost], terminated: false, truncated: false }
///     }
///
///     fn state(&self) -> Vec<f64> {
///         vec![self.position, self.velocity]
///     }
///
///     fn load_state(&mut self, state: &[f64]) {
///         (self.position, self.velocity) = (state[0], state[1]);
///     }
/// }
/// # let mut mass = Mass { position: 0.0, velocity: 0.0 };
/// # let mut obs = [0.0; 2];
/// # mass.reset(u64::MAX, &mut obs);
/// # assert!(mass.step(&[-1.0], &mut obs).reward < 0.0);
/// ```
pub trait Env<const C: usize = 1>: Send {
    /// Names and sizes, the same at all times; it names `C` constraints.
    fn spec(&self) -> EnvSpec;

    /// Begins an episode, which `seed` alone determines, and writes its first observation to `obs` `[obs_dim]`.
    fn reset(&mut self, seed: u64, obs: &mut [f32]);

    /// Takes a step under `action` `[action_dim]`, clipped to [-1, 1], and writes what it led to to `obs` `[obs_dim]`.
    fn step(&mut self, action: &[f32], obs: &mut [f32]) -> Outcome<C>;

    /// Everything that the next steps depend on, always as many numbers.
    fn state(&self) -> Vec<f64>;

    /// Puts back what [`Self::state`] returned.
    fn load_state(&mut self, state: &[f64]);
}
