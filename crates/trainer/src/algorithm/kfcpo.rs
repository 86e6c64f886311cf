//! KFCPO: constrained policy optimisation with Kronecker-factored natural gradients.
//!
//! Per minibatch: forward -> backward {reward, cost, Fisher columns} -> factors -> inverse -> natural gradients n_r, n_c
//! -> projection -> blend -> trust region -> candidate -> KL -> accept | rollback. The margin is computed once a rollout.
//!
//! Lim and Yoo, "KFCPO: Kronecker-Factored Approximated Constrained Policy Optimization" (arXiv 2511.00880), for the
//! ideas: one K-FAC Fisher for separate natural gradients of reward and cost, the margin-aware blend, the
//! direction-sensitive projection and the minibatch KL rollback. Formulas and constants are this project's choice.

mod policy_average;
mod report;
mod settings;

pub use settings::{Curvature, KfcpoConfig, Steering};

use super::{Algorithm, AlgorithmInfo, Context, CostEstimate, Setup, Update};
use crate::comm::Comm;
use crate::config::{Actions, SectionInfo};
use crate::policy::{Policy, PolicyPass};
use anyhow::{Context as _, Result, ensure};
use burn::tensor::{Device, Tensor};
use compute::State;
use compute::noise::{NoiseKey, Stream};
use kfac::{FactorSample, Factors, FisherKind, FisherSeeds, InitialWeights, InverseSet, exact_seeds, score_seeds};
use policy_average::PolicyAverage;
use safe_rl::{
    Blend, Cost, CostAverage, Decision, Flag, KlGuard, Margin, MarginWeights, Multiplier, Normalizer, PidMultiplier,
    PidMultiplierConfig, PriceBound, Prices, Products, ProjectionKind, Samples, TrustRegionStep, all_finite,
    all_finite_in, blend, running_average, trust_region_step, trust_region_step_by,
};

/// KFCPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "kfcpo",
    summary: "K-FAC natural gradients of reward and cost, margin-aware blend, projection, minibatch KL rollback",
    sections: &[SectionInfo::of::<KfcpoConfig>(), SectionInfo::of::<PidMultiplierConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(Kfcpo::new(setup)?)),
};

/// The algorithm's state between iterations.
pub struct Kfcpo {
    config: KfcpoConfig,
    seed: u64,
    device: Device,
    factors: Factors,
    /// What is known of each constraint.
    constraints: Vec<Watch>,
    price: PriceBound,
    initial_log_std: f64,
    guard: KlGuard,
    minibatches: u64,
    /// Moving average of the objectives' gradients, `[S, P + A]`.
    average: Tensor<2>,
    deployed: PolicyAverage,
}

/// The margin of a constraint and what it is computed from.
struct Watch {
    margin: Margin,
    /// What weighs safety in the margin's place, if anything does.
    multiplier: Option<PidMultiplier>,
    /// The episodic cost, averaged as long as its noise warrants.
    cost: CostAverage,
}

/// What every minibatch of one iteration shares.
struct Iteration<'a> {
    /// One per constraint.
    weights: Vec<MarginWeights>,
    /// The highest price of a cost in reward per cost, where prices are bounded.
    highest_price: Option<f64>,
    /// The highest prices of the costs `[C]`, in units of the scaled advantages, where they are bounded.
    bounds: Option<Tensor<1>>,
    old_log_std: Tensor<1>,
    samples: &'a Samples,
    number: u64,
    comm: &'a dyn Comm,
}

