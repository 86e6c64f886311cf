//! The report as Markdown.

use std::collections::BTreeSet;

use super::across::{Across, Improvement, Normaliser};
use super::learning::MILESTONES;
use super::published::{Published, PublishedRow};
use super::row::{Cost, Row};
use crate::cli::figure_page::escaped;
use crate::cli::progress::status_line::{count, duration};

/// What every row ends with, and what the figures mean.
pub fn finals(rows: &[Row]) -> String {
    let mut text = table(&[
        "environment",
        "algorithm",
        "seeds",
        "steps",
        "return",
        "IQM [95 % interval]",
        "cost",
        "[95 % interval]",
        "limit",
        "within",
        "seeds within",
        "steps/s",
    ]);
    for row in rows {
        let of = |cell: &dyn Fn(&Cost) -> String| by_constraint(&row.constraints, cell);
        text.push_str(&line(&[
            escaped(&row.env),
            escaped(&row.label),
            row.seeds.len().to_string(),
            format!("{:.2e}", row.steps),
            pair(row.return_mean, row.return_std),
            format!("{} {}", number(row.return_iqm), interval(row.return_iqm_ci95)),
            of(&|cost| pair(cost.mean, cost.std)),
            of(&|cost| interval(cost.ci95)),
            of(&|cost| cost.limit.to_string()),
            row.verdict().to_owned(),
            format!("{} of {}", row.feasible_seeds, row.seeds.len()),
            format!("{:.0}", row.steps_per_s),
        ]));
    }
    text.push_str(
        "\nMean +- standard deviation over seeds; IQM: interquartile mean; intervals: percentile bootstrap over seeds. \
         Within: the mean cost is within the limit; strictly: the upper end of its interval is.\n",
    );
    let ways: BTreeSet<&str> = rows.iter().flat_map(|row| &row.evaluations).map(String::as_str).collect();
    let ways: Vec<&str> = ways.into_iter().collect();
    text.push_str(&format!("Final figures are over: {}.\n", ways.join("; ")));
    text
}

/// What learning cost.
pub fn learning(rows: &[Row]) -> String {
    let mut text = String::from("\n## While learning\n\n");
    let milestones = MILESTONES.map(|steps| format!("return at {}", count(steps)));
    let mut heads = vec!["environment", "algorithm", "cost of training", "episodes above a limit"];
    heads.extend(["seeds ever within", "steps until then", "time until then"]);
    heads.extend(milestones.iter().map(String::as_str));
    text.push_str(&table(&heads));
    for row in rows {
        let learned = &row.learning;
        let costs: Vec<String> = learned.costs.iter().map(|cost| format!("{cost:.3e}")).collect();
        let known = |value: f64, text: String| if value.is_finite() { text } else { "-".to_owned() };
        let at = |steps: &f64| {
            let found = learned.returns_at.iter().find(|(at, _)| at == steps);
            found.map_or_else(|| "-".to_owned(), |(_, ret)| number(*ret))
        };
        let share = learned.violating_episodes;
        let mut cells = vec![
            escaped(&row.env),
            escaped(&row.label),
            costs.join("<br>"),
            known(share, format!("{:.1} %", 100.0 * share)),
            format!("{} of {}", learned.seeds_ever_feasible, row.seeds.len()),
            known(learned.steps_to_feasible, count(learned.steps_to_feasible)),
            known(learned.seconds_to_feasible, duration(learned.seconds_to_feasible)),
        ];
        cells.extend(MILESTONES.iter().map(at));
        text.push_str(&line(&cells));
    }
    text.push_str(
        "\nCost of training: summed over all its steps, mean over seeds. Episodes above a limit: whole episodes of training. \
         Until then: median over seeds until the last 100 episodes of the judged policy are first within all limits.\n",
    );
    text
}

