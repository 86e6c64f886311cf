//! Environments of one's own, stepped over threads.

use burn::tensor::{Device, Tensor};

use super::*;

/// Numbers of the actions' generator, the same on every machine.
fn actions(n: usize, t: usize) -> Tensor<2> {
    let bits = NoiseKey { seed: 3, stream: Stream::Other(9), step: t as u64 }.bits();
    let values = (0..n).map(|i| bits(i as u32, 0) as f32 / (1u64 << 31) as f32 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, [n, 1]), &Device::flex())
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    read("a test's tensor", tensor.clone()).expect("the host holds it")
}

/// A walk in float64 that ends where it leaves [-1, 1]; it costs to be left of the origin, and to push hard.
struct Walk {
    place: f64,
    /// What the episode was begun with.
    seed: u64,
}

impl Env<2> for Walk {
    fn spec(&self) -> EnvSpec {
        EnvSpec {
            id: "Walk-v0".to_owned(),
            obs_dim: 2,
            action_dim: 1,
            max_episode_steps: 40,
            constraints: vec!["left".to_owned(), "force".to_owned()],
        }
    }

    fn reset(&mut self, seed: u64, obs: &mut [f32]) {
        self.seed = seed;
        self.place = (seed >> 40) as f64 / (1u64 << 24) as f64 - 0.5;
        obs.copy_from_slice(&[self.place as f32, 0.0]);
    }

    fn step(&mut self, action: &[f32], obs: &mut [f32]) -> Outcome<2> {
        self.place += f64::from(action[0]) / 3.0 + (self.seed % 7) as f64 * 1e-3;
        obs.copy_from_slice(&[self.place as f32, action[0]]);
        let cost = |is: bool| if is { 1.0 } else { 0.0 };
        let costs = [cost(self.place < 0.0), cost(action[0].abs() > 0.9)];
        Outcome { reward: self.place as f32, costs, terminated: self.place.abs() > 1.0, truncated: false }
    }

    fn state(&self) -> Vec<f64> {
        // Seeds have more bits than a float64's fraction.
        vec![self.place, f64::from((self.seed >> 32) as u32), f64::from(self.seed as u32)]
    }

    fn load_state(&mut self, state: &[f64]) {
        self.place = state[0];
        self.seed = (state[1] as u64) << 32 | state[2] as u64;
    }
}

fn walks(n: usize, seed: u64) -> Batched<Walk, 2> {
    Batched::new(n, seed, &Device::flex(), |_| Walk { place: 0.0, seed: 0 }).expect("a true specification")
}

/// Everything a step returned, as bits.
fn bits(batch: &StepBatch) -> Vec<u32> {
    let rows = [&batch.reward, &batch.terminated, &batch.truncated, &batch.episode_return];
    let more = [&batch.episode_length, &batch.episode_partial].into_iter().chain(rows).flat_map(values);
    let tables = [&batch.obs, &batch.final_obs, &batch.costs, &batch.episode_costs].into_iter().flat_map(values);
    more.chain(tables).map(f32::to_bits).collect()
}

#[test]
fn episodes_are_counted_and_begin_again_within_the_step_that_ends_them() {
    let n = 37;
    let mut env = walks(n, 5);
    let mut obs = values(&env.reset(false));
    let (mut sums, mut costs, mut steps) = (vec![0.0f64; n], vec![[0.0f32; 2]; n], vec![0; n]);
    let (mut ended, mut cut) = (0, 0);
    for t in 0..300 {
        let batch = env.step(actions(n, t));
        assert_eq!(batch.costs.dims(), [2, n]);
        let (reward, cost, total) = (values(&batch.reward), values(&batch.costs), values(&batch.episode_costs));
        let (terminated, truncated) = (values(&batch.terminated), values(&batch.truncated));
        let (next, last) = (values(&batch.obs), values(&batch.final_obs));
        for i in 0..n {
            steps[i] += 1;
            sums[i] += f64::from(reward[i]);
            for c in 0..2 {
                costs[i][c] += cost[c * n + i];
                assert_eq!(costs[i][c], total[c * n + i]);
            }
            assert_eq!(values(&batch.episode_return)[i], sums[i] as f32);
            assert_eq!(values(&batch.episode_length)[i], steps[i] as f32);
            assert_eq!((truncated[i] > 0.0), steps[i] == 40);
            assert_eq!((terminated[i] > 0.0), last[2 * i].abs() > 1.0);
            if terminated[i] + truncated[i] > 0.0 {
                assert!(next[2 * i].abs() <= 0.5 && next[2 * i + 1] == 0.0, "a first observation");
                assert_ne!(next[2 * i], obs[2 * i], "of another layout");
                (steps[i], sums[i], costs[i]) = (0, 0.0, [0.0; 2]);
                ended += usize::from(terminated[i] > 0.0);
                cut += usize::from(truncated[i] > 0.0);
            } else {
                assert_eq!(next[2 * i..2 * i + 2], last[2 * i..2 * i + 2]);
            }
        }
        obs = next;
    }
    assert!(ended > 20 && cut > 20, "{ended} ended, {cut} were cut off");
}

