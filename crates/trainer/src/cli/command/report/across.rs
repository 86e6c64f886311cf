//! Algorithms across tasks: normalised returns, how many tasks they solve within the limits, who beats whom.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::group::Group;
use super::published::Published;
use super::row::Row;
use crate::statistics::{Scores, mean, probability_of_improvement, probability_of_improvement_interval};

/// The algorithm whose return is 1.
const REFERENCE: &str = "ppo";

/// What a return is normalised by: (R - random) / (reference - random).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Normaliser {
    /// The environment's id.
    pub env: String,
    /// Return of the random policy.
    pub random: f64,
    /// Return of unconstrained PPO.
    pub reference: f64,
    /// Where the latter is from.
    pub from: &'static str,
}

/// An algorithm over the tasks it was trained on.
#[derive(Debug, Clone, Serialize)]
pub struct Across {
    /// Its name with what tells it from others.
    pub label: String,
    /// Tasks that could be normalised.
    pub tasks: usize,
    /// Runs on them.
    pub runs: usize,
    /// Interquartile mean of the normalised returns of these runs.
    pub return_iqm: f64,
    /// Its 95 % interval, by a bootstrap stratified by task.
    pub return_iqm_ci95: (f64, f64),
    /// Tasks whose mean costs are within the limits, of `all_tasks`.
    pub feasible_tasks: usize,
    /// Tasks whose upper ends of the intervals are.
    pub strictly_feasible_tasks: usize,
    /// Tasks it was trained on.
    pub all_tasks: usize,
    /// Normalised returns.
    #[serde(skip)]
    pub scores: Scores,
}

/// How likely a run of one algorithm earns more than one of another.
#[derive(Debug, Clone, Serialize)]
pub struct Improvement {
    /// The one.
    pub of: String,
    /// The other.
    pub over: String,
    /// Tasks that both were trained on.
    pub tasks: usize,
    /// The probability.
    pub probability: f64,
    /// Its 95 % interval, by a bootstrap stratified by task.
    pub ci95: (f64, f64),
}

/// What every task's returns are normalised by, where PPO's and the random policy's returns are known.
pub fn normalisers(groups: &[Group], published: &Published) -> Vec<Normaliser> {
    let envs: BTreeSet<&String> = groups.iter().map(|group| &group.env).collect();
    let of = |env: &String| {
        let random = published.random(env)?;
        let own = groups.iter().find(|group| group.env == *env && group.algo == REFERENCE);
        let own = own.map(|group| (mean(&group.finals(|run| run.last.ret)), "this report"));
        let theirs = published.return_of(env, REFERENCE).map(|ret| (ret, "published"));
        // One that has not learned is no scale.
        let (reference, from) = own.into_iter().chain(theirs).find(|(reference, _)| *reference > random)?;
        Some(Normaliser { env: env.clone(), random, reference, from })
    };
    envs.into_iter().filter_map(of).collect()
}

/// Every algorithm over its tasks, in the order of their first groups.
pub fn across(groups: &[Group], rows: &[Row], normalisers: &[Normaliser]) -> Vec<Across> {
    let of = |label: &String| {
        let own: Vec<(&Group, &Row)> = groups.iter().zip(rows).filter(|(_, row)| row.label == *label).collect();
        let scores: Vec<Vec<f64>> = own
            .iter()
            .filter_map(|(group, _)| {
                let Normaliser { random, reference, .. } = normalisers.iter().find(|by| by.env == group.env)?;
                Some(group.finals(|run| (run.last.ret - random) / (reference - random)))
            })
            .filter(|scores| !scores.is_empty())
            .collect();
        let count = |is: fn(&Row) -> bool| own.iter().filter(|(_, row)| is(row)).count();
        let (tasks, scores) = (scores.len(), Scores::new(scores));
        Across {
            label: label.clone(),
            tasks,
            runs: scores.runs(),
            return_iqm: scores.interquartile_mean(),
            return_iqm_ci95: scores.interquartile_mean_interval(),
            feasible_tasks: count(|row| row.feasible),
            strictly_feasible_tasks: count(|row| row.strictly_feasible),
            all_tasks: own.len(),
            scores,
        }
    };
    labels(rows).iter().map(of).collect()
}

