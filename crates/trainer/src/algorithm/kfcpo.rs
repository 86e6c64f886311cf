//! KFCPO: constrained policy optimisation with Kronecker-factored natural gradients.
//!
//! Per minibatch: forward -> backward {reward, cost, Fisher columns} -> factors -> inverse -> natural gradients n_r, n_c
//! -> projection -> blend -> trust region -> candidate -> KL -> accept | rollback. The margin is computed once a rollout.
//!
//! Lim and Yoo, "KFCPO: Kronecker-Factored Approximated Constrained Policy Optimization" (arXiv 2511.00880), for the
//! ideas: one K-FAC Fisher for separate natural gradients of reward and cost, the margin-aware blend, the
//! direction-sensitive projection and the minibatch KL rollback. Formulas and constants are this project's choice.

use super::{Algorithm, CostEstimate, Pending, Progress};
use crate::config::{FisherKind, KfcpoConfig, ProjectionKind as ConfiguredProjection, TrainConfig};
use crate::policy::Actor;
use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use compute::noise::{NoiseKey, Stream};
use kfac::{Factors, FisherSeeds, ForwardPass, InverseSet, Statistics, exact_seeds, score_seeds, trust_region};
use safe_rl::{
    Blend, Gaussian, KlGuard, KlGuardConfig, LOG_STD_FISHER, Margin, MarginConfig, MarginWeights, Products,
    ProjectionKind, Samples, all_finite_in, average_gradients, blend, clamp_log_std, minibatch_indices,
};

/// The algorithm's state between iterations.
pub struct Kfcpo {
    config: KfcpoConfig,
    seed: u64,
    factors: Factors,
    margin: Margin,
    guard: KlGuard,
    minibatches: u64,
    /// Moving average of the gradients of both objectives, `[2, P + A]`.
    average: Tensor<2>,
    /// Moving average of the episodic cost.
    cost: Option<f64>,
}

/// What every minibatch of one iteration shares.
struct Iteration<'a> {
    weights: MarginWeights,
    old_log_std: Tensor<1>,
    samples: &'a Samples,
    number: u64,
}