#[test]
fn neither_threads_nor_neighbours_show_and_seeds_do() {
    let run = |n: usize, seed: u64, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        pool.install(|| {
            let mut env = walks(n, seed);
            let mut trace = values(&env.reset(true).slice([0..20, 0..2]));
            for t in 0..100 {
                trace.extend(values(&env.step(actions(n, t)).obs.slice([0..20, 0..2])));
            }
            trace
        })
    };
    let one = run(100, 1, 1);
    assert!(one == run(100, 1, 3), "the number of threads shows");
    assert!(one == run(20, 1, 2), "the number of environments shows");
    assert!(one != run(100, 2, 1), "the seed does not show");
}

#[test]
fn a_restored_state_continues_bit_for_bit() {
    let n = 19;
    let mut env = walks(n, 8);
    env.reset(true);
    for t in 0..25 {
        env.step(actions(n, t));
    }
    let saved = env.state().expect("the host holds it");
    let mut twin = walks(n, 8);
    twin.load_state(&saved).expect("the same environments");
    for t in 25..120 {
        assert_eq!(bits(&env.step(actions(n, t))), bits(&twin.step(actions(n, t))), "step {t}");
    }
    assert!(matches!(walks(n + 1, 8).load_state(&saved), Err(EnvError::StateShape { .. })));
    assert!(matches!(twin.load_state(&State::new()), Err(EnvError::State(_))));
}

#[test]
fn every_float_survives_its_parts() {
    for number in [0.1, -0.0, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, 1.0 / 3.0, -12345.678] {
        assert_eq!(whole_of(&parts_of(number)).to_bits(), number.to_bits());
    }
    assert!(whole_of(&parts_of(f64::NAN)).is_nan());
}

#[test]
fn staggered_episodes_are_flagged_once_and_end_at_different_times() {
    let n = 400;
    let mut env = Batched::new(n, 2, &Device::flex(), |_| Still).expect("a true specification");
    env.reset(true);
    let mut ends = vec![None; n];
    for t in 0..50 {
        let batch = env.step(Tensor::zeros([n, 1], &Device::flex()));
        let (truncated, partial) = (values(&batch.truncated), values(&batch.episode_partial));
        for i in 0..n {
            assert_eq!(partial[i] > 0.0, ends[i].is_none());
            if truncated[i] > 0.0 {
                ends[i] = Some(t);
            }
        }
    }
    let mean = ends.iter().map(|end| end.expect("every episode ends") as f64).sum::<f64>() / n as f64;
    // Five standard errors of the mean of 400 uniform numbers.
    assert!((mean / 50.0 - 0.5).abs() < 0.075, "mean {mean}");
}

/// Nothing happens.
struct Still;

impl Env for Still {
    fn spec(&self) -> EnvSpec {
        let (id, constraints) = ("Still-v0".to_owned(), vec!["cost".to_owned()]);
        EnvSpec { id, obs_dim: 1, action_dim: 1, max_episode_steps: 50, constraints }
    }

    fn reset(&mut self, _seed: u64, obs: &mut [f32]) {
        obs.fill(0.0);
    }

    fn step(&mut self, _action: &[f32], obs: &mut [f32]) -> Outcome {
        obs.fill(0.0);
        Outcome { reward: 0.0, costs: [0.0], terminated: false, truncated: false }
    }

    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    fn load_state(&mut self, _state: &[f64]) {}
}

/// Names one constraint and has two costs.
struct Wrong;

impl Env<2> for Wrong {
    fn spec(&self) -> EnvSpec {
        Still.spec()
    }

    fn reset(&mut self, _seed: u64, _obs: &mut [f32]) {}

    fn step(&mut self, _action: &[f32], _obs: &mut [f32]) -> Outcome<2> {
        Outcome { reward: 0.0, costs: [0.0; 2], terminated: false, truncated: false }
    }

    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    fn load_state(&mut self, _state: &[f64]) {}
}

#[test]
fn what_cannot_be_true_is_refused() {
    let device = Device::flex();
    assert!(matches!(Batched::new(0, 1, &device, |_| Still).map(|_| ()), Err(EnvError::NumEnvs(0))));
    let refused = Batched::new(2, 1, &device, |_| Wrong).map(|_| ()).expect_err("one name, two costs");
    assert!(refused.to_string().contains("1 constraints and has 2 costs"), "{refused}");
}
