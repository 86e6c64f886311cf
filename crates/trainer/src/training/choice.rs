//! What a run leaves: of the policies of its last checkpoints the one that earns most within the limits, each measured on fresh
//! episodes of its own.
//!
//! What training measures is of many policies in turn, one an iteration, and where the cost still moves it is not that of the last
//! one. So a run ends with what `eval` would do next, before it says what it came to: every candidate plays the same fresh episodes,
//! none of which training, measuring or an evaluation plays. A hundred episodes leave an uncertainty of some units in a cost: so
//! whoever earns more than the favourite and may be within the limits plays further episodes. The best of several is better by
//! luck, too, and a hundred episodes miss what happens in one of a hundred: so does the favourite, and loses its place if they say
//! so, until it is one that has played all of them and nobody is left who might be better.

use anyhow::Result;
use burn::tensor::Device;
use compute::HostTensor;
use envs::{Navigation, Purpose};
use serde::{Deserialize, Serialize};

use crate::checkpoint::CheckpointStore;
use crate::config::{Constraint, TrainConfig};
use crate::evaluate::{EpisodeResult, evaluate};
use crate::outcome::{Basis, Measured, Outcome, Rank, largest_excess};
use crate::policy::exported::{PolicySnapshot, host};
use crate::policy::saved::saved_policy;
use crate::protocol;
use crate::statistics::{mean, std};

/// Part of a run's steps that all candidates' first episodes may take at most.
const FIRST_SHARE: u64 = 10;
/// Part of a run's steps that measuring the candidates may take at most.
const SHARE: u64 = 5;
/// How often the policy that is left has played `final_episodes`, where the share allows it, and how often a candidate may.
const ROUNDS: usize = 6;

/// The candidates and which of them the run leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Fresh episodes that each played at least.
    pub episodes: u64,
    /// In the order of their steps; the last is the run's last policy.
    pub candidates: Vec<Candidate>,
    /// Place of the chosen one among them.
    pub chosen: usize,
}

/// A policy of the run and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Environment steps it had been trained for.
    pub steps: u64,
    /// Episodes that it played beyond those that all did, as the favourite or as one that might be better.
    #[serde(default)]
    pub further_episodes: u64,
    /// The return of an episode.
    pub ret: Measured,
    /// Its costs, one per constraint.
    pub costs: Vec<Measured>,
}

impl Candidate {
    /// From its `results`, of which the first `episodes` are those that all candidates played.
    fn new(steps: u64, results: &[EpisodeResult], episodes: usize) -> Self {
        let measured = |of: &dyn Fn(&EpisodeResult) -> f64| {
            let values: Vec<f64> = results.iter().map(of).collect();
            Measured { mean: mean(&values), std: std(&values) }
        };
        let constraints = results.first().map_or(0, |result| result.costs.len());
        let costs = (0..constraints).map(|k| measured(&|result: &EpisodeResult| result.costs[k])).collect();
        let further_episodes = results.len().saturating_sub(episodes) as u64;
        Self { steps, further_episodes, ret: measured(&|result: &EpisodeResult| result.ret), costs }
    }

    /// Its place among others: within the limits is what stays so with a standard error added to the mean.
    fn rank(&self, episodes: u64, constraints: &[Constraint]) -> Rank {
        self.rank_with(1.0, episodes, constraints)
    }

    /// The place that it may turn out to have: with a standard error taken off the mean.
    fn hoped_rank(&self, episodes: u64, constraints: &[Constraint]) -> Rank {
        self.rank_with(-1.0, episodes, constraints)
    }

    /// With so many standard errors added to the costs.
    fn rank_with(&self, errors: f64, episodes: u64, constraints: &[Constraint]) -> Rank {
        let played = (episodes + self.further_episodes) as f64;
        let bounds = self.costs.iter().map(|cost| cost.mean + errors * cost.std / played.sqrt());
        Rank { episodes: true, excess: largest_excess(bounds, constraints), ret: self.ret.mean }
    }

    fn is_finite(&self) -> bool {
        self.costs.iter().chain([&self.ret]).all(|figure| figure.mean.is_finite() && figure.std.is_finite())
    }
}

