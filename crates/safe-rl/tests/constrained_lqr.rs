//! The whole chain of this crate on a constrained linear-quadratic problem whose optimum is known in closed form.
//!
//! Two independent scalar systems `x' = a x + b u + noise`, policies `u ~ N(-k x, sigma^2)` with one gain each. Reward is
//! `-(x1^2 + x2^2)`, cost `u1^2 + 3 u2^2` a step. In the stationary state the variance of x is
//! `v(k) = (b^2 sigma^2 + noise^2) / (1 - (a - b k)^2)`, so the best gains for a cost limit follow from a multiplier and two
//! one-dimensional minimisations. The exact values of the linear policy serve as critics.

use burn::tensor::Tensor;
use compute::noise::{NoiseKey, Stream, normals};
use safe_rl::{
    CostEstimator, EpisodeTotals, EpisodeTracker, GaeConfig, Gaussian, KlGuard, KlGuardConfig, Margin, MarginConfig,
    Products, ProjectionKind, Rollout, RolloutBuilder, RolloutStep, all_finite, blend, center, gae, standardize,
};
use test_support::device::test_device;
use test_support::numbers::{tensor, values};

const A: f64 = 0.95;
const B: [f64; 2] = [0.5, 0.3];
const NOISE: f64 = 0.3;
const SIGMA: f64 = 0.2;
const PRICE: [f64; 2] = [1.0, 3.0];
const HORIZON: usize = 100;
const ENVS: usize = 64;
const STEPS: usize = 50;

fn variance(i: usize, k: f64) -> f64 {
    (B[i] * B[i] * SIGMA * SIGMA + NOISE * NOISE) / (1.0 - (A - B[i] * k).powi(2))
}

fn step_cost(gains: [f64; 2]) -> f64 {
    (0..2).map(|i| PRICE[i] * (gains[i] * gains[i] * variance(i, gains[i]) + SIGMA * SIGMA)).sum()
}

fn step_reward(gains: [f64; 2]) -> f64 {
    -(0..2).map(|i| variance(i, gains[i])).sum::<f64>()
}

/// Gains that maximise reward at a step cost of `limit`.
fn optimum(limit: f64) -> [f64; 2] {
    let best = |i: usize, multiplier: f64| {
        let objective = |k: f64| variance(i, k) * (1.0 + multiplier * PRICE[i] * k * k);
        let (mut low, mut high) = (0.0, A / B[i]);
        for _ in 0..200 {
            let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            if objective(left) < objective(right) { high = right } else { low = left }
        }
        0.5 * (low + high)
    };
    let (mut low, mut high) = (0.0, 100.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if step_cost([best(0, middle), best(1, middle)]) > limit { low = middle } else { high = middle }
    }
    [best(0, high), best(1, high)]
}

/// The systems, stepped on the host; episodes are cut every [`HORIZON`] steps, at staggered times, and simply go on.
struct Systems {
    x: Vec<f32>,
    age: Vec<usize>,
    first: Vec<bool>,
    totals: Vec<[f32; 2]>,
    step: u64,
}

fn flat(values: Vec<f32>) -> Tensor<1> {
    tensor(&values, [values.len()], &test_device())
}

fn table(values: Vec<f32>) -> Tensor<2> {
    tensor(&values, [values.len() / 2, 2], &test_device())
}

impl Systems {
    fn new() -> Self {
        let age = (0..ENVS).map(|i| i * HORIZON / ENVS).collect();
        Self { x: vec![0.0; 2 * ENVS], age, first: vec![true; ENVS], totals: vec![[0.0; 2]; ENVS], step: 0 }
    }

