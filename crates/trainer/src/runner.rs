//! The training loop: rollout, values, advantages, the policy's update, the critics' update.

mod build;
mod collect;
mod kinds;
#[cfg(test)]
mod not_finite_tests;
mod phase;
pub(crate) mod pooled;
mod report;
mod shapes;
mod state;

pub use collect::rollout_step;
use kinds::Kinds;
pub use phase::{Phase, PhaseObserver};
pub use report::{IterationReport, Totals};

use crate::algorithm::{Algorithm, Context, CostEstimate, Progress, ReturnEstimate, UpdateReport};
use crate::checkpoint::Checkpoint;
use crate::comm::Comm;
use crate::config::{Actions, Constraint, TrainConfig};
use crate::critics::Critics;
use crate::deployed::{Deployed, DeployedReport, earned, steering};
use crate::figures::{FigureTracker, Figures};
use crate::policy::Policy;
use crate::policy::exported::{PolicySnapshot, upload};
use crate::policy::rollout::RolloutKernel;
use crate::policy::source::{PolicySource, Shape, Taken, ensure_fits};
use crate::schedule::Schedule;
use anyhow::{Context as _, Result, ensure};
use burn::tensor::Tensor;
use compute::GraphUse;
use envs::VecEnv;
use safe_rl::{GaeConfig, Normalizer, Rollout, Samples, center_by, explained_variance, gae, standardize_by};
use std::time::Instant;

/// A run in progress: environments, networks, statistics and counters.
pub struct Runner {
    config: TrainConfig,
    constraints: Vec<Constraint>,
    env: Box<dyn VecEnv>,
    obs: Tensor<2>,
    normalizer: Normalizer,
    policy: Policy,
    critics: Critics,
    algorithm: Box<dyn Algorithm>,
    comm: Box<dyn Comm>,
    /// Figures of the sampled actions.
    sampled: FigureTracker,
    /// Costs by kind of the sampled actions.
    kinds: Kinds,
    /// Measures the mean actions, where they are deployed.
    deployed: Option<Deployed>,
    iteration: u64,
    vector_steps: u64,
    totals: Totals,
    schedule: Schedule,
    kernel: RolloutKernel,
}

impl Runner {
    /// Begins with the policy and the normaliser of another run instead of fresh ones; from a checkpoint also with its critics,
    /// where they are of the same number and shape, and with what the algorithm can use of its own state there. The statistics
    /// of observations go on as those of so many observations, and the first rollout is learned from like any other.
    ///
    /// # Errors
    /// When an iteration was done already, the policy does not fit (with both shapes) or the source cannot be read.
    pub fn start_from(&mut self, source: &PolicySource) -> Result<Taken> {
        ensure!(self.iteration == 0, "a run that has begun cannot start from another");
        let device = self.policy.device();
        let theirs = source.policy(&device)?;
        ensure_fits(source, &Shape::of(&theirs), &Shape::of_policy(&self.policy))?;
        self.policy = theirs.policy(&device)?;
        let (mut critics, mut algorithm) = (false, false);
        match source.checkpoint() {
            Some(Checkpoint { config, state, .. }) => {
                self.normalizer.load_state(&state.part("normalizer")?).context("state `normalizer`")?;
                critics = self.critics.start_from(&config.critic, state);
                if config.algo == self.config.algo {
                    let state = state.part("algorithm").unwrap_or_default();
                    algorithm = self.algorithm.start_from(&state).context("state `algorithm`")?;
                }
            }
            None => {
                let (mean, std) = (upload(&theirs.obs_mean, &device), upload(&theirs.obs_std, &device));
                let statistics = Normalizer::frozen(mean, std, self.config.normalizer)?;
                self.normalizer = statistics.counting(theirs.obs_count.max(1.0));
            }
        }
        Ok(Taken { from: source.to_string(), critics, algorithm })
    }

    /// One rollout and one update.
    ///
    /// The first rollout only sets the observation normaliser, unless that came from another run: until then inputs are unscaled
    /// and updates misled.
    ///
    /// # Errors
    /// When the device fails.
    pub fn iterate(&mut self) -> Result<IterationReport> {
        self.iterate_observed(&mut |_| ())
    }

