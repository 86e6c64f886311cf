//! Several evaluated policies in one table.

use super::{Evaluated, Evaluation};
use crate::config::Actions;

/// One line per policy under a line of titles: what it was, return and costs with the half-widths of their 95 % intervals,
/// verdict and violations.
pub fn text(rows: &[(String, Evaluated)]) -> String {
    let first = &rows[0].1.result;
    let is_one_env = rows.iter().all(|(_, row)| row.result.env == first.env);
    let costs = rows.iter().map(|(_, row)| row.result.constraints.len()).max().unwrap_or(0);
    let mut titles = vec!["policy".to_owned(), "steps".to_owned()];
    if !is_one_env {
        titles.push("environment".to_owned());
    }
    titles.extend(["actions", "return"].map(str::to_owned));
    titles.extend((0..costs).map(|k| title(rows, k)));
    titles.extend(["limits", "violations", "length"].map(str::to_owned));
    let cells = |(name, row): &(String, Evaluated)| {
        let Evaluation { env, checkpoint, deterministic, constraints, violation_rate, .. } = &row.result;
        let mut cells = vec![name.clone(), checkpoint.map_or_else(|| "-".to_owned(), |steps| steps.to_string())];
        if !is_one_env {
            cells.push(env.clone());
        }
        let actions = if *deterministic { Actions::Mean } else { Actions::Sampled };
        cells.extend([actions.to_string(), measured(row.result.return_mean, row.return_ci)]);
        let cost = |k: usize| {
            let cost = constraints.get(k).zip(row.cost_cis.get(k));
            cost.map_or_else(|| "-".to_owned(), |(cost, ci)| measured(cost.cost_mean, *ci))
        };
        cells.extend((0..costs).map(cost));
        let verdict = if row.result.within_limits { "within" } else { "above" };
        cells.extend([
            verdict.to_owned(),
            format!("{:.0} %", 100.0 * violation_rate),
            format!("{:.0}", row.result.length_mean),
        ]);
        cells
    };
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(rows.iter().map(cells)).collect();
    let heading = if is_one_env { format!("{}, ", first.env) } else { String::new() };
    let heading = format!("{heading}{} episodes each, +- half the 95 % interval of the mean", first.episodes);
    std::iter::once(heading).chain(aligned(&lines)).collect::<Vec<_>>().join("\n")
}

/// The name of cost `k` and its limit, where all have the same.
fn title(rows: &[(String, Evaluated)], k: usize) -> String {
    let mut named = rows.iter().filter_map(|(_, row)| row.result.constraints.get(k));
    let Some(first) = named.next() else { return "cost".to_owned() };
    let others: Vec<_> = named.collect();
    let name = if others.iter().all(|cost| cost.name == first.name) { first.name.as_str() } else { "cost" };
    if others.iter().all(|cost| cost.limit == first.limit) {
        format!("{name} (limit {})", first.limit)
    } else {
        name.to_owned()
    }
}

fn measured(mean: f64, (low, high): (f64, f64)) -> String {
    format!("{mean:.2} +- {:.2}", (high - low) / 2.0)
}

/// Columns of one width each, two spaces between them.
fn aligned(lines: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let cells: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Constraint;
    use crate::evaluate::EpisodeResult;

    fn row(env: &str, steps: Option<u64>, limit: f64, costs: &[f64]) -> Evaluated {
        let limits = [Constraint { name: "cost".to_owned(), limit }];
        let episode = |cost: &f64| EpisodeResult { ret: 2.0, costs: vec![*cost], length: 1000, kinds: Vec::new() };
        let episodes: Vec<EpisodeResult> = costs.iter().map(episode).collect();
        let result = Evaluation::new(env, steps, Actions::Mean, &limits, &episodes);
        Evaluated { result, return_ci: (1.0, 3.0), cost_cis: vec![(10.0, 16.0)], kept: serde_json::Value::Null }
    }

    #[test]
    fn policies_stand_under_one_another() {
        let rows = [
            ("runs/a".to_owned(), row("E", Some(1000), 25.0, &[20.0, 30.0])),
            ("policy.safetensors".to_owned(), row("E", None, 25.0, &[40.0, 30.0])),
        ];
        let text = text(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("E, 2 episodes each"), "{text}");
        assert_eq!(
            lines[1..],
            [
                "policy              steps  actions  return        cost (limit 25)  limits  violations  length",
                "runs/a              1000   mean     2.00 +- 1.00  25.00 +- 3.00    within  50 %        1000",
                "policy.safetensors  -      mean     2.00 +- 1.00  35.00 +- 3.00    above   100 %       1000",
            ]
        );
    }

    #[test]
    fn environments_and_limits_that_differ_are_told() {
        let rows =
            [("a".to_owned(), row("E", Some(1), 25.0, &[1.0])), ("b".to_owned(), row("F", Some(1), 10.0, &[1.0]))];
        let text = text(&rows);
        assert!(text.contains("environment") && text.contains("  F  ") && !text.contains("limit 25"), "{text}");
    }
}