    fn rollout(&mut self, gains: &Tensor<1>, log_std: &Tensor<1>) -> Rollout {
        let mut builder = RolloutBuilder::with_capacity(STEPS);
        for _ in 0..STEPS {
            let obs = table(self.x.clone());
            let mean = -(obs.clone() * gains.clone().unsqueeze());
            let policy = Gaussian::new(mean.clone(), log_std.clone());
            let (action, log_prob) = policy.act(NoiseKey { seed: 4, stream: Stream::Other(0), step: self.step });
            let noise = normals(NoiseKey { seed: 4, stream: Stream::Other(1), step: self.step }, ENVS, 2);
            self.step += 1;
            let u = values(action.clone());
            let (mut reward, mut cost, mut truncated, mut partial) = (vec![], vec![], vec![], vec![]);
            let (mut totals, mut lengths) = (vec![], vec![]);
            for env in 0..ENVS {
                let (mut r, mut c) = (0.0, 0.0);
                for i in 0..2 {
                    let j = 2 * env + i;
                    r -= self.x[j] * self.x[j];
                    c += PRICE[i] as f32 * u[j] * u[j];
                    self.x[j] = A as f32 * self.x[j] + B[i] as f32 * u[j] + NOISE as f32 * noise[j];
                }
                self.age[env] += 1;
                self.totals[env][0] += r;
                self.totals[env][1] += c;
                let end = self.age[env] == HORIZON;
                reward.push(r);
                cost.push(c);
                truncated.push(if end { 1.0 } else { 0.0 });
                partial.push(if self.first[env] { 1.0 } else { 0.0 });
                totals.push(self.totals[env]);
                lengths.push(self.age[env] as f32);
                if end {
                    (self.age[env], self.first[env], self.totals[env]) = (0, false, [0.0; 2]);
                }
            }
            let step = RolloutStep {
                obs,
                action,
                mean,
                log_prob,
                reward: flat(reward),
                cost: flat(cost),
                terminated: flat(vec![0.0; ENVS]),
                truncated: flat(truncated),
                final_obs: table(self.x.clone()),
                episode: EpisodeTotals {
                    episode_return: flat(totals.iter().map(|t| t[0]).collect()),
                    cost: flat(totals.iter().map(|t| t[1]).collect()),
                    length: flat(lengths),
                    partial: flat(partial),
                },
            };
            builder.push(step).unwrap();
        }
        builder.finish(table(self.x.clone()), log_std.clone(), |raw| raw).unwrap()
    }
}

/// Exact discounted value of the linear policy: `sum_i weight_i(x_i^2 P_i + constant)`.
fn exact_value(x: &Tensor<2>, gains: [f64; 2], gamma: f64, per_step: impl Fn(usize) -> (f64, f64)) -> Tensor<1> {
    let mut value = x.clone().narrow(1, 0, 1).squeeze_dim::<1>(1) * 0.0;
    for i in 0..2 {
        let (square, constant) = per_step(i);
        let closed = A - B[i] * gains[i];
        let p = square / (1.0 - gamma * closed * closed);
        let spread = B[i] * B[i] * SIGMA * SIGMA + NOISE * NOISE;
        let offset = (constant + gamma * p * spread) / (1.0 - gamma);
        value = value + x.clone().narrow(1, i, 1).squeeze_dim::<1>(1).square() * p + offset;
    }
    value
}

