//! Rollouts of three environments over three steps, with two costs, ended in every way.

use super::*;
use crate::test_device::test_device;

/// A step whose numbers name their time and environment: observation (10 t + b, 0), final observation negative.
fn step(t: usize, terminated: [f32; 3], truncated: [f32; 3]) -> RolloutStep {
    let device = test_device();
    let flat = |f: fn(f32, f32) -> f32| Tensor::<1>::from_floats([0.0, 1.0, 2.0].map(|b| f(t as f32, b)), &device);
    let rows =
        |f: fn(f32, f32) -> f32| Tensor::<2>::from_floats([0.0, 1.0, 2.0].map(|b| [f(t as f32, b), 0.0]), &device);
    let costs = |f: fn(f32, f32) -> f32, g: fn(f32, f32) -> f32| Tensor::stack(vec![flat(f), flat(g)], 0);
    RolloutStep {
        obs: rows(|t, b| 10.0 * t + b),
        action: rows(|t, b| t - b),
        mean: rows(|t, b| t + b),
        log_prob: flat(|t, _| -t),
        reward: flat(|t, b| t * b),
        costs: costs(|_, b| b, |t, _| 4.0 * t),
        terminated: Tensor::from_floats(terminated, &device),
        truncated: Tensor::from_floats(truncated, &device),
        final_obs: rows(|t, b| -(10.0 * t + b) - 1.0),
        episode: EpisodeTotals {
            episode_return: flat(|t, b| 100.0 * t + b),
            costs: costs(|t, b| 200.0 * t + b, |t, b| 300.0 * t - b),
            length: flat(|t, _| t + 1.0),
            partial: flat(|_, b| if b == 2.0 { 1.0 } else { 0.0 }),
        },
    }
}

/// The outputs `[3, N]` of three critics: a column `[N, 1]`, and it multiplied by 1000 and by a million.
fn three(column: Tensor<2>) -> Tensor<2> {
    let row = column.transpose();
    Tensor::cat(vec![row.clone(), row.clone() * 1e3, row * 1e6], 0)
}

/// The values of the first critic, and a check that the others' lie where they belong.
fn first(values: Tensor<3>) -> Vec<f32> {
    let all = read("v", values).unwrap();
    let count = all.len() / 3;
    for i in 0..count {
        assert_eq!((all[count + i], all[2 * count + i]), (all[i] * 1e3, all[i] * 1e6));
    }
    all[..count].to_vec()
}

fn rollout() -> Rollout {
    let device = test_device();
    let mut builder = RolloutBuilder::with_capacity(3);
    builder.push(step(0, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])).unwrap();
    builder.push(step(1, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0])).unwrap();
    builder.push(step(2, [1.0, 0.0, 0.0], [1.0, 1.0, 0.0])).unwrap();
    let last = Tensor::from_floats([[30.0, 0.0], [31.0, 0.0], [32.0, 0.0]], &device);
    builder.finish(last, Tensor::zeros([2], &device), |raw| raw * 1000.0).unwrap()
}

