//! The CPU's way through a block: 32 environments in step, so that the compiler can use vectors.
//!
//! Nothing is computed here that the scalar bodies do not define: loops over lanes call the same inline
//! functions, in the same order, with no fused multiply-adds, so every lane has the bits the scalar step
//! gives it (a test holds that) whatever the instruction set. `pulp` picks the set at run time.

use pulp::{Arch, NullaryFnOnce};

use crate::agent::Agent;
use crate::level::{
    GROUP_COUNT, GROUP_FIELDS, GROUP_LIDAR, GROUP_OFFSET, GROUP_ROW, LIDAR_BINS, PARAM_GROUP, PARAM_GROUPS,
    PARAM_LIDAR_RANGE,
};
use crate::lidar::{echo, mark};
use crate::state::{COS, LANES, SIN, X, Y};
use crate::step::{SCALARS, SCRATCH, judge_one, observe_one, reset_one};
use crate::task::Task;

/// One number of each environment of a block.
pub(crate) type Lane = [f32; LANES];

/// An agent's way to advance a whole block; without one of its own, lane after lane.
pub(crate) trait BlockAgent: Agent {
    /// Advances the first `lanes` environments of the block under `action [lanes, action_dim]`.
    fn advance_block(
        params: &[f32],
        state: &mut [f32],
        action: &[f32],
        action_dim: usize,
        lanes: usize,
        scratch: &mut [f32],
    ) {
        for lane in 0..lanes {
            let (u0, u1) = (action[lane * action_dim], action[lane * action_dim + 1]);
            Self::advance(params, state, lane, u0, u1, scratch, 0);
        }
    }
}

/// Field `field` of every environment of the block.
#[inline(always)]
pub(crate) fn row(state: &[f32], field: usize) -> &Lane {
    state[field * LANES..][..LANES].try_into().expect("a row has LANES numbers")
}

/// Field `field` of every environment of the block, to write.
#[inline(always)]
pub(crate) fn row_mut(state: &mut [f32], field: usize) -> &mut Lane {
    (&mut state[field * LANES..][..LANES]).try_into().expect("a row has LANES numbers")
}

/// Runs `f` compiled for the best vector instructions of this machine.
#[inline(always)]
pub(crate) fn wide<F: NullaryFnOnce>(f: F) -> F::Output {
    Arch::new().dispatch(f)
}

/// [`crate::step::step_one`] for the first `obs.len() / obs_dim` environments of a block;
/// `scalars` is `[SCALARS, 32]`.
pub(crate) fn step_block<A: BlockAgent, T: Task>(
    params: &[f32],
    state: &mut [f32],
    first_env: usize,
    action: &[f32],
    action_dim: usize,
    obs: &mut [f32],
    final_obs: &mut [f32],
    obs_dim: usize,
    scalars: &mut [f32; SCALARS * LANES],
) {
    let mut scratch = [0.0; SCRATCH];
    let lanes = obs.len() / obs_dim;
    A::advance_block(params, state, action, action_dim, lanes, &mut scratch);
    let mut done = [false; LANES];
    for (lane, done) in done[..lanes].iter_mut().enumerate() {
        *done = judge_one::<T>(params, state, lane, (first_env + lane) as u32, scalars, lane, LANES);
    }
    for (lane, obs) in final_obs.chunks_exact_mut(obs_dim).enumerate() {
        A::observe(state, lane, obs, 0);
    }
    wide(ObserveLidars { params, state, obs: final_obs, obs_dim });
    for (lane, (obs, last)) in obs.chunks_exact_mut(obs_dim).zip(final_obs.chunks_exact(obs_dim)).enumerate() {
        if done[lane] {
            reset_one::<A, T>(params, state, lane, (first_env + lane) as u32, 0.0);
            observe_one::<A>(params, state, lane, obs, 0);
        } else {
            obs.copy_from_slice(last);
        }
    }
}

/// Begins a new episode in the first `obs.len() / obs_dim` environments of a block.
pub(crate) fn reset_block<A: Agent, T: Task>(
    params: &[f32],
    state: &mut [f32],
    first_env: usize,
    stagger: bool,
    obs: &mut [f32],
    obs_dim: usize,
) {
    let stagger = f32::from(u8::from(stagger));
    for (lane, obs) in obs.chunks_exact_mut(obs_dim).enumerate() {
        reset_one::<A, T>(params, state, lane, (first_env + lane) as u32, stagger);
        observe_one::<A>(params, state, lane, obs, 0);
    }
}