impl Kfcpo {
    /// The algorithm for a policy of this shape.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(setup: &Setup) -> Result<Self> {
        let config: KfcpoConfig = setup.config.section();
        let device = setup.policy.device();
        ensure!(!setup.constraints.is_empty(), "kfcpo steers by a cost: the environment has no constraint");
        let watch = |limit: f64| {
            let multiplier = match config.steering {
                Steering::Margin => None,
                Steering::Pid => Some(PidMultiplier::new(limit, setup.config.section::<PidMultiplierConfig>())?),
            };
            Ok(Watch {
                margin: Margin::new(limit, config.margin)?,
                multiplier,
                cost: CostAverage::new(limit, config.cost_decay),
            })
        };
        let limits: Vec<f64> =
            setup.constraints.iter().map(|constraint| constraint.limit * config.limit_share).collect();
        let constraints = limits.iter().map(|limit| watch(*limit));
        // Where samples are deployed, the rollouts are their measurement: they are of the iterates.
        let averaged = match setup.config.deployed.actions {
            Actions::Mean => config.policy_average,
            Actions::Sampled => 0.0,
        };
        Ok(Self {
            price: PriceBound::new(&limits, config.price)?,
            initial_log_std: setup.config.policy.initial_log_std,
            factors: Factors::new(setup.policy.spec(), config.ema_decay as f32, &device)?,
            constraints: constraints.collect::<Result<_>>()?,
            guard: KlGuard::new(config.guard, &device)?,
            minibatches: 0,
            average: Tensor::zeros([1 + setup.constraints.len(), setup.policy.num_params()], &device),
            deployed: PolicyAverage::new(averaged, setup.policy.num_params(), &device),
            seed: setup.config.seed,
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
        let comm = iteration.comm;
        let pass = policy.pass(batch.obs.clone());
        let surrogate = pass.distribution.surrogate(&batch.action, &batch.log_prob, &batch.advantage, None);
        let (gradients, sample) = match self.config.curvature {
            Curvature::Kfac => {
                let (gradients, sample) = pass.statistics(surrogate, self.fisher_seeds(&pass, batch, iteration));
                let shape = gradients.dims();
                let [gradients, factors] = comm.means([gradients.flatten(0, 1), sample.flat().clone()])?;
                (gradients.reshape(shape), Some(sample.with_flat(factors)))
            }
            Curvature::Cg => (comm.mean(pass.gradients(surrogate))?, None),
        };
        let flat = gradients.clone().flatten(0, 1);
        let finite = match &sample {
            Some(sample) => all_finite_in([flat, sample.flat().clone()]),
            None => all_finite(&flat),
        };

        // A minibatch's cost gradient is mostly noise: averaged over some of them it is a direction.
        let decay = self.config.gradient_decay as f32;
        let gradients = running_average(&self.average, &gradients, decay);
        let natural = match &sample {
            Some(sample) => self.inverse(inverse, &finite, sample)?.natural_gradients(gradients.clone()),
            None => self.conjugate(&pass, &gradients, comm)?,
        };
        self.minibatches += 1;

        let metric = Products::metric(&gradients, &natural);
        let projection = match self.config.projection {
            ProjectionKind::Euclidean => Products::euclidean(&natural),
            ProjectionKind::Fisher | ProjectionKind::None | ProjectionKind::Hard => metric.clone(),
        };
        let blend = blend(self.config.projection, &metric, &projection, &iteration.weights, iteration.bounds.as_ref());
        let direction = blend.direction(&natural);

        let candidate = self.candidate(policy, &pass, direction, batch, iteration)?;
        let kl = candidate.distribution(batch.obs.clone()).mean_kl(&batch.mean, &iteration.old_log_std);
        let kl = self.judged(comm.mean(kl)?);
        let decision = self.guard.accept_or_reject(&kl, all_finite(candidate.params()), finite.and(&blend.usable));
        if let Some(sample) = &sample {
            self.factors.update_if(decision.accept.number(), sample);
        }
        let (shape, average) = (gradients.dims(), self.average.clone().flatten(0, 1));
        let of_params = (candidate.params().clone(), policy.params().clone());
        let [average, params] = decision.select_all([(gradients.flatten(0, 1), average), of_params]);
        self.average = average.reshape(shape);
        *policy = policy.with_params(params);
        Ok(blend)
    }

    /// The inverse of the Kronecker factors: the last one, or where it is time a new one that this minibatch counts in too.
    fn inverse<'a>(
        &self,
        inverse: &'a mut Option<InverseSet>,
        finite: &Flag,
        sample: &FactorSample,
    ) -> Result<&'a InverseSet> {
        if inverse.is_none() || self.minibatches.is_multiple_of(self.config.inverse_interval as u64) {
            let mut factors = self.factors.clone();
            factors.update_if(finite.number(), sample);
            *inverse = Some(factors.inverse(self.config.damping as f32)?);
        }
        inverse.as_ref().context("an inverse was just made")
    }

    /// The natural gradients `[S, P + A]` of `gradients` by the minibatch's own Fisher matrix.
    fn conjugate(&self, pass: &PolicyPass, gradients: &Tensor<2>, comm: &dyn Comm) -> Result<Tensor<2>> {
        let damping = self.config.damping as f32;
        let product = |v: Tensor<1>| pass.fisher_product(&v) + v * damping;
        let natural = |row: Tensor<2>| comm.solve(product, &row.flatten(0, 1), self.config.cg_iterations);
        Ok(Tensor::stack(gradients.clone().iter_dim(0).map(natural).collect::<Result<_>>()?, 0))
    }

    /// The KL divergence that a step is judged by: without a rollback, none is too large.
    fn judged(&self, kl: Tensor<1>) -> Tensor<1> {
        if self.config.rollback { kl } else { kl.zeros_like() }
    }

    /// The longest step along `direction` `[P + A]` that the remaining trust radius allows.
    fn candidate(
        &self,
        policy: &Policy,
        pass: &PolicyPass,
        direction: Tensor<1>,
        batch: &Samples,
        iteration: &Iteration,
    ) -> Result<Policy> {
        let comm = iteration.comm;
        let step = TrustRegionStep {
            policy: &pass.distribution,
            params: policy.params(),
            old_mean: &batch.mean,
            old_log_std: &iteration.old_log_std,
            direction: &direction,
            moved: &pass.jvp(direction.clone()),
            max_step: self.config.max_step,
        };
        // Where there are no others a GPU takes the step in one launch.
        let params = match comm.size() {
            1 => trust_region_step(&self.guard, &step),
            _ => trust_region_step_by(&self.guard, &step, |means| comm.mean(means))?,
        };
        Ok(policy.with_params(params))
    }

    fn fisher_seeds(&self, pass: &PolicyPass, batch: &Samples, iteration: &Iteration) -> FisherSeeds {
        let policy = &pass.distribution;
        let scores =
            |actions: Tensor<2>| score_seeds(actions.unsqueeze_dim(0), policy.mean.clone(), policy.log_std.clone());
        match self.config.fisher {
            FisherKind::Exact => exact_seeds(policy.log_std.clone()),
            FisherKind::Empirical => scores(batch.action.clone()),
            FisherKind::Sampled => {
                // The count of minibatches begins anew with every iteration; the noise must not.
                let step = (iteration.number << 32) + self.minibatches;
                let seed = iteration.comm.own_seed(self.seed);
                let key = NoiseKey { seed, stream: Stream::KfcpoFisher, step };
                scores(policy.sample(key))
            }
        }
    }

    /// After an epoch: a policy too far from the old one over the whole batch goes back to `before`.
    fn end_epoch(&mut self, policy: &mut Policy, before: &Policy, iteration: &Iteration) -> Result<Tensor<1>> {
        let Iteration { samples, old_log_std, .. } = iteration;
        let kl = policy.distribution(samples.obs.clone()).mean_kl(&samples.mean, old_log_std);
        let kl = iteration.comm.mean(kl)?;
        let decision = self.guard.accept_or_restore(&self.judged(kl.clone()));
        *policy = policy.with_params(decision.select(policy.params().clone(), before.params().clone()));
        Ok(kl)
    }

    /// Takes in the costs of the last rollout; returns how to weigh reward and safety, per constraint.
    fn steer(&mut self, costs: &[CostEstimate]) -> Vec<MarginWeights> {
        let lead = self.config.cost_lead;
        let steer = |(watch, cost): (&mut Watch, &CostEstimate)| {
            let before = watch.cost.get();
            watch.cost.update(cost.rollout);
            let cost = watch.cost.ahead(before, lead);
            let weights = watch.margin.update(cost);
            match &mut watch.multiplier {
                Some(multiplier) => {
                    let price = multiplier.update(cost);
                    MarginWeights { safety_weight: price / (1.0 + price), ..weights }
                }
                None => weights,
            }
        };
        self.constraints.iter_mut().zip(costs).map(steer).collect()
    }

    /// The highest prices of the costs that what the policy earns warrants, where they are bounded.
    fn prices(&mut self, context: &Context) -> Option<Prices> {
        let known = |Watch { cost, .. }: &Watch| Cost { cost: cost.get().unwrap_or(f64::NAN), noise: cost.noise() };
        let costs: Vec<Cost> = self.constraints.iter().map(known).collect();
        self.price.update(context.earned.rollout, &costs, context.progress.fraction)
    }
}

