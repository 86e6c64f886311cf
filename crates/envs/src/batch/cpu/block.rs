//! The CPU's path through some blocks: 32 environments of each in step, so that the compiler can use vectors, and of all blocks
//! together those that meet something.
//!
//! Nothing is computed here that the scalar bodies do not define: loops over lanes call the same inline
//! functions, in the same order, with no fused multiply-adds, so every lane has the bits the scalar step
//! gives it (a test holds that) whatever the instruction set. `pulp` picks the set at run time.

use core::marker::PhantomData;

use pulp::NullaryFnOnce;

use super::advance::{Rest, advance_freely};
use super::gremlins::drift_lanes;
use crate::agent::{Agent, AgentModel, FrameLanes, SimdAgent};
use crate::lanes::{Place, row, with_simd};
use crate::layout::{place_fixed, sample_layout_simd};
use crate::lidar::{LIDAR_BINS, echo, mark};
use crate::object::MarkHazards;
use crate::params::{
    GROUP_COUNT, GROUP_FIELDS, GROUP_KIND, GROUP_LIDAR, GROUP_OFFSET, GROUP_ROW, PARAM_GROUP, PARAM_GROUPS,
    PARAM_LIDAR_RANGE,
};
use crate::parts;
use crate::state::{LANES, X, Y};
use crate::step::{begin_episode, finish_step, observe, settle_episode};
use crate::task::Task;

/// A step ([`Agent::advance`], then [`crate::step::end_step`]) of the first `obs.len() / obs_dim` environments of one or more whole
/// blocks; `scalars` is `[blocks, scalars, 32]`, see [`crate::step`]; `scratch` is memory of [`crate::step::SCRATCH`] numbers, whatever
/// is in it.
pub(super) fn step_blocks<A: SimdAgent + AgentModel, T: Task>(
    params: &[f32],
    state: &mut [f32],
    first_env: usize,
    action: &[f32],
    action_dim: usize,
    obs: &mut [f32],
    final_obs: &mut [f32],
    obs_dim: usize,
    scalars: &mut [f32],
    scratch: &mut [f32],
) {
    parts::begin();
    let envs = obs.len() / obs_dim;
    let blocks = envs.div_ceil(LANES);
    let (block_len, scalars_len) = (state.len() / blocks, scalars.len() / blocks);
    let mut rest = Rest::default();
    let mut free = Vec::with_capacity(blocks);
    let actions = action.chunks(action_dim * LANES);
    for (block, (state, action)) in state.chunks_exact_mut(block_len).zip(actions).enumerate() {
        let first = Place { base: block * block_len, number: block * LANES };
        free.push(advance_freely::<A>(params, state, action, action_dim, first, &mut rest));
    }
    A::advance_among(params, state, &rest.among, &rest.alone, action, action_dim, scratch);
    let parts = state.chunks_exact_mut(block_len).zip(scalars.chunks_exact_mut(scalars_len));
    let parts = parts.zip(obs.chunks_mut(obs_dim * LANES)).zip(final_obs.chunks_mut(obs_dim * LANES));
    for (block, (((state, scalars), obs), final_obs)) in parts.enumerate() {
        drift_lanes(params, state, &free[block]);
        spent!(ObjectMotion);
        end_block::<A, T>(params, state, first_env + block * LANES, obs, final_obs, obs_dim, scalars);
    }
}

/// What follows the physics, [`crate::step::end_step`], of a block.
fn end_block<A: SimdAgent + AgentModel, T: Task>(
    params: &[f32],
    state: &mut [f32],
    first_env: usize,
    obs: &mut [f32],
    final_obs: &mut [f32],
    obs_dim: usize,
    scalars: &mut [f32],
) {
    let lanes = obs.len() / obs_dim;
    with_simd(MarkHazards { params, state });
    let mut done = [false; LANES];
    for (lane, done) in done[..lanes].iter_mut().enumerate() {
        *done = finish_step::<T>(params, state, lane, (first_env + lane) as u32, scalars, lane, LANES);
    }
    spent!(Reward);
    let mut frames = FrameLanes::default();
    A::sense_block(state, final_obs, obs_dim, &mut frames);
    spent!(Sensors);
    with_simd(ObserveLidars::<T> { params, state, frames: &frames, obs: final_obs, obs_dim, task: PhantomData });
    spent!(Lidars);
    for (lane, (obs, last)) in obs.chunks_exact_mut(obs_dim).zip(final_obs.chunks_exact(obs_dim)).enumerate() {
        if done[lane] {
            reset_lane::<A, T>(params, state, lane, (first_env + lane) as u32, false);
            observe::<A, T>(params, state, lane, obs, 0);
        } else {
            obs.copy_from_slice(last);
        }
    }
    spent!(NewEpisodes);
}