impl Choice {
    /// The best of `candidates`, of which there must be one: the highest return among those whose costs are surely within their
    /// limits, else the one nearest to that; the later of equals.
    fn among(candidates: Vec<Candidate>, episodes: u64, constraints: &[Constraint]) -> Self {
        let rank = |at: usize| candidates[at].rank(episodes, constraints);
        let better = |best: usize, next: usize| if rank(best).is_above(&rank(next)) { best } else { next };
        let chosen = (0..candidates.len()).reduce(better).unwrap_or_default();
        Self { episodes, candidates, chosen }
    }

    /// Who plays next: the best that one that may turn out better than the chosen one can hope for, else the chosen one itself; nobody
    /// plays more than [`ROUNDS`] times. `None` where nobody is left.
    fn next(&self, constraints: &[Constraint]) -> Option<usize> {
        let may_play = |at: &usize| self.candidates[*at].further_episodes < (ROUNDS as u64 - 1) * self.episodes;
        let hoped = |at: usize| self.candidates[at].hoped_rank(self.episodes, constraints);
        let chosen = self.chosen().rank(self.episodes, constraints);
        let better = |best: usize, next: usize| if hoped(best).is_above(&hoped(next)) { best } else { next };
        let challengers = (0..self.candidates.len()).filter(|at| *at != self.chosen && hoped(*at).is_above(&chosen));
        challengers.filter(may_play).reduce(better).or(Some(self.chosen).filter(may_play))
    }

    /// The policy that the run leaves.
    pub fn chosen(&self) -> &Candidate {
        &self.candidates[self.chosen]
    }

    /// Fresh episodes that it played.
    pub fn episodes_of_chosen(&self) -> u64 {
        self.episodes + self.chosen().further_episodes
    }

    /// What it came to.
    pub fn outcome(&self) -> Outcome {
        let Candidate { ret, costs, .. } = self.chosen();
        Outcome { basis: Basis::Episodes, ret: *ret, costs: costs.clone() }
    }

    /// Whether it can have been made, for what is read from a file.
    pub fn is_valid(&self) -> bool {
        self.chosen < self.candidates.len() && self.candidates.iter().all(Candidate::is_finite)
    }
}

/// Measures the policies of the last checkpoints beside `last`, that of `steps`, and chooses; also returns the parameters of the
/// chosen one `[P + A]` where it is none but the last. `None` where there is nothing to choose from: none is asked for, or two
/// candidates would take more than a tenth of the run's steps.
///
/// # Errors
/// When the environments cannot be made or the device fails.
pub fn choose(
    config: &TrainConfig,
    store: &CheckpointStore,
    (steps, last): (u64, &PolicySnapshot),
    constraints: &[Constraint],
    device: &Device,
) -> Result<Option<(Choice, Option<HostTensor>)>> {
    let (spec, episodes) = (config.env.spec()?, config.deployed.final_episodes);
    let each = (episodes * spec.env.max_episode_steps) as u64;
    let plays_of = |share: u64| (config.total_steps / share).checked_div(each).unwrap_or(0) as usize;
    let most_candidates = plays_of(FIRST_SHARE);
    if most_candidates < 2 {
        return Ok(None);
    }
    let mut policies: Vec<(u64, PolicySnapshot, Option<HostTensor>)> = Vec::new();
    for at in store.steps().into_iter().filter(|at| *at < steps).rev().take(most_candidates - 1) {
        // One that cannot be read is no candidate.
        let Ok(checkpoint) = store.read(at) else { continue };
        let Ok(policy) = saved_policy(&checkpoint, device) else { continue };
        let (former, now) = (policy.normalizer(device)?, last.normalizer(device)?);
        let params = host(policy.policy(device)?.renormalized(&former, &now).params())?;
        if let Some(policy) = last.with_params(&params) {
            // A former end of the run holds what was chosen there.
            let at = checkpoint.session.choice.as_ref().map_or(at, |choice| choice.chosen().steps);
            policies.insert(0, (at, policy, Some(HostTensor::new([params.len()], params)?)));
        }
    }
    policies.push((steps, last.clone(), None));
    let seeds = round_seeds(config.seed);
    let play = |policy: &PolicySnapshot, round: usize| {
        let all = protocol::wrap(config, Box::new(Navigation::new(spec.clone(), episodes, seeds[round], device)?))?;
        evaluate(policy, all, config.seed.wrapping_add(round as u64), config.deployed.actions)
    };
    let mut entrants = Vec::new();
    for (steps, policy, params) in policies {
        let results = play(&policy, 0)?;
        entrants.push(Entrant { steps, policy, params, results });
    }
    let plays = entrants.len();
    let Some(mut choice) = favourite(&mut entrants, episodes, constraints) else { return Ok(None) };
    for _ in plays..plays_of(SHARE) {
        let Some(next) = choice.next(constraints) else { break };
        let Entrant { policy, results, .. } = &mut entrants[next];
        results.extend(play(policy, results.len() / episodes)?);
        let Some(next) = favourite(&mut entrants, episodes, constraints) else { return Ok(None) };
        choice = next;
    }
    let Entrant { params, .. } = entrants.swap_remove(choice.chosen);
    Ok(Some((choice, params)))
}