impl Kfcpo {
    /// The algorithm for an actor of this shape.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(config: &TrainConfig, actor: &Actor) -> Result<Self> {
        let kfcpo = config.kfcpo.clone();
        let device = actor.log_std.device();
        let margin = MarginConfig {
            cost_limit: config.cost_limit * kfcpo.limit_share,
            temperature: kfcpo.margin_temperature,
            projection_margin: kfcpo.margin_horizon,
            integral_rate: kfcpo.margin_integral,
            initial_offset: kfcpo.margin_start,
            ..MarginConfig::default()
        };
        let guard = KlGuardConfig {
            kl_limit: kfcpo.target_kl as f32,
            step_share: kfcpo.step_kl_share as f32,
            radius_fraction: kfcpo.radius_share as f32,
            max_rejections: kfcpo.max_rejects as u32,
            damping: kfcpo.damping as f32,
            ..KlGuardConfig::default()
        };
        Ok(Self {
            factors: Factors::new(actor.mean.spec(), kfcpo.ema_decay as f32, &device)?,
            margin: Margin::new(margin)?,
            guard: KlGuard::new(guard, &device)?,
            minibatches: 0,
            average: Tensor::zeros([2, actor.mean.spec().num_params() + actor.log_std.dims()[0]], &device),
            cost: None,
            seed: config.seed,
            config: kfcpo,
        })
    }

    /// One natural-gradient step on a minibatch, kept only if it stays within the trust region.
    fn step(
        &mut self,
        actor: &mut Actor,
        inverse: &mut Option<InverseSet>,
        batch: &Samples,
        at: &Iteration,
    ) -> Result<Blend> {
        let forward = actor.mean.forward_pass(batch.obs.clone());
        let policy = Gaussian::new(forward.outputs(), actor.log_std.clone());
        let surrogate = policy.surrogate(&batch.action, &batch.log_prob, &batch.advantage, None);
        let seeds = self.fisher_seeds(&policy, batch, at);
        let Statistics { gradients, factors: sample } = forward.statistics(surrogate.mean, seeds);
        let of_log_std = surrogate.log_std.clone().flatten(0, 1);
        let finite = all_finite_in([gradients.clone().flatten(0, 1), of_log_std, sample.flat().clone()]);

        let damping = self.config.damping as f32;
        let inverse = match inverse {
            Some(inverse) if !self.minibatches.is_multiple_of(self.config.inverse_interval as u64) => inverse,
            _ => {
                let mut factors = self.factors.clone();
                factors.update_if(finite.float(), &sample);
                inverse.insert(factors.inverse(damping)?)
            }
        };
        self.minibatches += 1;
        let new = [gradients, surrogate.log_std];
        let gradients = average_gradients(&self.average, new, self.config.gradient_decay as f32);
        // Kronecker blocks for the network, the exact block 2 I for log sigma.
        let natural = inverse.natural_gradients_beside(gradients.clone(), LOG_STD_FISHER + damping);

        let metric = Products::metric(&gradients, &natural);
        let (kind, products) = match self.config.projection {
            ConfiguredProjection::Fisher => (ProjectionKind::Metric, metric.clone()),
            ConfiguredProjection::Euclidean => (ProjectionKind::Euclidean, Products::euclidean(&natural)),
            ConfiguredProjection::None => (ProjectionKind::None, metric.clone()),
            ConfiguredProjection::Hard => (ProjectionKind::Hard, metric.clone()),
        };
        let blend = blend(kind, &metric, &products, &at.weights);
        let direction = blend.direction(&natural);

        let candidate = self.candidate(actor, &policy, &forward, direction, batch, at);
        let moved = candidate.distribution(batch.obs.clone());
        let kl = moved.mean_kl(&batch.mean, &at.old_log_std);
        let sound = all_finite_in([candidate.mean.theta().clone(), candidate.log_std.clone()]);
        let verdict = self.guard.judge(&kl, sound, finite.and(&blend.usable));
        self.factors.update_if(verdict.accept.float(), &sample);
        let shape = self.average.dims();
        let [average, theta, log_std] = verdict.select_three([
            (gradients.flatten(0, 1), self.average.clone().flatten(0, 1)),
            (candidate.mean.theta().clone(), actor.mean.theta().clone()),
            (candidate.log_std, actor.log_std.clone()),
        ]);
        self.average = average.reshape(shape);
        (actor.mean, actor.log_std) = (actor.mean.with_theta(theta), log_std);
        Ok(blend)
    }

    /// The longest step along `direction` `[P + A]` that the remaining trust radius allows.
    fn candidate(
        &self,
        actor: &Actor,
        policy: &Gaussian,
        forward: &ForwardPass,
        direction: Tensor<1>,
        batch: &Samples,
        at: &Iteration,
    ) -> Actor {
        let (params, actions) = (actor.mean.spec().num_params(), actor.log_std.dims()[0]);
        let moved = forward.jvp(direction.clone());
        // Where the two objectives nearly cancel, what is left of the direction is noise: it must not be blown up.
        let max_step = self.config.max_step as f32;
        #[cfg(feature = "gpu")]
        if let Some((theta, log_std)) = self.guard.launch_step(&safe_rl::Step {
            policy,
            theta: actor.mean.theta(),
            old_mean: &batch.mean,
            old_log_std: &at.old_log_std,
            direction: &direction,
            moved: &moved,
            max_step,
        }) {
            return Actor { mean: actor.mean.with_theta(theta), log_std };
        }
        let theta = direction.clone().narrow(0, 0, params);
        let log_std = direction.narrow(0, params, actions);
        let quadratic = trust_region::gaussian_quadratic(moved, policy.inverse_variance())
            + trust_region::log_std_quadratic(log_std.clone());
        let radius = self.guard.radius(&policy.mean_kl(&batch.mean, &at.old_log_std));
        let longest = radius.clone() * max_step;
        let length = trust_region::step_length(quadratic, radius, f32::MAX).min_pair(longest);
        Actor {
            mean: actor.mean.with_theta(actor.mean.theta().clone() + theta * length.clone()),
            log_std: clamp_log_std(&actor.log_std, log_std * length),
        }
    }

    fn fisher_seeds(&self, policy: &Gaussian, batch: &Samples, at: &Iteration) -> FisherSeeds {
        let scores =
            |actions: Tensor<2>| score_seeds(actions.unsqueeze_dim(0), policy.mean.clone(), policy.log_std.clone());
        match self.config.fisher {
            FisherKind::Exact => exact_seeds(policy.log_std.clone()),
            FisherKind::Empirical => scores(batch.action.clone()),
            FisherKind::Sampled => {
                // The count of minibatches begins anew with every iteration; the noise must not.
                let step = (at.number << 32) + self.minibatches;
                let key = NoiseKey { seed: self.seed, stream: Stream::KfcpoFisher, step };
                scores(policy.sample(key))
            }
        }
    }

    /// After an epoch: a policy too far from the old one over the whole batch goes back to `before`.
    fn end_epoch(&mut self, actor: &mut Actor, before: &Actor, at: &Iteration) -> Tensor<1> {
        let kl = actor.distribution(at.samples.obs.clone()).mean_kl(&at.samples.mean, &at.old_log_std);
        let verdict = self.guard.judge_epoch(&kl);
        actor.mean = actor.mean.with_theta(verdict.select(actor.mean.theta().clone(), before.mean.theta().clone()));
        actor.log_std = verdict.select(actor.log_std.clone(), before.log_std.clone());
        kl
    }
}