/// KFCPO against each other, the setting of it that has most runs; the first algorithm where KFCPO is not there.
pub fn improvements(groups: &[Group], rows: &[Row]) -> Vec<Improvement> {
    let labels = labels(rows);
    let runs = |label: &String| rows.iter().filter(|row| row.label == *label).map(|row| row.seeds.len()).sum::<usize>();
    // Of equals the last one is taken by `max_by_key`.
    let ours = labels.iter().rev().filter(|label| label.starts_with("kfcpo")).max_by_key(|label| runs(label));
    let Some(first) = ours.or(labels.first()) else { return Vec::new() };
    let returns = |label: &String| -> BTreeMap<&String, Vec<f64>> {
        let own = groups.iter().zip(rows).filter(|(_, row)| row.label == *label);
        let returns = own.map(|(group, _)| (&group.env, group.finals(|run| run.last.ret)));
        returns.filter(|(_, returns)| !returns.is_empty()).collect()
    };
    let ours = returns(first);
    let against = |label: &String| {
        let theirs = returns(label);
        let common: Vec<&String> = ours.keys().filter(|env| theirs.contains_key(*env)).copied().collect();
        let scores =
            |of: &BTreeMap<&String, Vec<f64>>| Scores::new(common.iter().map(|env| of[*env].clone()).collect());
        let (x, y) = (scores(&ours), scores(&theirs));
        (!common.is_empty()).then(|| Improvement {
            of: first.clone(),
            over: label.clone(),
            tasks: common.len(),
            probability: probability_of_improvement(&x, &y),
            ci95: probability_of_improvement_interval(&x, &y),
        })
    };
    labels.iter().filter(|label| *label != first).filter_map(against).collect()
}

/// Every label once, in the order of the rows.
fn labels(rows: &[Row]) -> Vec<String> {
    let mut known = BTreeSet::new();
    rows.iter().map(|row| row.label.clone()).filter(|label| known.insert(label.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{group, run};
    use super::*;

    /// Two tasks, KFCPO and PPO on both: PPO earns 200, KFCPO 100 and 300.
    fn groups() -> Vec<Group> {
        let of = |env: &str, algo: &str, returns: [f64; 2]| {
            let runs = returns.iter().enumerate().map(|(seed, ret)| {
                let mut run = run(seed as u64, 1.0, 100.0);
                run.last.ret = *ret;
                run
            });
            Group { env: env.to_owned(), algo: algo.to_owned(), ..group(runs.collect()) }
        };
        let mut infeasible = of("SafetyCarGoal1-v0", "kfcpo", [300.0, 300.0]);
        infeasible.runs.iter_mut().for_each(|run| run.last.costs = vec![26.0]);
        vec![
            of("SafetyPointGoal1-v0", "ppo", [200.0, 200.0]),
            of("SafetyPointGoal1-v0", "kfcpo", [100.0, 100.0]),
            of("SafetyCarGoal1-v0", "ppo", [200.0, 200.0]),
            infeasible,
        ]
    }

    #[test]
    fn returns_are_normalised_by_task_and_pooled() {
        let published = Published::fixed(&[("SafetyPointGoal1-v0", 0.0), ("SafetyCarGoal1-v0", 100.0)]);
        let groups = groups();
        let rows: Vec<Row> = groups.iter().map(Row::of).collect();
        let by = normalisers(&groups, &published);
        assert_eq!(by.len(), 2);
        assert_eq!((by[0].random, by[0].reference, by[0].from), (100.0, 200.0, "this report"));
        let across = across(&groups, &rows, &by);
        assert_eq!(across.iter().map(|row| row.label.as_str()).collect::<Vec<_>>(), ["ppo", "kfcpo"]);
        let kfcpo = &across[1];
        // 0.5, 0.5 of the one, 2, 2 of the other: the middle half is one of each.
        assert_eq!((kfcpo.tasks, kfcpo.runs, kfcpo.return_iqm), (2, 4, 1.25));
        assert_eq!(kfcpo.return_iqm_ci95, (1.25, 1.25), "runs of a task are equal");
        assert_eq!((kfcpo.feasible_tasks, kfcpo.all_tasks, across[0].return_iqm), (1, 2, 1.0));
        let improvements = improvements(&groups, &rows);
        assert_eq!(improvements.len(), 1);
        let only = &improvements[0];
        assert_eq!((only.of.as_str(), only.over.as_str(), only.tasks, only.probability), ("kfcpo", "ppo", 2, 0.5));
    }
}