impl Algorithm for Kfcpo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let mut weights = self.steer(context.costs);
        let prices = self.prices(context);
        if prices.is_some() && self.price.steers() && self.config.steering == Steering::Margin {
            // What the margin says of a cost that is mostly noise is noise: its price decides.
            for (weights, watch) in weights.iter_mut().zip(&self.constraints) {
                *weights = weights.yielding(watch.cost.noise());
            }
        }
        let highest_price = prices.as_ref().map(Prices::highest);
        let bounds = prices.map(|prices| prices.scaled(&context.earned.advantage_scale));
        let progress = context.progress;
        let share = 1.0 - (1.0 - self.config.final_kl_share) * progress.fraction;
        self.guard.set_target_kl(self.config.guard.target_kl * share);
        self.guard.begin_rollout();
        let old_log_std = policy.log_std().clone();
        let (number, comm) = (progress.iteration, context.comm);
        let iteration = Iteration { weights, highest_price, bounds, old_log_std, samples: batch, number, comm };
        // Inverted afresh in every iteration, so that a resumed run needs the factors alone.
        self.minibatches = 0;
        let (mut inverse, mut last, mut kl) = (None, None, Tensor::zeros([1], &self.device));
        for epoch in 0..self.config.epochs {
            let before = policy.clone();
            let step = progress.iteration * self.config.epochs as u64 + epoch as u64;
            let key = NoiseKey { seed: self.seed, stream: Stream::KfcpoOrder, step };
            for index in context.minibatches(batch.len(), self.config.minibatch_size, key, &self.device) {
                last = Some(self.step(policy, &mut inverse, &batch.select(&index), &iteration)?);
            }
            kl = self.end_epoch(policy, &before, &iteration)?;
        }
        if let Some([low, high]) = self.config.log_std_bounds(self.initial_log_std, progress.fraction) {
            *policy = policy.bounded_within(low, high);
        }
        self.deployed.update(policy.params());
        Ok(self.report(policy, &iteration, kl, last, inverse))
    }

    fn deployed(&self) -> Option<Tensor<1>> {
        self.deployed.get()
    }

    fn normalizer_changed(&mut self, policy: &Policy, former: &Normalizer, now: &Normalizer) {
        self.deployed.map(|mean| {
            let moved = policy.with_params(mean.clone()).renormalized(former, now).params().clone();
            // Statistics of observations that are no numbers end the run, and must not take its policy with them.
            Decision::new(all_finite(&moved)).select(moved, mean)
        });
    }

    fn gae_lambdas(&self) -> [Option<f64>; 2] {
        [self.config.gae_lambda, self.config.cost_gae_lambda]
    }

    fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put_part("price", self.price.state()?)?;
        state.put_part("factors", self.factors.state()?)?;
        state.put_tensor("average", &self.average)?;
        state.put_part("deployed", self.deployed.state()?)?;
        for (k, Watch { margin, multiplier, cost }) in self.constraints.iter().enumerate() {
            state.put_part(&format!("cost.{k}"), cost.state()?)?;
            state.put_part(&format!("margin.{k}"), margin.state()?)?;
            if let Some(multiplier) = multiplier {
                state.put_part(&format!("multiplier.{k}"), multiplier.state()?)?;
            }
        }
        state.put_part("guard", self.guard.state()?)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.price.load_state(&state.part("price")?)?;
        self.factors.load_state(&state.part("factors")?)?;
        self.average = state.tensor("average", self.average.dims(), &self.device)?;
        self.deployed.load_state(&state.part("deployed")?)?;
        for (k, Watch { margin, multiplier, cost }) in self.constraints.iter_mut().enumerate() {
            cost.load_state(&state.part(&format!("cost.{k}"))?)?;
            margin.load_state(&state.part(&format!("margin.{k}"))?)?;
            if let Some(multiplier) = multiplier {
                multiplier.load_state(&state.part(&format!("multiplier.{k}"))?)?;
            }
        }
        self.guard.load_state(&state.part("guard")?)?;
        Ok(())
    }

    /// The policy's factors: they are averages over many minibatches. Margins and costs are of the other run.
    fn start_from(&mut self, state: &State) -> Result<bool> {
        self.factors.load_state(&state.part("factors")?)?;
        Ok(true)
    }
}
