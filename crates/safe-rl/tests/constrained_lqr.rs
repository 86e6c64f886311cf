//! The whole chain of this crate on a constrained linear-quadratic problem whose optimum is known in closed form.
//!
//! Two independent scalar systems `x' = a x + b u + noise`, policies `u ~ N(-k x, sigma^2)` with one gain each. Reward is
//! `-(x1^2 + x2^2)` per step. In the stationary state the variance of x is
//! `v(k) = (b^2 sigma^2 + noise^2) / (1 - (a - b k)^2)`. The exact values of the linear policy serve as critics.
//!
//! - One constraint: the cost `u1^2 + 3 u2^2`. The best gains for its limit follow from a multiplier and two one-dimensional
//!   minimisations.
//! - Two constraints: the costs `u1^2` and `3 u2^2`, a limit each. The systems are independent, so each gain is the one that
//!   spends its own limit.

use burn::tensor::Tensor;
use compute::noise::{NoiseKey, Stream, normals};
use safe_rl::{
    EpisodeStatistics, EpisodeTotals, EpisodeTracker, GaeConfig, Gaussian, KlGuard, KlGuardConfig, Margin,
    MarginConfig, Products, ProjectionKind, Rollout, RolloutBuilder, RolloutStep, all_finite, blend, center, gae,
    standardize,
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

/// The cost per step of one system.
fn own_cost(i: usize, k: f64) -> f64 {
    PRICE[i] * (k * k * variance(i, k) + SIGMA * SIGMA)
}

fn step_cost(gains: [f64; 2]) -> f64 {
    (0..2).map(|i| own_cost(i, gains[i])).sum()
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

/// The gain at which a system's own cost reaches `limit`: more gain earns more and costs more.
fn own_optimum(i: usize, limit: f64) -> f64 {
    let (mut low, mut high) = (0.0, A / B[i]);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if own_cost(i, middle) > limit { high = middle } else { low = middle }
    }
    low
}

/// Which costs there are: the systems whose costs each constraint adds up.
type Constraints = &'static [&'static [usize]];
const ONE: Constraints = &[&[0, 1]];
const TWO: Constraints = &[&[0], &[1]];

/// The systems, stepped on the host; episodes are cut every [`HORIZON`] steps, at staggered times, and simply go on.
struct Systems {
    x: Vec<f32>,
    age: Vec<usize>,
    first: Vec<bool>,
    constraints: Constraints,
    /// Returns, then costs, of every environment's episode.
    totals: Vec<Vec<f32>>,
    step: u64,
}

fn flat(values: Vec<f32>) -> Tensor<1> {
    tensor(&values, [values.len()], &test_device())
}

fn table(values: Vec<f32>) -> Tensor<2> {
    tensor(&values, [values.len() / 2, 2], &test_device())
}