#[test]
fn the_cost_settles_at_the_limit_and_the_reward_at_its_optimum() {
    let device = test_device();
    let limit = 0.45;
    let best = optimum(limit);
    assert!((step_cost(best) - limit).abs() < 1e-6);
    // Far from trivial: the unconstrained optimum costs a multiple of the limit, doing nothing earns far less.
    assert!(step_cost([A / B[0], A / B[1]]) > 2.0 * limit && step_reward([0.0; 2]) < 2.0 * step_reward(best));

    let mut systems = Systems::new();
    let config = MarginConfig { cost_limit: limit * HORIZON as f64, ..Default::default() };
    let mut margin = Margin::new(config).unwrap();
    let mut guard = KlGuard::new(KlGuardConfig { kl_limit: 0.002, ..Default::default() }, &device).unwrap();
    let mut tracker = EpisodeTracker::new();
    let discounts = GaeConfig { gamma: 0.95, lambda: 0.95 };
    let log_std = Tensor::<1>::full([2], (SIGMA as f32).ln(), &device);
    let mut gains = Tensor::<1>::from_floats([0.0, 0.0], &device);
    let (mut costs, mut rewards, mut accepted, mut rejected) = (vec![], vec![], 0, 0);

    for iteration in 0..400 {
        let rollout = systems.rollout(&gains, &log_std);
        tracker.record(&rollout.finished);
        let episodic_cost = tracker.episodic_cost(CostEstimator::StepMean, HORIZON, rollout.mean_step_cost);
        let weights = margin.update(episodic_cost);

        let now: Vec<f64> = values(gains.clone()).into_iter().map(f64::from).collect();
        let now = [now[0], now[1]];
        let gamma = f64::from(discounts.gamma);
        let inputs = rollout.critic_inputs();
        let reward_values = rollout.values(exact_value(&inputs, now, gamma, |_| (-1.0, 0.0)));
        let cost_values = rollout
            .values(exact_value(&inputs, now, gamma, |i| (PRICE[i] * now[i] * now[i], PRICE[i] * SIGMA * SIGMA)));
        let reward = gae(&rollout.reward, &reward_values.value, &reward_values.next_value, &rollout.done, &discounts);
        let cost = gae(&rollout.cost, &cost_values.value, &cost_values.next_value, &rollout.done, &discounts);
        let samples = rollout.samples();
        let advantage = Tensor::cat(
            vec![standardize(reward.advantage).reshape([1, samples]), center(cost.advantage).reshape([1, samples])],
            0,
        );

        guard.begin_rollout();
        for _ in 0..2 {
            let forward = |gains: &Tensor<1>| -(rollout.obs.clone() * gains.clone().unsqueeze());
            let policy = Gaussian::new(forward(&gains), log_std.clone());
            let surrogate = policy.surrogate(&rollout.action, &rollout.log_prob, &advantage, None);
            // d mean_i / d k_i = -x_i.
            let gradients = -(surrogate.mean * rollout.obs.clone().unsqueeze()).sum_dim(1).squeeze_dim::<2>(1);
            let fisher = rollout.obs.clone().square().mean_dim(0).squeeze_dim::<1>(0) * policy.inverse_variance();
            let natural = gradients.clone() / (fisher.clone() + 0.01).unsqueeze();
            let products = Products::metric(&gradients, &natural);
            let blend = blend(ProjectionKind::Metric, &products, &products, &weights);
            let direction = blend.direction(&natural);
            let radius = guard.radius(&policy.mean_kl(&rollout.mean, &rollout.log_std));
            let length = (direction.clone().square() * fisher).sum().sqrt();
            // At the optimum the two terms cancel: the cap on the step keeps what is left from being blown up.
            let eta = (radius.clone() / (length + 1e-12)).min_pair(radius * 2.0);
            let candidate = gains.clone() + direction * eta;
            let kl = Gaussian::new(forward(&candidate), log_std.clone()).mean_kl(&rollout.mean, &rollout.log_std);
            let verdict = guard.judge(&kl, all_finite(&candidate), blend.usable);
            gains = verdict.select(candidate, gains);
        }
        let report = guard.report().unwrap();
        assert!(report.kl_max <= 0.002);
        accepted += report.accepted;
        rejected += report.rejected;
        if iteration >= 250 {
            let now = values(gains.clone());
            costs.push(step_cost([f64::from(now[0]), f64::from(now[1])]));
            rewards.push(step_reward([f64::from(now[0]), f64::from(now[1])]));
        }
    }

    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (cost, reward, best_reward) = (mean(&costs), mean(&rewards), step_reward(best));
    println!(
        "cost {cost:.4} of {limit}, reward {reward:.4} of {best_reward:.4}, accepted {accepted}, rejected {rejected}"
    );
    assert!((cost / limit - 1.0).abs() < 0.03, "cost {cost}, limit {limit}");
    assert!((reward / best_reward - 1.0).abs() < 0.03, "reward {reward}, optimum {best_reward}");
    assert!(accepted > 700, "accepted {accepted}, rejected {rejected}");
    // Whole episodes were counted, and they tell the same story as the step mean.
    let statistics = tracker.statistics().unwrap();
    assert_eq!((statistics.episodes, statistics.length_mean), (100, HORIZON as f64));
    assert!(tracker.partial() > 0);
    assert!((statistics.cost_mean / (limit * HORIZON as f64) - 1.0).abs() < 0.1, "{}", statistics.cost_mean);
}