/// A policy that is a candidate, and the episodes that it has played.
struct Entrant {
    steps: u64,
    policy: PolicySnapshot,
    /// Its parameters `[P + A]`, unless it is the run's last policy.
    params: Option<HostTensor>,
    results: Vec<EpisodeResult>,
}

/// The choice among `entrants` by what they have played so far; those whose figures are not finite leave. `None` where none stays.
fn favourite(entrants: &mut Vec<Entrant>, episodes: usize, constraints: &[Constraint]) -> Option<Choice> {
    let candidate = |entrant: &Entrant| Candidate::new(entrant.steps, &entrant.results, episodes);
    entrants.retain(|entrant| candidate(entrant).is_finite());
    let candidates: Vec<Candidate> = entrants.iter().map(candidate).collect();
    (!candidates.is_empty()).then(|| Choice::among(candidates, episodes as u64, constraints))
}

/// The environments' seeds of every round: the same for all candidates, and none twice.
fn round_seeds(seed: u64) -> [u64; ROUNDS] {
    let mut seeds = [Purpose::Choosing.seed(seed); ROUNDS];
    for round in 1..ROUNDS {
        seeds[round] = Purpose::Choosing.seed(seeds[round - 1]);
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(steps: u64, ret: f64, cost: f64, std: f64) -> Candidate {
        let costs = vec![Measured { mean: cost, std }];
        Candidate { steps, further_episodes: 0, ret: Measured { mean: ret, std: 1.0 }, costs }
    }

    fn chosen(candidates: &[Candidate]) -> u64 {
        let limit = [Constraint { name: "cost".into(), limit: 25.0 }];
        Choice::among(candidates.to_vec(), 100, &limit).chosen().steps
    }

    #[test]
    fn the_highest_return_surely_within_the_limit_is_chosen() {
        // 23 + 30 / 10 is above 25, 20 + 4 is not.
        let all = [candidate(1, 5.0, 10.0, 30.0), candidate(2, 9.0, 23.0, 30.0), candidate(3, 7.0, 20.0, 40.0)];
        assert_eq!(chosen(&all), 3);
        assert_eq!(chosen(&all[..2]), 1);
        // Of two that are alike the later one has learned longer.
        assert_eq!(chosen(&[candidate(1, 5.0, 10.0, 30.0), candidate(2, 5.0, 10.0, 30.0)]), 2);
    }

    #[test]
    fn who_has_no_finite_figures_is_no_candidate() {
        use crate::runner::Runner;
        let config = TrainConfig { num_envs: 4, rollout_steps: 8, ..TrainConfig::default() };
        let policy = Runner::new(config, Device::flex()).unwrap().snapshot().unwrap();
        let entrant = |steps, ret| Entrant {
            steps,
            policy: policy.clone(),
            params: None,
            results: vec![EpisodeResult { ret, costs: vec![1.0], length: 10, kinds: Vec::new() }; 2],
        };
        let limit = [Constraint { name: "cost".into(), limit: 25.0 }];
        let mut entrants = vec![entrant(1, 3.0), entrant(2, f64::NAN), entrant(3, 1.0)];
        let choice = favourite(&mut entrants, 2, &limit).unwrap();
        assert_eq!((entrants.len(), choice.candidates.len(), choice.chosen().steps), (2, 2, 1));
        assert!(favourite(&mut vec![entrant(1, f64::NAN)], 2, &limit).is_none());
    }

    #[test]
    fn further_episodes_count() {
        // 23.5 + 20 / 10 is above 25, 23.5 + 20 / 20 is not.
        let costly = candidate(1, 9.0, 23.5, 20.0);
        assert_eq!(chosen(&[costly.clone(), candidate(2, 5.0, 10.0, 20.0)]), 2);
        let sure = Candidate { further_episodes: 300, ..costly };
        assert_eq!(chosen(&[sure.clone(), candidate(2, 5.0, 10.0, 20.0)]), 1);
        let choice = Choice { episodes: 100, candidates: vec![sure], chosen: 0 };
        assert_eq!(choice.episodes_of_chosen(), 400);
    }

    #[test]
    fn who_may_be_better_plays_next() {
        let limit = [Constraint { name: "cost".into(), limit: 25.0 }];
        let next = |candidates: &[Candidate]| Choice::among(candidates.to_vec(), 100, &limit).next(&limit);
        let favourite = candidate(1, 5.0, 10.0, 30.0);
        // 26 - 20 / 10 is within the limit, 28 - 2 is not; who earns less than the favourite is not asked.
        let (near, nearer) = (candidate(2, 9.0, 26.0, 20.0), candidate(3, 9.5, 26.5, 20.0));
        let (far, poor) = (candidate(4, 12.0, 28.0, 20.0), candidate(5, 4.0, 24.5, 20.0));
        assert_eq!(next(&[favourite.clone(), far.clone(), poor.clone()]), Some(0));
        assert_eq!(next(&[favourite.clone(), near.clone(), far, poor]), Some(1));
        assert_eq!(next(&[nearer.clone(), favourite.clone(), near.clone()]), Some(0));
        // Where none is surely within, who may be is.
        assert_eq!(next(&[candidate(1, 9.0, 24.9, 20.0), candidate(2, 1.0, 26.0, 20.0)]), Some(1));
        assert_eq!(next(&[candidate(1, 9.0, 24.9, 20.0), candidate(2, 1.0, 29.0, 20.0)]), Some(0));
        // Who has played all of them plays no more; nobody is left where that is so of the favourite, too.
        let done = |candidate: &Candidate| Candidate { further_episodes: 500, ..candidate.clone() };
        let hopeful = candidate(3, 9.5, 25.5, 20.0);
        assert_eq!(next(&[favourite.clone(), done(&hopeful)]), Some(0));
        assert_eq!(next(&[done(&favourite), done(&hopeful)]), None);
        assert_eq!(next(&[done(&favourite), hopeful]), Some(1));
    }

    #[test]
    fn rounds_have_seeds_of_their_own() {
        let seeds: std::collections::BTreeSet<u64> = (0..100).flat_map(round_seeds).collect();
        assert_eq!(seeds.len(), 100 * ROUNDS);
        assert_eq!(round_seeds(7)[0], Purpose::Choosing.seed(7));
    }

    #[test]
    fn where_none_is_within_the_nearest_is_chosen() {
        assert_eq!(
            chosen(&[candidate(1, 9.0, 40.0, 10.0), candidate(2, 5.0, 26.0, 10.0), candidate(3, 7.0, 30.0, 10.0)]),
            2
        );
    }

    #[test]
    fn episodes_become_means_and_deviations() {
        let result = |ret, cost| EpisodeResult { ret, costs: vec![cost, 1.0], length: 1000, kinds: Vec::new() };
        let made = Candidate::new(9, &[result(1.0, 10.0), result(3.0, 30.0)], 1);
        assert_eq!((made.steps, made.further_episodes, made.ret.mean, made.costs.len()), (9, 1, 2.0, 2));
        assert_eq!((made.costs[0].mean, made.costs[1].mean, made.costs[1].std), (20.0, 1.0, 0.0));
        assert_eq!(made.costs[0].std, std(&[10.0, 30.0]));
    }
}
