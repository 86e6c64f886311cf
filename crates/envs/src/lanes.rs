//! The CPU's way through a block: 32 environments in step, so that the compiler can use vectors.
//!
//! Nothing is computed here that the scalar bodies do not define: loops over lanes call the same inline
//! functions, in the same order, with no fused multiply-adds, so every lane has the bits the scalar step
//! gives it (a test holds that) whatever the instruction set. `pulp` picks the set at run time.

mod advance;
mod clearance;
mod gremlins;

pub(crate) use advance::BlockAgent;
pub(crate) use clearance::Footprint;

use pulp::{Arch, NullaryFnOnce};

use crate::agent::Agent;
use crate::layout::sample_layout_wide;
use crate::level::{
    GROUP_COUNT, GROUP_FIELDS, GROUP_KIND, GROUP_LIDAR, GROUP_OFFSET, GROUP_ROW, LIDAR_BINS, PARAM_GROUP, PARAM_GROUPS,
    PARAM_LIDAR_RANGE,
};
use crate::lidar::{BUTTON, Ego, echo, mark};
use crate::state::{LANES, X, Y};
use crate::step::{SCALARS, SCRATCH, begin_episode, judge_one, observe_one, settle_episode};
use crate::task::{TIMER, Task};

/// One number of each environment of a block.
pub(crate) type Lane = [f32; LANES];

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

/// A step ([`Agent::advance`], then [`crate::step::end_step`]) of the first `obs.len() / obs_dim` environments of a block;
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
    advance::advance_block::<A>(params, state, action, action_dim, lanes, &mut scratch);
    let mut done = [false; LANES];
    for (lane, done) in done[..lanes].iter_mut().enumerate() {
        *done = judge_one::<T>(params, state, lane, (first_env + lane) as u32, scalars, lane, LANES);
    }
    for (lane, obs) in final_obs.chunks_exact_mut(obs_dim).enumerate() {
        A::observe(state, lane, obs, 0);
    }
    let mut ego = EgoLanes::default();
    for lane in 0..lanes {
        ego.set(lane, A::ego(state, lane));
    }
    wide(ObserveLidars { params, state, ego: &ego, obs: final_obs, obs_dim });
    for (lane, (obs, last)) in obs.chunks_exact_mut(obs_dim).zip(final_obs.chunks_exact(obs_dim)).enumerate() {
        if done[lane] {
            reset_lane::<A, T>(params, state, lane, (first_env + lane) as u32, 0.0);
            observe_one::<A>(params, state, lane, obs, 0);
        } else {
            obs.copy_from_slice(last);
        }
    }
}

/// Begins a new episode in one lane: `reset_one` with the faster sampler of layouts.
fn reset_lane<A: Agent, T: Task>(params: &[f32], state: &mut [f32], lane: usize, env: u32, stagger: f32) {
    begin_episode(state, lane);
    sample_layout_wide(params, state, lane, env);
    settle_episode::<A, T>(params, state, lane, env, stagger);
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
        reset_lane::<A, T>(params, state, lane, (first_env + lane) as u32, stagger);
        observe_one::<A>(params, state, lane, obs, 0);
    }
}

/// [`Ego`] of every environment of a block.
struct EgoLanes {
    xx: Lane,
    xy: Lane,
    x0: Lane,
    yx: Lane,
    yy: Lane,
    y0: Lane,
}

impl Default for EgoLanes {
    fn default() -> Self {
        let zero = [0.0; LANES];
        Self { xx: zero, xy: zero, x0: zero, yx: zero, yy: zero, y0: zero }
    }
}

impl EgoLanes {
    fn set(&mut self, lane: usize, ego: Ego) {
        self.xx[lane] = ego.xx;
        self.xy[lane] = ego.xy;
        self.x0[lane] = ego.x0;
        self.yx[lane] = ego.yx;
        self.yy[lane] = ego.yy;
        self.y0[lane] = ego.y0;
    }
}

/// [`crate::lidar::observe_lidars`] for all rows of `obs`.
struct ObserveLidars<'a> {
    params: &'a [f32],
    state: &'a [f32],
    ego: &'a EgoLanes,
    obs: &'a mut [f32],
    obs_dim: usize,
}

