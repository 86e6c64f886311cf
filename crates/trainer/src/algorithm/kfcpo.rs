//! KFCPO: constrained policy optimisation with Kronecker-factored natural gradients.
//!
//! Per minibatch: forward -> backward {reward, cost, Fisher columns} -> factors -> inverse -> natural gradients n_r, n_c
//! -> projection -> blend -> trust region -> candidate -> KL -> accept | rollback. The margin is computed once a rollout.
//!
//! Lim and Yoo, "KFCPO: Kronecker-Factored Approximated Constrained Policy Optimization" (arXiv 2511.00880), for the
//! ideas: one K-FAC Fisher for separate natural gradients of reward and cost, the margin-aware blend, the
//! direction-sensitive projection and the minibatch KL rollback. Formulas and constants are this project's choice.

mod settings;

pub use settings::{FisherKind, KfcpoConfig, ProjectionKind};

use super::{Algorithm, AlgorithmInfo, Context, Number, Setup, Update};
use crate::config::SectionInfo;
use crate::policy::{Policy, PolicyPass};
use anyhow::Result;
use burn::tensor::{Device, Tensor};
use compute::State;
use compute::noise::{NoiseKey, Stream};
use kfac::{Factors, FisherSeeds, InverseSet, MlpSpec, exact_seeds, score_seeds, trust_region};
use safe_rl::{
    Blend, Gaussian, KlGuard, KlGuardConfig, Margin, MarginConfig, MarginWeights, Products, ProjectionKind as Metric,
    Samples, all_finite_in, blend, minibatch_indices,
};
use std::sync::Arc;

/// KFCPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "kfcpo",
    summary: "K-FAC natural gradients of reward and cost, margin-aware blend, projection, minibatch KL rollback",
    sections: &[SectionInfo::of::<KfcpoConfig>()],
    build: |setup| Ok(Box::new(Kfcpo::new(setup)?)),
};