impl Algorithm for Kfcpo {
    fn update(&mut self, actor: &mut Actor, samples: &Samples, cost: CostEstimate, at: Progress) -> Result<Pending> {
        let decay = self.config.cost_decay;
        let average = self.cost.map_or(cost.rollout, |old| decay * old + (1.0 - decay) * cost.rollout);
        if average.is_finite() {
            self.cost = Some(average);
        }
        let weights = self.margin.update(self.cost);
        let share = 1.0 - (1.0 - self.config.final_kl_share) * at.fraction;
        self.guard.set_kl_limit((self.config.target_kl * share) as f32);
        self.guard.begin_rollout();
        let at = Iteration { weights, old_log_std: actor.log_std.clone(), samples, number: at.iteration };
        let device = samples.obs.device();
        // Inverted anew every rollout, so that a resumed run needs the factors alone.
        self.minibatches = 0;
        let (mut inverse, mut last, mut kl) = (None, None, Tensor::zeros([1], &device));
        for epoch in 0..self.config.epochs {
            let before = actor.clone();
            let step = at.number * self.config.epochs as u64 + epoch as u64;
            let key = NoiseKey { seed: self.seed, stream: Stream::KfcpoOrder, step };
            for index in minibatch_indices(samples.len(), self.config.minibatch_size, key, &device) {
                last = Some(self.step(actor, &mut inverse, &samples.select(&index), &at)?);
            }
            kl = self.end_epoch(actor, &before, &at);
        }
        Ok(self.metrics(actor, &at, kl, last, inverse))
    }

    fn save(&self, state: &mut State) -> Result<()> {
        for (name, factor) in self.factors.to_tensors() {
            state.put_tensor(&format!("kfcpo.factors.{name}"), &factor)?;
        }
        state.put_tensor("kfcpo.average", &self.average)?;
        state.put_f64("kfcpo.cost", self.cost.unwrap_or(f64::NAN))?;
        state.put_part("kfcpo.margin", self.margin.state()?)?;
        Ok(state.put_part("kfcpo.guard", self.guard.state()?)?)
    }

    fn load(&mut self, state: &State, actor: &Actor) -> Result<()> {
        let (device, saved) = (actor.log_std.device(), state.part("kfcpo.factors")?);
        let names = saved.tensors.keys();
        let matrices =
            names.map(|name| Ok((name.clone(), saved.matrix(name, &device)?))).collect::<Result<Vec<_>>>()?;
        self.factors = Factors::from_tensors(actor.mean.spec(), self.config.ema_decay as f32, &matrices)?;
        self.average = state.tensor("kfcpo.average", self.average.dims(), &device)?;
        self.cost = Some(state.get_f64("kfcpo.cost")?).filter(|cost| cost.is_finite());
        self.margin.load_state(&state.part("kfcpo.margin")?)?;
        self.guard.load_state(&state.part("kfcpo.guard")?)?;
        Ok(())
    }
}

impl Kfcpo {
    /// The iteration's numbers.
    fn metrics(
        &self,
        actor: &Actor,
        at: &Iteration,
        kl: Tensor<1>,
        last: Option<Blend>,
        inverse: Option<InverseSet>,
    ) -> Pending {
        let mut parts = vec![self.guard.counters(), kl, actor.log_std.clone().mean()];
        let (stepped, inverted) = (last.is_some(), inverse.is_some());
        parts.extend(last.map(|blend| blend.summary()));
        parts.extend(inverse.map(|inverse| inverse.fallbacks()));
        let weights = at.weights;
        Pending::new(parts, move |values| {
            let guard = KlGuard::report_of(values[0]);
            let mut metrics = vec![
                ("Train/KL", f64::from(values[1][0])),
                ("Train/LogStd", f64::from(values[2][0])),
                ("KFCPO/Accepted", guard.accepted as f64),
                ("KFCPO/Rollbacks", (guard.rejected + guard.restored) as f64),
                ("KFCPO/Skipped", (guard.skipped + guard.ignored) as f64),
                ("KFCPO/StepKL", guard.step_limit),
                ("KFCPO/Margin", weights.margin),
                ("KFCPO/MarginOffset", weights.offset),
                ("KFCPO/SafetyWeight", weights.safety_weight),
                ("KFCPO/ProjectionStrength", weights.projection_strength),
            ];
            if stepped {
                let names = ["KFCPO/Alpha", "KFCPO/Beta", "KFCPO/Q", "KFCPO/S", "KFCPO/Kappa"];
                metrics.extend(names.into_iter().zip(values[3].iter().map(|&value| f64::from(value))));
            }
            if inverted {
                metrics.push(("KFCPO/InverseFallbacks", f64::from(values[3 + usize::from(stepped)][0])));
            }
            metrics
        })
    }
}