#[test]
fn values_follow_the_ends_of_episodes() {
    let rollout = rollout();
    assert_eq!(rollout.truncated_samples(), [2, 7]);
    let inputs = rollout.critic_inputs();
    assert_eq!(inputs.dims(), [14, 2]);
    // A critic that returns the first feature names the observation each value came from.
    let critics = three(inputs.narrow(1, 0, 1));
    // This device's leaf, and the tensor operations.
    for Values { value, next_value } in [rollout.values(critics.clone()), rollout.values_by_tensors(critics)] {
        assert_eq!(first(value), [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 20.0, 21.0, 22.0]);
        let expected = [10.0, 0.0, -3000.0, 20.0, 21.0, 22.0, 0.0, -22_000.0, 32.0];
        assert_eq!(first(next_value), expected);
    }
    assert_eq!(read("d", rollout.done.clone()).unwrap(), [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    assert_eq!(read("o", rollout.obs.clone()).unwrap()[6], 10.0);
}

#[test]
fn finished_episodes_and_means_are_read_back() {
    let rollout = rollout();
    let costs: Vec<f32> = rollout.finished.iter().map(|e| e.costs[0]).collect();
    assert_eq!(costs, [1.0, 2.0, 400.0, 401.0]);
    assert_eq!(rollout.finished.iter().map(|e| e.costs[1]).collect::<Vec<_>>(), [-1.0, -2.0, 600.0, 599.0]);
    assert_eq!(rollout.finished.iter().map(|e| e.partial).collect::<Vec<_>>(), [false, true, false, false]);
    assert_eq!(rollout.finished[3].length, 3.0);
    assert_eq!((rollout.mean_step_reward, rollout.mean_step_costs), (1.0, vec![1.0, 4.0]));
}

#[test]
fn a_rollout_without_ends_needs_no_final_observation() {
    let device = test_device();
    let mut builder = RolloutBuilder::new();
    builder.push(step(0, [0.0; 3], [0.0; 3])).unwrap();
    let last = Tensor::from_floats([[30.0, 0.0], [31.0, 0.0], [32.0, 0.0]], &device);
    let rollout = builder.finish(last, Tensor::zeros([2], &device), |_| panic!("nothing to normalise")).unwrap();
    let Values { next_value, .. } = rollout.values(three(rollout.critic_inputs().narrow(1, 0, 1)));
    assert_eq!(first(next_value), [30.0, 31.0, 32.0]);
    assert!(rollout.finished.is_empty() && rollout.bootstraps() == 0);
}

#[test]
fn wrong_shapes_and_empty_rollouts_are_errors() {
    let device = test_device();
    let mut builder = RolloutBuilder::new();
    builder.push(step(0, [0.0; 3], [0.0; 3])).unwrap();
    let mut odd = step(1, [0.0; 3], [0.0; 3]);
    odd.costs = Tensor::zeros([2, 4], &device);
    let expected = SafeRlError::ShapeMismatch { what: "costs", expected: vec![2, 3], got: vec![2, 4] };
    assert_eq!(builder.push(odd), Err(expected));
    let empty = RolloutBuilder::new().finish(Tensor::zeros([3, 2], &device), Tensor::zeros([2], &device), |x| x);
    assert_eq!(empty.err(), Some(SafeRlError::EmptyRollout));
}

#[test]
fn arrays_give_the_same_rollout_as_pushed_steps() {
    let device = test_device();
    let ends: [[[f32; 3]; 2]; 3] =
        [[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [[0.0; 3], [0.0; 3]], [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]];
    let pushed: Vec<RolloutStep> = (0..3).map(|t| step(t, ends[t][0], ends[t][1])).collect();
    let flat = |get: fn(&RolloutStep) -> &Tensor<1>| Tensor::cat(pushed.iter().map(|s| get(s).clone()).collect(), 0);
    let rows = |get: fn(&RolloutStep) -> &Tensor<2>| Tensor::cat(pushed.iter().map(|s| get(s).clone()).collect(), 0);
    let row = |get: fn(&RolloutStep) -> &Tensor<1>| flat(get).unsqueeze_dim::<2>(0);
    let costs = |get: fn(&RolloutStep) -> &Tensor<2>| Tensor::cat(pushed.iter().map(|s| get(s).clone()).collect(), 1);
    let scalars = vec![
        row(|s| &s.reward),
        costs(|s| &s.costs),
        row(|s| &s.terminated),
        row(|s| &s.truncated),
        row(|s| &s.episode.episode_return),
        costs(|s| &s.episode.costs),
        row(|s| &s.episode.length),
        row(|s| &s.episode.partial),
    ];
    let arrays = RolloutArrays {
        steps: 3,
        obs: rows(|s| &s.obs),
        last_obs: Tensor::from_floats([[30.0, 0.0], [31.0, 0.0], [32.0, 0.0]], &device) / 1000.0,
        action: rows(|s| &s.action),
        mean: rows(|s| &s.mean),
        log_std: Tensor::zeros([2], &device),
        log_prob: flat(|s| &s.log_prob),
        scalars: Tensor::cat(scalars, 0),
        // Horizon 2: the truncation at (0, 2) lies in the first block of three, the one at (2, 1) in the second.
        final_obs: Tensor::from_floats(
            [[7.0, 7.0], [7.0, 7.0], [-3.0, 0.0], [7.0, 7.0], [-22.0, 0.0], [7.0, 7.0]],
            &device,
        ),
        horizon: 2,
    };
    let (a, b) = (Rollout::from_arrays(arrays, |raw| raw * 1000.0).unwrap(), rollout());
    assert_eq!((a.steps, a.num_envs, &a.finished, a.truncated_samples()), (3, 3, &b.finished, b.truncated_samples()));
    assert_eq!((a.mean_step_reward, &a.mean_step_costs), (b.mean_step_reward, &b.mean_step_costs));
    let same = |a: Tensor<2>, b: Tensor<2>| {
        for (a, b) in read("a", a).unwrap().iter().zip(read("b", b).unwrap()) {
            assert!((a - b).abs() <= 1e-5 * b.abs(), "{a} {b}");
        }
    };
    same(a.critic_inputs(), b.critic_inputs());
    same(a.done, b.done);
    same(a.terminated, b.terminated);
    same(a.signals.reshape([9, 3]), b.signals.reshape([9, 3]));
    same(a.action, b.action);
}