/// The algorithm's state between iterations.
pub struct Kfcpo {
    config: KfcpoConfig,
    seed: u64,
    spec: MlpSpec,
    device: Device,
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
    /// The algorithm for a policy of this shape.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(setup: &Setup) -> Result<Self> {
        let config: KfcpoConfig = setup.config.section();
        let (spec, device) = (setup.policy.spec().clone(), setup.policy.device());
        let limit = setup.constraints.first().map_or(f64::INFINITY, |constraint| constraint.limit);
        let margin = MarginConfig {
            cost_limit: limit * config.limit_share,
            temperature: config.margin_temperature,
            projection_margin: config.margin_horizon,
            integral_rate: config.margin_integral,
            initial_offset: config.margin_start,
            ..MarginConfig::default()
        };
        let guard = KlGuardConfig {
            kl_limit: config.target_kl as f32,
            step_share: config.step_kl_share as f32,
            radius_fraction: config.radius_share as f32,
            max_rejections: config.max_rejects as u32,
            damping: config.damping as f32,
            ..KlGuardConfig::default()
        };
        Ok(Self {
            factors: Factors::new(&spec, config.ema_decay as f32, &device)?,
            margin: Margin::new(margin)?,
            guard: KlGuard::new(guard, &device)?,
            minibatches: 0,
            average: Tensor::zeros([2, setup.policy.num_params()], &device),
            cost: None,
            seed: setup.config.seed,
            spec,
            device,
            config,
        })
    }

    /// One natural-gradient step on a minibatch, kept only if it stays within the trust region.
    fn step(
        &mut self,
        policy: &mut Policy,
        inverse: &mut Option<InverseSet>,
        batch: &Samples,
        iteration: &Iteration,
    ) -> Result<Blend> {
        let pass = policy.pass(batch.obs.clone());
        let surrogate = pass.distribution.surrogate(&batch.action, &batch.log_prob, &batch.advantage, None);
        let seeds = self.fisher_seeds(&pass.distribution, batch, iteration);
        let (gradients, sample) = pass.statistics(surrogate, seeds);
        let finite = all_finite_in([gradients.clone().flatten(0, 1), sample.flat().clone()]);

        let inverse = match inverse {
            Some(inverse) if !self.minibatches.is_multiple_of(self.config.inverse_interval as u64) => inverse,
            _ => {
                let mut factors = self.factors.clone();
                factors.update_if(finite.float(), &sample);
                inverse.insert(factors.inverse(self.config.damping as f32)?)
            }
        };
        self.minibatches += 1;
        // A minibatch's cost gradient is mostly noise: averaged over some of them it is a direction.
        let decay = self.config.gradient_decay as f32;
        let gradients = self.average.clone() * decay + gradients * (1.0 - decay);
        // Kronecker blocks for the network, the exact block 2 I for log sigma.
        let natural = inverse.natural_gradients(gradients.clone());

        let metric = Products::metric(&gradients, &natural);
        let (kind, products) = match self.config.projection {
            ProjectionKind::Fisher => (Metric::Metric, metric.clone()),
            ProjectionKind::Euclidean => (Metric::Euclidean, Products::euclidean(&natural)),
            ProjectionKind::None => (Metric::None, metric.clone()),
            ProjectionKind::Hard => (Metric::Hard, metric.clone()),
        };
        let blend = blend(kind, &metric, &products, &iteration.weights);
        let direction = blend.direction(&natural);

        let candidate = self.candidate(policy, &pass, direction, batch, iteration);
        let kl = candidate.distribution(batch.obs.clone()).mean_kl(&batch.mean, &iteration.old_log_std);
        let decision = self.guard.judge(&kl, all_finite_in([candidate.params().clone()]), finite.and(&blend.usable));
        self.factors.update_if(decision.accept.float(), &sample);
        self.average = decision.select(gradients, self.average.clone());
        *policy = policy.with_params(decision.select(candidate.params().clone(), policy.params().clone()));
        Ok(blend)
    }

    /// The longest step along `direction` `[P + A]` that the remaining trust radius allows.
    fn candidate(
        &self,
        policy: &Policy,
        pass: &PolicyPass,
        direction: Tensor<1>,
        batch: &Samples,
        iteration: &Iteration,
    ) -> Policy {
        let moved = pass.jvp(direction.clone());
        // Where the two objectives nearly cancel, what is left of the direction is noise: it must not be blown up.
        let max_step = self.config.max_step as f32;
        #[cfg(feature = "gpu")]
        if let Some((theta, log_std)) = self.guard.launch_step(&safe_rl::Step {
            policy: &pass.distribution,
            theta: policy.network().theta(),
            old_mean: &batch.mean,
            old_log_std: &iteration.old_log_std,
            direction: &direction,
            moved: &moved,
            max_step,
        }) {
            return policy.with_params(Tensor::cat(vec![theta, log_std], 0));
        }
        let log_std = direction.clone().narrow(0, self.spec.num_params(), policy.action_dim());
        let quadratic = trust_region::gaussian_quadratic(moved, pass.distribution.inverse_variance())
            + trust_region::log_std_quadratic(log_std);
        let radius = self.guard.radius(&pass.distribution.mean_kl(&batch.mean, &iteration.old_log_std));
        let longest = radius.clone() * max_step;
        let length = trust_region::step_length(quadratic, radius, f32::MAX).min_pair(longest);
        policy.step(&direction, &length)
    }

    fn fisher_seeds(&self, policy: &Gaussian, batch: &Samples, iteration: &Iteration) -> FisherSeeds {
        let scores =
            |actions: Tensor<2>| score_seeds(actions.unsqueeze_dim(0), policy.mean.clone(), policy.log_std.clone());
        match self.config.fisher {
            FisherKind::Exact => exact_seeds(policy.log_std.clone()),
            FisherKind::Empirical => scores(batch.action.clone()),
            FisherKind::Sampled => {
                // The count of minibatches begins anew with every iteration; the noise must not.
                let step = (iteration.number << 32) + self.minibatches;
                let key = NoiseKey { seed: self.seed, stream: Stream::KfcpoFisher, step };
                scores(policy.sample(key))
            }
        }
    }

    /// After an epoch: a policy too far from the old one over the whole batch goes back to `before`.
    fn end_epoch(&mut self, policy: &mut Policy, before: &Policy, iteration: &Iteration) -> Tensor<1> {
        let Iteration { samples, old_log_std, .. } = iteration;
        let kl = policy.distribution(samples.obs.clone()).mean_kl(&samples.mean, old_log_std);
        let decision = self.guard.judge_epoch(&kl);
        *policy = policy.with_params(decision.select(policy.params().clone(), before.params().clone()));
        kl
    }

    /// Takes in the cost of the last rollout; returns how to weigh reward and safety.
    fn steer(&mut self, cost: f64) -> MarginWeights {
        let decay = self.config.cost_decay;
        let average = self.cost.map_or(cost, |old| decay * old + (1.0 - decay) * cost);
        if average.is_finite() {
            self.cost = Some(average);
        }
        self.margin.update(self.cost)
    }

    /// What the iteration came to.
    fn report(
        &self,
        policy: &Policy,
        weights: MarginWeights,
        kl: Tensor<1>,
        last: Option<Blend>,
        inverse: Option<InverseSet>,
    ) -> Update {
        let guard = Arc::new(self.guard.counters());
        let counted = |of: fn(&[f32]) -> f64| Number::of(&guard, of);
        let kl = Number::from(kl);
        let accepted = counted(|values| KlGuard::report_of(values).accepted as f64);
        let rejected = counted(|values| {
            let report = KlGuard::report_of(values);
            (report.rejected + report.restored) as f64
        });
        let skipped = counted(|values| {
            let report = KlGuard::report_of(values);
            (report.skipped + report.ignored) as f64
        });
        let mut update = Update {
            kl: Some(kl.clone()),
            accepted: Some(accepted.clone()),
            rejected: Some(rejected.clone()),
            skipped: Some(skipped.clone()),
            numbers: Vec::new(),
        };
        update.push("Train/KL", kl);
        update.push("Train/LogStd", policy.log_std().clone().mean());
        update.push("KFCPO/Accepted", accepted);
        update.push("KFCPO/Rollbacks", rejected);
        update.push("KFCPO/Skipped", skipped);
        update.push("KFCPO/StepKL", counted(|values| KlGuard::report_of(values).step_limit));
        update.push("KFCPO/Margin", weights.margin);
        update.push("KFCPO/MarginOffset", weights.offset);
        update.push("KFCPO/SafetyWeight", weights.safety_weight);
        update.push("KFCPO/ProjectionStrength", weights.projection_strength);
        if let Some(blend) = last {
            let summary = Arc::new(blend.summary());
            update.push("KFCPO/Alpha", Number::of(&summary, |values| f64::from(values[0])));
            update.push("KFCPO/Beta", Number::of(&summary, |values| f64::from(values[1])));
            update.push("KFCPO/Q", Number::of(&summary, |values| f64::from(values[2])));
            update.push("KFCPO/S", Number::of(&summary, |values| f64::from(values[3])));
            update.push("KFCPO/Kappa", Number::of(&summary, |values| f64::from(values[4])));
        }
        if let Some(inverse) = inverse {
            update.push("KFCPO/InverseFallbacks", inverse.fallbacks());
        }
        update
    }
}