    /// [`Self::iterate`], with `observer` called at the end of every phase.
    ///
    /// # Errors
    /// When the device fails.
    pub fn iterate_observed(&mut self, observer: PhaseObserver) -> Result<IterationReport> {
        let learns = self.iteration > 0 || self.normalizer.count() > 0.0;
        ensure!(
            learns || self.config.init_from.is_none(),
            "the configuration begins with another run's policy, which was not taken: Runner::start_from"
        );
        let start = Instant::now();
        let rollout = self.collect(observer)?;
        let rollout_s = start.elapsed().as_secs_f64();
        self.measure(observer)?;
        let deployed_s = start.elapsed().as_secs_f64() - rollout_s;
        let costs = self.costs();
        let update = if learns { self.update(&rollout, &costs, observer)? } else { UpdateReport::default() };
        let comm = self.comm.as_ref();
        if comm.size() > 1 {
            self.normalizer.pool(comm.size(), |sums| comm.sum(sums))?;
        }
        let former = self.normalizer.clone();
        self.normalizer.commit();
        self.algorithm.normalizer_changed(&self.policy, &former, &self.normalizer);
        self.iteration += 1;
        let update_s = start.elapsed().as_secs_f64() - rollout_s - deployed_s;
        let report = IterationReport {
            iteration: self.iteration,
            updates: learns,
            steps: self.steps(),
            total_steps: self.config.total_steps,
            rollout_s,
            deployed_s,
            update_s,
            sampled: self.sampled.figures(),
            deployed: self.deployed.as_ref().map(Deployed::report),
            finished: rollout.finished.iter().filter(|episode| !episode.partial).cloned().collect(),
            costs,
            update,
        };
        self.totals.add(&report);
        Ok(report)
    }

    /// Values, advantages, the algorithm's update of the policy, the critics' regression.
    fn update(&mut self, rollout: &Rollout, costs: &[CostEstimate], observer: PhaseObserver) -> Result<UpdateReport> {
        let (batch, explained, advantage_scale) = self.estimate(rollout, observer)?;
        let earned = ReturnEstimate { rollout: self.earned(), advantage_scale };
        let context = Context { costs, earned: &earned, progress: self.progress(), comm: self.comm.as_ref() };
        let mut update = self.algorithm.update(&mut self.policy, &batch, &context)?;
        observer(Phase::Actor);
        let losses = self.critics.fit(&batch, self.iteration, self.comm.as_ref())?;
        observer(Phase::Critics);
        for (s, objective) in self.objectives().into_iter().enumerate() {
            update.push(format!("Loss/{objective}Critic"), losses.clone().narrow(0, s, 1));
        }
        update.push("Loss/CriticSkipped", self.critics.skipped().sum());
        for (objective, explained) in self.objectives().into_iter().zip(explained) {
            update.push(format!("Value/{objective}Explained"), explained);
        }
        self.kinds.report(&mut update);
        update.read()?.by_all(self.comm.as_ref())
    }

    /// The rollout as samples with advantages and value targets; also the critics' explained variances and what the reward's
    /// advantages were divided by.
    fn estimate(&self, rollout: &Rollout, observer: PhaseObserver) -> Result<(Samples, Vec<Tensor<1>>, Tensor<1>)> {
        let values = rollout.values(self.critics.values(rollout.critic_inputs()));
        observer(Phase::Values);
        let gae = |[reward, cost]: [f64; 2]| {
            let of = |gae_lambda| GaeConfig { gamma: self.config.gamma, gae_lambda };
            let mut discounts = vec![of(reward)];
            discounts.resize(1 + self.constraints.len(), of(cost));
            gae(&rollout.signals, &values.value, &values.next_value, &rollout.done, &discounts)
        };
        let lambdas = [self.config.gae_lambda, self.config.cost_gae_lambda];
        let mut estimated = gae(lambdas);
        let own = self.algorithm.gae_lambdas();
        let own = [own[0].unwrap_or(lambdas[0]), own[1].unwrap_or(lambdas[1])];
        if own != lambdas {
            estimated.advantage = gae(own).advantage;
        }
        let gae = estimated;
        let (objectives, samples) = (1 + self.constraints.len(), rollout.samples());
        let row = |x: &Tensor<3>, s: usize| x.clone().narrow(0, s, 1).reshape([1, samples]);
        let explained = |s: usize| explained_variance(&row(&values.value, s), &row(&gae.target, s));
        // As in OmniSafe the costs' advantages are centred only, so that their size keeps its meaning.
        let mean = |mean| self.comm.mean(mean);
        let (reward, advantage_scale) = standardize_by(row(&gae.advantage, 0), mean)?;
        let mut advantages = vec![reward];
        for s in 1..objectives {
            advantages.push(center_by(row(&gae.advantage, s), mean)?);
        }
        let explained = (0..objectives).map(explained).collect();
        let batch = Samples {
            obs: rollout.obs.clone(),
            action: rollout.action.clone(),
            mean: rollout.mean.clone(),
            log_prob: rollout.log_prob.clone(),
            advantage: Tensor::cat(advantages, 0),
            target: gae.target.reshape([objectives, samples]),
        };
        observer(Phase::Advantages);
        Ok((batch, explained, advantage_scale))
    }