/// Algorithms across tasks.
pub fn across(rows: &[Across], normalisers: &[Normaliser], improvements: &[Improvement]) -> String {
    let mut text = String::from("\n## Across tasks\n\n");
    if !normalisers.is_empty() {
        text.push_str(&table(&[
            "algorithm",
            "tasks",
            "runs",
            "normalised return, IQM [95 % interval]",
            "tasks within the limit",
            "strictly",
        ]));
        for row in rows {
            text.push_str(&line(&[
                escaped(&row.label),
                row.tasks.to_string(),
                row.runs.to_string(),
                format!("{} {}", number(row.return_iqm), interval(row.return_iqm_ci95)),
                format!("{} of {}", row.feasible_tasks, row.all_tasks),
                row.strictly_feasible_tasks.to_string(),
            ]));
        }
        let by: Vec<String> = normalisers
            .iter()
            .map(|by| format!("{} {:.2} to {:.2} ({})", escaped(&by.env), by.random, by.reference, by.from))
            .collect();
        text.push_str(&format!(
            "\nNormalised return: (return - random) / (PPO - random); interval: bootstrap stratified by task. From random to \
             PPO: {}.\n",
            by.join("; ")
        ));
    }
    if !improvements.is_empty() {
        text.push('\n');
        text.push_str(&table(&["a run of", "earns more than one of", "tasks", "probability [95 % interval]"]));
        for row in improvements {
            text.push_str(&line(&[
                escaped(&row.of),
                escaped(&row.over),
                row.tasks.to_string(),
                format!("{} {}", number(row.probability), interval(row.ci95)),
            ]));
        }
    }
    text
}

/// Our rows beside what was published of the same algorithm, and the best published within the limit.
pub fn published(rows: &[Row], published: &Published) -> String {
    let mut text = String::from("\n## Beside published figures\n\n");
    text.push_str(&table(&[
        "environment",
        "algorithm",
        "return",
        "cost",
        "published return",
        "published cost",
        "return within one published deviation",
        "best published within the limit",
    ]));
    for row in rows {
        let theirs = published.of(&row.env, &row.algo);
        let near = theirs
            .map_or("-", |theirs| if (row.return_mean - theirs.ret.0).abs() <= theirs.ret.1 { "yes" } else { "no" });
        let limit = row.constraints.first().map_or(f64::INFINITY, |cost| cost.limit);
        let best = published.best_feasible(&row.env, limit);
        let told = |best: &PublishedRow| {
            format!("{} {:.2} / {:.1} ({} steps)", best.name, best.ret.0, best.cost.0, count(best.steps as f64))
        };
        let figures = |of: fn(&PublishedRow) -> (f64, f64)| {
            theirs.map_or_else(|| "-".to_owned(), |theirs| pair(of(theirs).0, of(theirs).1))
        };
        text.push_str(&line(&[
            escaped(&row.env),
            escaped(&row.label),
            pair(row.return_mean, row.return_std),
            by_constraint(&row.constraints, &|cost| pair(cost.mean, cost.std)),
            figures(|theirs| theirs.ret),
            figures(|theirs| theirs.cost),
            near.to_owned(),
            best.map_or_else(|| "none".to_owned(), told),
        ]));
    }
    text.push_str(&format!("\nPublished: {}. {}\n", published.source, published.note));
    text
}

/// A cell with a line per constraint; its name is told where there are several.
fn by_constraint(constraints: &[Cost], cell: &dyn Fn(&Cost) -> String) -> String {
    match constraints {
        [] => "-".to_owned(),
        [only] => cell(only),
        several => {
            let cells: Vec<String> =
                several.iter().map(|cost| format!("{} {}", escaped(&cost.name), cell(cost))).collect();
            cells.join("<br>")
        }
    }
}

fn table(heads: &[&str]) -> String {
    format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()))
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "-".to_owned() }
}

fn pair(mean: f64, std: f64) -> String {
    format!("{} +- {}", number(mean), number(std))
}

fn interval((low, high): (f64, f64)) -> String {
    format!("[{}, {}]", number(low), number(high))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{group, run};
    use super::super::group::Group;
    use super::*;

    #[test]
    fn rows_say_what_they_rest_on() {
        let runs = vec![run(1, 1.0, 100.0), run(2, 1.0, 100.0)];
        let rows = [Row::of(&Group { env: "SafetyPointGoal1-v0".into(), ..group(runs) })];
        let text = finals(&rows);
        let cells: Vec<&str> = text.lines().nth(2).unwrap().split(" | ").collect();
        assert_eq!(cells.len(), text.lines().next().unwrap().split(" | ").count());
        assert_eq!(cells[4..6], ["100.00 +- 0.00", "100.00 [100.00, 100.00]"]);
        assert_eq!(cells[6..11], ["15.00 +- 7.07", "[10.00, 20.00]", "25", "strictly", "2 of 2"]);
        assert!(text.contains("last 100 training episodes, sampled actions"), "{text}");
        assert!(learning(&rows).contains("| 1 of 2 |") || learning(&rows).contains("| 2 of 2 |"));
        let beside = published(&rows, &Published::read().unwrap());
        assert!(beside.contains("SACLag 21.45 / 19.2 (3.00M steps)"), "{beside}");
    }
}