impl Algorithm for Kfcpo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let weights = self.steer(context.costs.first().map_or(f64::NAN, |cost| cost.rollout));
        let progress = context.progress;
        let share = 1.0 - (1.0 - self.config.final_kl_share) * progress.fraction;
        self.guard.set_kl_limit((self.config.target_kl * share) as f32);
        self.guard.begin_rollout();
        let old_log_std = policy.log_std().clone();
        let iteration = Iteration { weights, old_log_std, samples: batch, number: progress.iteration };
        // Inverted afresh in every iteration, so that a resumed run needs the factors alone.
        self.minibatches = 0;
        let (mut inverse, mut last, mut kl) = (None, None, Tensor::zeros([1], &self.device));
        for epoch in 0..self.config.epochs {
            let before = policy.clone();
            let step = progress.iteration * self.config.epochs as u64 + epoch as u64;
            let key = NoiseKey { seed: self.seed, stream: Stream::KfcpoOrder, step };
            for index in minibatch_indices(batch.len(), self.config.minibatch_size, key, &self.device) {
                last = Some(self.step(policy, &mut inverse, &batch.select(&index), &iteration)?);
            }
            kl = self.end_epoch(policy, &before, &iteration);
        }
        Ok(self.report(policy, weights, kl, last, inverse))
    }

    fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put_part("factors", self.factors.state()?)?;
        state.put_tensor("average", &self.average)?;
        state.put_f64("cost", self.cost.unwrap_or(f64::NAN))?;
        state.put_part("margin", self.margin.state()?)?;
        state.put_part("guard", self.guard.state()?)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.factors.load_state(&state.part("factors")?)?;
        self.average = state.tensor("average", self.average.dims(), &self.device)?;
        self.cost = Some(state.get_f64("cost")?).filter(|cost| cost.is_finite());
        self.margin.load_state(&state.part("margin")?)?;
        self.guard.load_state(&state.part("guard")?)?;
        Ok(())
    }
}