/// Begins a new episode in one lane: `reset_env` with the faster sampler of layouts.
fn reset_lane<A: Agent, T: Task>(params: &[f32], state: &mut [f32], lane: usize, env: u32, staggered: bool) {
    begin_episode(params, state, lane);
    if !place_fixed(params, state, lane, env) {
        sample_layout_simd(params, state, lane, env);
    }
    settle_episode::<A, T>(params, state, lane, env, staggered);
}

/// Begins a new episode of environment `env` in the first lane of a block.
pub fn reset_first<A: Agent, T: Task>(params: &[f32], state: &mut [f32], env: u32) {
    reset_lane::<A, T>(params, state, 0, env, false);
}

/// Begins a new episode in the first `obs.len() / obs_dim` environments of a block.
pub(super) fn reset_block<A: Agent, T: Task>(
    params: &[f32],
    state: &mut [f32],
    first_env: usize,
    staggered: bool,
    obs: &mut [f32],
    obs_dim: usize,
) {
    for (lane, obs) in obs.chunks_exact_mut(obs_dim).enumerate() {
        reset_lane::<A, T>(params, state, lane, (first_env + lane) as u32, staggered);
        observe::<A, T>(params, state, lane, obs, 0);
    }
}

/// [`crate::lidar::observe_lidars`] for all rows of `obs`.
struct ObserveLidars<'a, T> {
    params: &'a [f32],
    state: &'a mut [f32],
    frames: &'a FrameLanes,
    obs: &'a mut [f32],
    obs_dim: usize,
    task: PhantomData<T>,
}