impl Systems {
    fn new(constraints: Constraints) -> Self {
        let age = (0..ENVS).map(|i| i * HORIZON / ENVS).collect();
        let totals = vec![vec![0.0; ENVS]; 1 + constraints.len()];
        Self { x: vec![0.0; 2 * ENVS], age, first: vec![true; ENVS], constraints, totals, step: 0 }
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
            let mut signals = vec![vec![0.0; ENVS]; 1 + self.constraints.len()];
            let (mut truncated, mut partial) = (vec![0.0; ENVS], vec![0.0; ENVS]);
            for env in 0..ENVS {
                for i in 0..2 {
                    let j = 2 * env + i;
                    signals[0][env] -= self.x[j] * self.x[j];
                    for (k, _) in self.constraints.iter().enumerate().filter(|(_, systems)| systems.contains(&i)) {
                        signals[1 + k][env] += PRICE[i] as f32 * u[j] * u[j];
                    }
                    self.x[j] = A as f32 * self.x[j] + B[i] as f32 * u[j] + NOISE as f32 * noise[j];
                }
                self.age[env] += 1;
                self.totals.iter_mut().zip(&signals).for_each(|(total, signal)| total[env] += signal[env]);
                truncated[env] = if self.age[env] == HORIZON { 1.0 } else { 0.0 };
                partial[env] = if self.first[env] { 1.0 } else { 0.0 };
            }
            let rows = |rows: &[Vec<f32>]| Tensor::stack(rows.iter().cloned().map(flat).collect(), 0);
            let step = RolloutStep {
                obs,
                action,
                mean,
                log_prob,
                reward: flat(signals[0].clone()),
                costs: rows(&signals[1..]),
                terminated: flat(vec![0.0; ENVS]),
                truncated: flat(truncated),
                final_obs: table(self.x.clone()),
                episode: EpisodeTotals {
                    episode_return: flat(self.totals[0].clone()),
                    costs: rows(&self.totals[1..]),
                    length: flat(self.age.iter().map(|&age| age as f32).collect()),
                    partial: flat(partial),
                },
            };
            for env in 0..ENVS {
                if self.age[env] == HORIZON {
                    (self.age[env], self.first[env]) = (0, false);
                    self.totals.iter_mut().for_each(|total| total[env] = 0.0);
                }
            }
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

/// What a run came to over its last 150 iterations.
struct Outcome {
    /// Mean gains.
    gains: [f64; 2],
    /// Mean of each constraint's cost per step.
    costs: Vec<f64>,
    /// Mean reward per step.
    reward: f64,
    accepted: u64,
    episodes: EpisodeStatistics,
    partial: u64,
}

/// 400 iterations of the whole chain with these limits on the costs per step.
fn train(constraints: Constraints, limits: &[f64]) -> Outcome {
    let device = test_device();
    let mut systems = Systems::new(constraints);
    let config = MarginConfig { margin_start: 0.0, ..Default::default() };
    let margin = |limit: &f64| Margin::new(limit * HORIZON as f64, config).unwrap();
    let mut margins: Vec<Margin> = limits.iter().map(margin).collect();
    let mut guard = KlGuard::new(KlGuardConfig { target_kl: 0.002, ..Default::default() }, &device).unwrap();
    let mut tracker = EpisodeTracker::new();
    let discounts = vec![GaeConfig { gamma: 0.95, gae_lambda: 0.95 }; 1 + limits.len()];
    let log_std = Tensor::<1>::full([2], (SIGMA as f32).ln(), &device);
    let mut gains = Tensor::<1>::from_floats([0.0, 0.0], &device);
    let (mut costs, mut rewards, mut all_gains) = (vec![vec![]; limits.len()], vec![], [vec![], vec![]]);
    let mut accepted = 0;

    for iteration in 0..400 {
        let rollout = systems.rollout(&gains, &log_std);
        tracker.record(&rollout.finished);
        let means = margins.iter_mut().zip(&rollout.mean_step_costs);
        let weights: Vec<_> = means.map(|(margin, mean)| margin.update(Some(HORIZON as f64 * mean))).collect();

        let now: Vec<f64> = values(gains.clone()).into_iter().map(f64::from).collect();
        let now = [now[0], now[1]];
        let gamma = discounts[0].gamma;
        let inputs = rollout.critic_inputs();
        let mut critics = vec![exact_value(&inputs, now, gamma, |_| (-1.0, 0.0))];
        critics.extend(constraints.iter().map(|systems| {
            exact_value(&inputs, now, gamma, |i| match systems.contains(&i) {
                true => (PRICE[i] * now[i] * now[i], PRICE[i] * SIGMA * SIGMA),
                false => (0.0, 0.0),
            })
        }));
        let critics = rollout.values(Tensor::stack(critics, 0));
        let gae = gae(&rollout.signals, &critics.value, &critics.next_value, &rollout.done, &discounts);
        let row = |s: usize| gae.advantage.clone().narrow(0, s, 1).reshape([1, rollout.samples()]);
        let scaled = |s: usize| if s == 0 { standardize(row(s)) } else { center(row(s)) };
        let advantage = Tensor::cat((0..discounts.len()).map(scaled).collect(), 0);

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
            let blend = blend(ProjectionKind::Fisher, &products, &products, &weights, None);
            let direction = blend.direction(&natural);
            let radius = guard.radius(&policy.mean_kl(&rollout.mean, &rollout.log_std));
            let length = (direction.clone().square() * fisher).sum().sqrt();
            // At the optimum the terms cancel: the cap on the step keeps what is left from being blown up.
            let eta = (radius.clone() / (length + 1e-12)).min_pair(radius * 2.0);
            let candidate = gains.clone() + direction * eta;
            let kl = Gaussian::new(forward(&candidate), log_std.clone()).mean_kl(&rollout.mean, &rollout.log_std);
            let decision = guard.accept_or_reject(&kl, all_finite(&candidate), blend.usable);
            gains = decision.select(candidate, gains);
        }
        let report = guard.report().unwrap();
        assert!(report.kl_max <= 0.002);
        accepted += report.accepted;
        if iteration >= 250 {
            let now = values(gains.clone());
            let now = [f64::from(now[0]), f64::from(now[1])];
            for (costs, systems) in costs.iter_mut().zip(constraints) {
                costs.push(systems.iter().map(|&i| own_cost(i, now[i])).sum::<f64>());
            }
            rewards.push(step_reward(now));
            all_gains.iter_mut().zip(now).for_each(|(all, now)| all.push(now));
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    Outcome {
        gains: [mean(&all_gains[0]), mean(&all_gains[1])],
        costs: costs.iter().map(|costs| mean(costs)).collect(),
        reward: mean(&rewards),
        accepted,
        episodes: tracker.statistics().unwrap(),
        partial: tracker.partial(),
    }
}

#[test]
fn the_cost_settles_at_the_limit_and_the_reward_at_its_optimum() {
    let limit = 0.45;
    let best = optimum(limit);
    assert!((step_cost(best) - limit).abs() < 1e-6);
    // Far from trivial: the unconstrained optimum costs a multiple of the limit, doing nothing earns far less.
    assert!(step_cost([A / B[0], A / B[1]]) > 2.0 * limit && step_reward([0.0; 2]) < 2.0 * step_reward(best));
    let Outcome { costs, reward, accepted, episodes, partial, .. } = train(ONE, &[limit]);
    let (cost, best_reward) = (costs[0], step_reward(best));
    println!("cost {cost:.4} of {limit}, reward {reward:.4} of {best_reward:.4}, accepted {accepted}");
    assert!((cost / limit - 1.0).abs() < 0.03, "cost {cost}, limit {limit}");
    assert!((reward / best_reward - 1.0).abs() < 0.03, "reward {reward}, optimum {best_reward}");
    assert!(accepted > 700, "accepted {accepted}");
    // Whole episodes were counted, and they tell the same story as the step mean.
    assert_eq!((episodes.episodes, episodes.length_mean), (100, HORIZON as f64));
    assert!(partial > 0);
    assert!((episodes.cost_mean[0] / (limit * HORIZON as f64) - 1.0).abs() < 0.1, "{:?}", episodes.cost_mean);
}

#[test]
fn two_costs_settle_at_their_limits_and_the_gains_at_their_optima() {
    let limits = [0.15, 0.3];
    let best = [own_optimum(0, limits[0]), own_optimum(1, limits[1])];
    // Both limits bind, and a gain above its optimum would break its own limit alone.
    for i in 0..2 {
        assert!((own_cost(i, best[i]) - limits[i]).abs() < 1e-6 && own_cost(i, A / B[i]) > 1.3 * limits[i]);
    }
    let Outcome { gains, costs, reward, accepted, episodes, .. } = train(TWO, &limits);
    let best_reward = step_reward(best);
    println!(
        "costs {costs:.4?} of {limits:?}, gains {gains:.4?} of {best:.4?}, reward {reward:.4} of {best_reward:.4}"
    );
    for i in 0..2 {
        assert!((costs[i] / limits[i] - 1.0).abs() < 0.05, "cost {i}: {}, limit {}", costs[i], limits[i]);
        assert!((gains[i] / best[i] - 1.0).abs() < 0.05, "gain {i}: {}, optimum {}", gains[i], best[i]);
        let episodic = episodes.cost_mean[i] / (limits[i] * HORIZON as f64);
        assert!((episodic - 1.0).abs() < 0.1, "episodes {i}: {episodic}");
    }
    assert!((reward / best_reward - 1.0).abs() < 0.03, "reward {reward}, optimum {best_reward}");
    assert!(accepted > 700, "accepted {accepted}");
}