impl NullaryFnOnce for ObserveLidars<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { params, state, ego, obs, obs_dim } = self;
        let (x, y, timer) = (row(state, X), row(state, Y), row(state, TIMER));
        let range = params[PARAM_LIDAR_RANGE];
        for group in params[PARAM_GROUP..].chunks_exact(GROUP_ROW).take(params[PARAM_GROUPS] as usize) {
            let bins = group[GROUP_LIDAR] as usize;
            for obs in obs.chunks_exact_mut(obs_dim) {
                obs[bins..bins + LIDAR_BINS].fill(0.0);
            }
            let buttons = group[GROUP_KIND] == BUTTON;
            for object in 0..group[GROUP_COUNT] as usize {
                let field = group[GROUP_OFFSET] as usize + object * group[GROUP_FIELDS] as usize;
                let (object_x, object_y) = (row(state, field), row(state, field + 1));
                let (mut closeness, mut angle) = ([0.0; LANES], [0.0; LANES]);
                for l in 0..LANES {
                    let (to_x, to_y) = (object_x[l] - x[l], object_y[l] - y[l]);
                    let ahead = ego.xx[l] * to_x + ego.xy[l] * to_y + ego.x0[l];
                    let left = ego.yy[l] * to_y + ego.yx[l] * to_x + ego.y0[l];
                    (closeness[l], angle[l]) = echo(ahead, left, range);
                }
                for (lane, obs) in obs.chunks_exact_mut(obs_dim).enumerate() {
                    if buttons && timer[lane] > 0.5 {
                        continue;
                    }
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
    use crate::registry::{EnvSpec, for_kind, registry};
    use crate::step::end_step;

    #[test]
    fn a_block_steps_to_the_bits_of_the_scalar_step() {
        for spec in registry() {
            let compare = for_kind!(spec.agent, spec.level.task, compare);
            compare(spec);
        }
    }

    fn compare<A: BlockAgent, T: Task>(spec: &EnvSpec) {
        let (params, dim, lanes) = (spec.params(3), spec.obs_dim, 29);
        let mut blocked = vec![0.0; spec.state_dim() * LANES];
        let (mut obs, mut last) = (vec![0.0; lanes * dim], vec![0.0; lanes * dim]);
        reset_block::<A, T>(&params, &mut blocked, 64, true, &mut obs, dim);
        let mut single = blocked.clone();
        let (mut obs_single, mut last_single) = (obs.clone(), last.clone());
        let (mut scalars, mut scalars_single) = ([0.0; SCALARS * LANES], [0.0; SCALARS * LANES]);
        let mut scratch = vec![0.0; SCRATCH];
        for t in 0..1500u32 {
            let action: Vec<f32> = (0..lanes as u32 * 2)
                .map(|i| crate::rng::unit(crate::rng::bits(1, 2, i, t / 10, 0)) * 2.2 - 1.1)
                .collect();
            step_block::<A, T>(&params, &mut blocked, 64, &action, 2, &mut obs, &mut last, dim, &mut scalars);
            for lane in 0..lanes {
                let (u0, u1) = (action[2 * lane], action[2 * lane + 1]);
                A::advance(&params, &mut single, lane, u0, u1, &mut scratch, 0);
                end_step::<A, T>(
                    &params,
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
                );
            }
            let differ = obs.iter().zip(&obs_single).position(|(a, b)| a != b).map(|i| (i / dim, i % dim));
            assert_eq!(differ, None, "{} step {t}: (lane, number) of the observations", spec.id);
            assert!(last == last_single, "{} step {t}: last observations", spec.id);
            assert!(scalars == scalars_single, "{} step {t}: scalars", spec.id);
            for (i, (a, b)) in blocked.iter().zip(&single).enumerate() {
                let same = a.to_bits() == b.to_bits() || i % LANES >= lanes;
                assert!(same, "{} step {t} field {} lane {}: {a} {b}", spec.id, i / LANES, i % LANES);
            }
        }
    }
}