impl<T: Task> NullaryFnOnce for ObserveLidars<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { params, state, frames, obs, obs_dim, task: _ } = self;
        let (x, y) = (*row(state, X), *row(state, Y));
        let range = params[PARAM_LIDAR_RANGE];
        for group in params[PARAM_GROUP..].chunks_exact(GROUP_ROW).take(params[PARAM_GROUPS] as usize) {
            let bins = group[GROUP_LIDAR] as usize;
            let mut seen = [false; LANES];
            for (lane, obs) in obs.chunks_exact_mut(obs_dim).enumerate() {
                obs[bins..bins + LIDAR_BINS].fill(0.0);
                seen[lane] = T::sees(state, lane, group[GROUP_KIND]);
            }
            for object in 0..group[GROUP_COUNT] as usize {
                let field = group[GROUP_OFFSET] as usize + object * group[GROUP_FIELDS] as usize;
                let (object_x, object_y) = (row(state, field), row(state, field + 1));
                let (mut closeness, mut angle) = ([0.0; LANES], [0.0; LANES]);
                for l in 0..LANES {
                    let (to_x, to_y) = (object_x[l] - x[l], object_y[l] - y[l]);
                    let ahead = frames.xx[l] * to_x + frames.xy[l] * to_y + frames.x0[l];
                    let left = frames.yy[l] * to_y + frames.yx[l] * to_x + frames.y0[l];
                    (closeness[l], angle[l]) = echo(ahead, left, range);
                }
                for (lane, obs) in obs.chunks_exact_mut(obs_dim).enumerate() {
                    if seen[lane] {
                        let bins: &mut [f32; LIDAR_BINS] =
                            (&mut obs[bins..bins + LIDAR_BINS]).try_into().expect("LIDAR_BINS numbers");
                        mark(bins, 0, closeness[lane], angle[lane]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AgentKind;
    use crate::kinds::for_kind;
    use crate::registry::registry;
    use crate::spec::NavigationSpec;
    use crate::step::{SCALARS, SCRATCH, end_step};

    /// Every environment of an agent; a test for each agent, so that they run side by side.
    fn compare_all(agent: AgentKind) {
        let specs: Vec<_> = registry().iter().filter(|spec| spec.agent == agent).collect();
        assert_eq!(specs.len(), 13, "Run, and three levels of four tasks");
        for spec in specs {
            let compare = for_kind!(spec.agent, spec.level.task, compare);
            compare(spec);
        }
    }

    #[test]
    fn a_block_steps_to_the_bits_of_the_scalar_step_with_the_point() {
        compare_all(AgentKind::Point);
    }

    #[test]
    fn a_block_steps_to_the_bits_of_the_scalar_step_with_the_car() {
        compare_all(AgentKind::Car);
    }

    #[test]
    fn a_block_steps_to_the_bits_of_the_scalar_step_with_the_racecar() {
        compare_all(AgentKind::Racecar);
    }

    /// What levels may have beyond the suite: fixed layouts, goals and costs that end episodes, several constraints.
    #[test]
    fn a_block_steps_to_the_bits_of_the_scalar_step_in_levels_of_ones_own() {
        for id in ["PointGoal2", "CarButton1", "PointPush1"] {
            let spec = crate::registry::find(id).unwrap();
            let mut level = crate::level::Level::clone(&spec.level);
            level.continue_goal = false;
            level.terminate_at_cost = Some(20.0);
            level.cost = crate::level::CostRule::Sum;
            let sum = |kind: crate::level::CostKind| crate::level::CostSum {
                name: kind.name().to_owned(),
                kinds: [kind].into(),
            };
            level.constraints = level.cost_kinds().into_iter().map(sum).collect();
            level.layouts = (0..3).map(|number| crate::level::Layout::Numbered { seed: 4, number }).collect();
            let spec = NavigationSpec::new(spec.agent, level).unwrap();
            let compare = for_kind!(spec.agent, spec.level.task, compare);
            compare(&spec);
        }
    }

    fn compare<A: SimdAgent + AgentModel, T: Task>(spec: &NavigationSpec) {
        let (params, dim, lanes) = (spec.params(3), spec.env.obs_dim, 29);
        let mut blocked = vec![0.0; spec.state_dim() * LANES];
        let (mut obs, mut last) = (vec![0.0; lanes * dim], vec![0.0; lanes * dim]);
        reset_block::<A, T>(&params, &mut blocked, 64, true, &mut obs, dim);
        let mut single = blocked.clone();
        let (mut obs_single, mut last_single) = (obs.clone(), last.clone());
        let rows = SCALARS + 2 * spec.further_costs();
        let (mut scalars, mut scalars_single) = (vec![0.0; rows * LANES], vec![0.0; rows * LANES]);
        let (mut scratch, mut own) = (vec![0.0; SCRATCH], vec![f32::NAN; SCRATCH]);
        for t in 0..1500u32 {
            let action: Vec<f32> = (0..lanes as u32 * 2)
                .map(|i| crate::rng::unit(crate::rng::bits(1, 2, i, t / 10, 0)) * 2.2 - 1.1)
                .collect();
            step_blocks::<A, T>(
                &params,
                &mut blocked,
                64,
                &action,
                2,
                &mut obs,
                &mut last,
                dim,
                &mut scalars,
                &mut own,
            );
            for lane in 0..lanes {
                A::advance(&params, &mut single, lane, &action, 2 * lane, &mut scratch, 0);
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
            assert_eq!(differ, None, "{} step {t}: (lane, number) of the observations", spec.env.id);
            assert!(last == last_single, "{} step {t}: last observations", spec.env.id);
            assert!(scalars == scalars_single, "{} step {t}: scalars", spec.env.id);
            for (i, (a, b)) in blocked.iter().zip(&single).enumerate() {
                let same = a.to_bits() == b.to_bits() || i % LANES >= lanes;
                assert!(same, "{} step {t} field {} lane {}: {a} {b}", spec.env.id, i / LANES, i % LANES);
            }
        }
    }
}
