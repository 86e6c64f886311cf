//! Whole episodes of scripted policies have the statistics they have in the original
//! (`tests/fixtures/behaviour_stats.json`; the policies are described in the README beside it).
//!
//! Single trajectories are chaotic, so only distributions can agree: means within a few combined standard errors.

use burn::tensor::{Device, Tensor};
use envs::{VecEnv, find};
use serde_json::Value;

const EPISODES: usize = 512;
/// Accepted deviation of a mean in combined standard errors.
const SIGMAS: f64 = 4.5;

/// Episode scalars by the fixture's names.
const SCALARS: [&str; 6] = ["return", "cost", "goals", "length", "speed", "turn_rate"];

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().expect("float32")
}

/// Uniform actions from an integer generator.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// Steers towards what the 16 lidar bins from `lidar` on see best.
fn steer(obs: &[f32], lidar: usize) -> [f32; 2] {
    let bins = &obs[lidar..lidar + 16];
    let best = (0..16).rev().max_by(|a, b| bins[*a].total_cmp(&bins[*b])).expect("16 bins");
    let (after, before) = (bins[(best + 1) % 16], bins[(best + 15) % 16]);
    if after + before == 0.0 {
        return [1.0, 0.3];
    }
    let turn = (best as f32 + after / (after + before)) * std::f32::consts::TAU / 16.0;
    let angle = (turn + std::f32::consts::PI).rem_euclid(std::f32::consts::TAU) - std::f32::consts::PI;
    let speed = if angle.abs() < 0.6 { 1.0 } else { 0.0 };
    [(5.0 * (speed - obs[3])).clamp(-1.0, 1.0), (2.0 * angle).clamp(-1.0, 1.0)]
}

/// Per-episode scalars and per-episode mean observations of `EPISODES` episodes.
fn play(id: &str, policy: &str) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let spec = find(id).expect("a registered id");
    let (n, dim, device) = (EPISODES, spec.obs_dim, Device::flex());
    let mut env = VecEnv::new(spec.clone(), n, 99, &device).expect("the CPU backend is always supported");
    let mut obs = values(env.reset());
    let mut uniform = Uniform(7);
    let mut sums = vec![[0.0f64; SCALARS.len()]; n];
    let mut obs_sums = vec![vec![0.0f64; dim]; n];
    let mut account = |sums: &mut Vec<[f64; 6]>, obs: &[f32]| {
        for (i, o) in obs.chunks_exact(dim).enumerate() {
            sums[i][4] += f64::from(o[3]).hypot(f64::from(o[4]));
            sums[i][5] += f64::from(o[8].abs());
            obs_sums[i].iter_mut().zip(o).for_each(|(sum, x)| *sum += f64::from(*x));
        }
    };
    account(&mut sums, &obs);
    for _ in 0..spec.max_episode_steps {
        let action: Vec<f32> = obs
            .chunks_exact(dim)
            .flat_map(|o| match policy {
                "uniform" => [uniform.next(), uniform.next()],
                "seek" => steer(o, 12),
                "ram" => steer(o, 44),
                _ => panic!("unknown policy {policy}"),
            })
            .collect();
        let batch = env.step(Tensor::<1>::from_floats(action.as_slice(), &device).reshape([n, 2]));
        let (reward, cost) = (values(batch.reward), values(batch.cost));
        for i in 0..n {
            sums[i][0] += f64::from(reward[i]);
            sums[i][1] += f64::from(cost[i]);
            // A step moves the agent a few centimetres, so only a reached goal pays this much.
            sums[i][2] += f64::from(u8::from(reward[i] > 0.5));
            sums[i][3] += 1.0;
        }
        account(&mut sums, &values(batch.final_obs));
        obs = values(batch.obs);
    }
    let observations = (spec.max_episode_steps + 1) as f64;
    for sum in &mut sums {
        sum[4] /= observations;
        sum[5] /= observations;
    }
    obs_sums.iter_mut().flatten().for_each(|sum| *sum /= observations);
    (sums.into_iter().map(Vec::from).collect(), obs_sums)
}

fn mean_and_error(series: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = series.clone().count() as f64;
    let mean = series.clone().sum::<f64>() / n;
    let variance = series.map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn scripted_policies_fare_as_in_the_original() {
    let text = include_str!("../../../tests/fixtures/behaviour_stats.json");
    let fixture: Value = serde_json::from_str(text).expect("the fixture is JSON");
    let mut failures = Vec::new();
    let mut compared = 0;
    for (id, policies) in fixture["envs"].as_object().expect("environments") {
        for (policy, expected) in policies.as_object().expect("policies") {
            let (episodes, observations) = play(id, policy);
            let mut check = |name: String, got: (f64, f64), want: f64, error: f64| {
                compared += 1;
                let combined = got.1.hypot(error);
                if (got.0 - want).abs() > SIGMAS * combined + 1e-6 {
                    failures.push(format!("{id} {policy} {name}: {} against {want}, +- {combined}", got.0));
                }
            };
            for (k, name) in SCALARS.iter().enumerate() {
                let got = mean_and_error(episodes.iter().map(|episode| episode[k]));
                let stats = &expected["scalars"][name];
                let get = |key: &str| stats[key].as_f64().expect("a number");
                check((*name).to_owned(), got, get("mean"), get("stderr"));
            }
            let list = |key: &str| expected[key].as_array().expect("a list").clone();
            for (k, (want, error)) in list("obs_mean").iter().zip(list("obs_mean_stderr")).enumerate() {
                let got = mean_and_error(observations.iter().map(|episode| episode[k]));
                check(format!("obs[{k}]"), got, want.as_f64().expect("number"), error.as_f64().expect("number"));
            }
        }
    }
    assert!(compared > 100, "{compared} numbers compared");
    assert!(failures.is_empty(), "{} of {compared} differ:\n{}", failures.len(), failures.join("\n"));
}