    /// What the objectives are called in the logs: `Reward`, `Cost`, and by their number from the second cost on.
    fn objectives(&self) -> Vec<String> {
        let cost = |k| if k == 1 { "Cost".to_owned() } else { format!("Cost{k}") };
        std::iter::once("Reward".to_owned()).chain((1..=self.constraints.len()).map(cost)).collect()
    }

    /// The costs that steer: the deployed policy's where it is measured and steers, else those of the sampled actions.
    fn costs(&self) -> Vec<CostEstimate> {
        let deployed = self.deployed.as_ref().filter(|_| self.config.deployed.steer);
        let deployed = deployed.map(|deployed| deployed.report().figures);
        steering(&self.sampled.figures(), deployed.as_ref(), self.config.deployed.cost_signal)
    }

    /// The return of the actions whose costs steer.
    fn earned(&self) -> f64 {
        let deployed = self.deployed.as_ref().filter(|_| self.config.deployed.steer);
        let deployed = deployed.map(|deployed| deployed.report().figures);
        earned(&self.sampled.figures(), deployed.as_ref())
    }

    fn progress(&self) -> Progress {
        Progress { fraction: self.schedule.fraction(self.steps(), self.config.total_steps), iteration: self.iteration }
    }

    /// The run's configuration.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// What is limited.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Whether the configured number of environment steps is reached.
    pub fn done(&self) -> bool {
        self.steps() >= self.config.total_steps
    }

    /// Environment steps done.
    pub fn steps(&self) -> u64 {
        self.vector_steps * self.config.num_envs as u64
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// Sums over the run.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The actions that the run is judged by: the deployed ones where they are measured.
    pub fn judged_actions(&self) -> Actions {
        if self.deployed.is_some() { Actions::Mean } else { Actions::Sampled }
    }

    /// Where its schedules stand, in the configured length.
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Lets schedules go on from elsewhere: after [`Self::load`], where the saved run had another length
    /// ([`Schedule::relengthened`]).
    pub fn set_schedule(&mut self, schedule: Schedule) {
        self.schedule = schedule;
    }

    /// Figures of the sampled actions, those that training learns from.
    pub fn sampled(&self) -> Figures {
        self.sampled.figures()
    }

    /// Figures of the deployed policy, where it is measured.
    pub fn deployed(&self) -> Option<DeployedReport> {
        self.deployed.as_ref().map(Deployed::report)
    }

    /// What came of the graph of the critics' launches in the last iteration ([`CriticConfig::graph`](crate::config::CriticConfig)).
    pub fn graph_use(&self) -> &GraphUse {
        self.critics.graph_use()
    }

    /// The policy that gathers the rollouts.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The policy to deploy: the algorithm's, or else the one that gathers the rollouts.
    pub fn deployed_policy(&self) -> Policy {
        self.algorithm.deployed().map_or_else(|| self.policy.clone(), |params| self.policy.with_params(params))
    }

    /// A host copy of the policy to deploy with its normaliser.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn snapshot(&self) -> Result<PolicySnapshot> {
        PolicySnapshot::capture(&self.config, &self.deployed_policy(), &self.normalizer)
    }

    /// The shards of the run, as this one knows them.
    pub fn comm(&self) -> &dyn Comm {
        self.comm.as_ref()
    }
}

#[cfg(test)]
mod tests;