/// [`crate::lidar::observe_lidars`] for all rows of `obs`.
struct ObserveLidars<'a> {
    params: &'a [f32],
    state: &'a [f32],
    obs: &'a mut [f32],
    obs_dim: usize,
}

impl NullaryFnOnce for ObserveLidars<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { params, state, obs, obs_dim } = self;
        let (x, y, cos, sin) = (row(state, X), row(state, Y), row(state, COS), row(state, SIN));
        let range = params[PARAM_LIDAR_RANGE];
        for group in params[PARAM_GROUP..].chunks_exact(GROUP_ROW).take(params[PARAM_GROUPS] as usize) {
            let bins = group[GROUP_LIDAR] as usize;
            for obs in obs.chunks_exact_mut(obs_dim) {
                obs[bins..bins + LIDAR_BINS].fill(0.0);
            }
            for object in 0..group[GROUP_COUNT] as usize {
                let field = group[GROUP_OFFSET] as usize + object * group[GROUP_FIELDS] as usize;
                let (object_x, object_y) = (row(state, field), row(state, field + 1));
                let (mut closeness, mut angle) = ([0.0; LANES], [0.0; LANES]);
                for l in 0..LANES {
                    let (to_x, to_y) = (object_x[l] - x[l], object_y[l] - y[l]);
                    let (ego_x, ego_y) = (cos[l] * to_x + sin[l] * to_y, cos[l] * to_y - sin[l] * to_x);
                    (closeness[l], angle[l]) = echo(ego_x, ego_y, range);
                }
                for (lane, obs) in obs.chunks_exact_mut(obs_dim).enumerate() {
                    let bins: &mut [f32; LIDAR_BINS] =
                        (&mut obs[bins..bins + LIDAR_BINS]).try_into().expect("LIDAR_BINS numbers");
                    mark(bins, 0, closeness[lane], angle[lane]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Point;
    use crate::registry::registry;
    use crate::step::step_one;
    use crate::task::Goal;

    #[test]
    fn a_block_steps_to_the_bits_of_the_scalar_step() {
        for spec in registry() {
            let (params, dim, lanes) = (spec.params(3), spec.obs_dim, 29);
            let mut blocked = vec![0.0; spec.state_dim() * LANES];
            let (mut obs, mut last) = (vec![0.0; lanes * dim], vec![0.0; lanes * dim]);
            reset_block::<Point, Goal>(&params, &mut blocked, 64, true, &mut obs, dim);
            let mut single = blocked.clone();
            let (mut obs_single, mut last_single) = (obs.clone(), last.clone());
            let (mut scalars, mut scalars_single) = ([0.0; SCALARS * LANES], [0.0; SCALARS * LANES]);
            let mut scratch = vec![0.0; SCRATCH];
            for t in 0..1500u32 {
                let action: Vec<f32> = (0..lanes as u32 * 2)
                    .map(|i| crate::rng::unit(crate::rng::bits(1, 2, i, t / 10, 0)) * 2.2 - 1.1)
                    .collect();
                step_block::<Point, Goal>(
                    &params,
                    &mut blocked,
                    64,
                    &action,
                    2,
                    &mut obs,
                    &mut last,
                    dim,
                    &mut scalars,
                );
                for lane in 0..lanes {
                    step_one::<Point, Goal>(
                        &params,
                        &action,
                        lane * 2,
                        &mut single,
                        lane,
                        64 + lane as u32,
                        &mut obs_single,
                        &mut last_single,
                        lane * dim,
                        dim,
                        &mut scalars_single,
                        lane,
                        LANES,
                        &mut scratch,
                        0,
                    );
                }
                assert_eq!(obs, obs_single, "{} step {t}", spec.id);
                assert_eq!(last, last_single, "{} step {t}", spec.id);
                assert_eq!(scalars, scalars_single, "{} step {t}", spec.id);
                for (i, (a, b)) in blocked.iter().zip(&single).enumerate() {
                    let same = a.to_bits() == b.to_bits() || i % LANES >= lanes;
                    assert!(same, "{} step {t} field {} lane {}: {a} {b}", spec.id, i / LANES, i % LANES);
                }
            }
        }
    }
}
