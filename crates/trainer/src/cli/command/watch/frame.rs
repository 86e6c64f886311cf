//! What is seen of runs: a line and curves in the terminal, a table and figures in a page.

use super::watched::Watched;
use crate::cli::chart::Chart;
use crate::cli::colour::{Colour, painted};
use crate::cli::figure_page::escaped;
use crate::cli::plot::{Curve, Figure, Panel, Point, Scale};
use crate::cli::progress::status_line::{count, duration};

/// Columns from which two charts stand side by side.
const TWO_COLUMNS: usize = 90;
/// Lines of a chart: at least, at most.
const CHART_LINES: (usize, usize) = (8, 22);
/// Between two charts.
const GAP: usize = 2;
/// Points of a curve in a page.
const PAGE_POINTS: usize = 400;
/// Panels of a figure in a page.
const PANELS: usize = 2;
/// Since a row was written, from which it is told [s].
const SILENCE: f64 = 10.0;

/// Lines that fill a terminal of `(columns, lines)`.
pub fn frame(runs: &[Watched], (width, height): (usize, usize), coloured: bool) -> Vec<String> {
    let panels = panels(runs, usize::MAX);
    let columns = if width >= TWO_COLUMNS && panels.len() > 1 { 2 } else { 1 };
    let rows = panels.len().div_ceil(columns).max(1);
    let for_runs = height.saturating_sub(rows * CHART_LINES.0).max(2);
    let mut lines = heads(runs, for_runs, coloured);
    let chart_lines = (height.saturating_sub(lines.len() + 1) / rows).clamp(CHART_LINES.0, CHART_LINES.1);
    let chart_width = (width.saturating_sub(GAP * (columns - 1))) / columns;
    let end = runs.iter().map(|run| run.config.total_steps.max(run.done() as u64)).max().unwrap_or(1);
    for side_by_side in panels.chunks(columns) {
        let charts: Vec<Vec<String>> = side_by_side
            .iter()
            .map(|panel| chart(panel, end as f64).lines(chart_width, chart_lines, coloured))
            .collect();
        for line in 0..chart_lines {
            let parts: Vec<&str> = charts.iter().map(|chart| chart[line].as_str()).collect();
            lines.push(parts.join(&" ".repeat(GAP)));
        }
    }
    lines
}

/// A line per run, at most `most` lines.
fn heads(runs: &[Watched], most: usize, coloured: bool) -> Vec<String> {
    let told = if runs.len() > most { most - 1 } else { runs.len() };
    let mut lines: Vec<String> = runs[..told]
        .iter()
        .enumerate()
        .map(|(index, run)| {
            let mark = painted("●", coloured.then(|| Colour::of_curve(index)));
            format!("{mark} {}: {}", run.path.display(), head(run, coloured))
        })
        .collect();
    if told < runs.len() {
        lines.push(format!("and {} more", runs.len() - told));
    }
    lines
}

/// What a run is and how far it has come.
fn head(run: &Watched, coloured: bool) -> String {
    let mut parts = vec![run.name(), format!("{} steps", progress(run)), pace(run)];
    parts.push(format!("return {}", run.last_return()));
    for (k, constraint) in run.constraints.iter().enumerate() {
        let cost = run.last_cost(k);
        let colour = Colour::of_cost(cost.value, constraint.limit).filter(|_| coloured);
        parts.push(format!("{} {} of {}", constraint.name, painted(&cost.to_string(), colour), constraint.limit));
    }
    parts.join(" | ")
}

fn progress(run: &Watched) -> String {
    format!("{} / {}", count(run.done()), count(run.config.total_steps as f64))
}

/// Speed and what is left, or how long it took, or since when nothing came.
fn pace(run: &Watched) -> String {
    if run.is_done() {
        return format!("finished in {}", duration(run.wall_s));
    }
    if run.steps.is_empty() {
        return "no iteration is over yet".to_owned();
    }
    let pace = format!("{} steps/s | ETA {}", count(run.steps_per_s), duration(run.seconds_left()));
    if run.age() > SILENCE { format!("{pace} | last row {} ago", duration(run.age())) } else { pace }
}

/// Return, costs and further columns, a curve per run in each; at most `points` points a curve.
fn panels(runs: &[Watched], points: usize) -> Vec<Panel> {
    let curves = |of: &dyn Fn(&Watched) -> Option<Vec<f64>>| -> Vec<Curve> {
        let curve = |run: &Watched| {
            let values = of(run).unwrap_or_default();
            Curve { name: run.path.display().to_string(), points: thinned(&run.steps, &values, points) }
        };
        runs.iter().map(curve).collect()
    };
    let mut panels = vec![Panel {
        label: "return".to_owned(),
        curves: curves(&|run| Some(run.judged.returns.clone())),
        limit: None,
    }];
    let mut names: Vec<&str> = Vec::new();
    for constraint in runs.iter().flat_map(|run| &run.constraints) {
        if !names.contains(&constraint.name.as_str()) {
            names.push(&constraint.name);
        }
    }
    for name in names {
        let place = |run: &Watched| run.constraints.iter().position(|constraint| constraint.name == name);
        let mut limits = runs.iter().filter_map(|run| Some(run.constraints[place(run)?].limit));
        let first = limits.next();
        let limit = first.filter(|first| limits.all(|limit| limit == *first));
        panels.push(Panel {
            label: name.to_owned(),
            curves: curves(&|run| Some(run.judged.costs[place(run)?].clone())),
            limit: limit.map(|limit| (limit, format!("limit {limit}"))),
        });
    }
    let mut columns: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.columns) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    for name in columns {
        let of =
            |run: &Watched| run.columns.iter().find(|(column, _)| column == name).map(|(_, values)| values.clone());
        panels.push(Panel { label: name.to_owned(), curves: curves(&of), limit: None });
    }
    panels
}

/// The finite values over the steps, means of neighbours where there are more than `most`.
fn thinned(steps: &[f64], values: &[f64], most: usize) -> Vec<Point> {
    let known: Vec<(f64, f64)> =
        steps.iter().copied().zip(values.iter().copied()).filter(|(_, value)| value.is_finite()).collect();
    let together = known.len().div_ceil(most.max(1)).max(1);
    let mean = |points: &[(f64, f64)]| {
        let n = points.len() as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / n, y + point.1 / n));
        Point { x, y, low: y, high: y }
    };
    known.chunks(together).map(mean).collect()
}

fn chart(panel: &Panel, end: f64) -> Chart {
    let title = match &panel.limit {
        Some((_, limit)) => format!("{}, {limit}", panel.label),
        None => panel.label.clone(),
    };
    Chart {
        title,
        curves: panel.curves.iter().map(|curve| curve.points.iter().map(|p| (p.x, p.y)).collect()).collect(),
        limit: panel.limit.as_ref().map(|(value, _)| *value),
        x_range: (0.0, end),
    }
}

/// The runs' figures for a page.
pub fn figures(runs: &[Watched]) -> Vec<Figure> {
    let panels = panels(runs, PAGE_POINTS);
    let figure = |panels: &[Panel]| Figure {
        title: String::new(),
        x_label: "environment steps".to_owned(),
        x_scale: Scale::Linear,
        panels: panels.to_vec(),
    };
    panels.chunks(PANELS).map(figure).collect()
}

/// The runs as a table in Markdown, for a page.
pub fn table(runs: &[Watched]) -> String {
    let mut text = String::from("| run | | steps | | return | cost |\n|---|---|---|---|---|---|\n");
    for run in runs {
        let costs: Vec<String> = (run.constraints.iter().enumerate())
            .map(|(k, constraint)| format!("{} {} of {}", constraint.name, run.last_cost(k), constraint.limit))
            .collect();
        let cells = [
            run.path.display().to_string(),
            run.name(),
            progress(run),
            pace(run),
            run.last_return().to_string(),
            costs.join(", "),
        ];
        text.push_str(&format!("| {} |\n", cells.map(|cell| escaped(&cell)).join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::watched::tests::run;
    use super::*;

    fn two(folder: &std::path::Path) -> [Watched; 2] {
        let rows: Vec<[f64; 4]> = (1..=50).map(f64::from).map(|i| [100.0 * i, i, i / 2.0, 60.0 - i]).collect();
        [run(folder, "a", 10_000, &rows), run(folder, "b", 5_000, &rows)]
    }

    #[test]
    fn a_frame_fits_its_terminal_and_tells_how_far_the_runs_are() {
        let folder = tempfile::tempdir().unwrap();
        let runs = two(folder.path());
        for (width, height) in [(80, 24), (120, 40), (200, 60), (60, 50)] {
            let lines = frame(&runs, (width, height), false);
            let charts = &lines[2..];
            assert!(charts.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
            let text = lines.join("\n");
            for part in ["kfcpo on SafetyPointGoal1-v0, seed 0", "5000 / 10k steps", "100 steps/s | ETA 0:50"] {
                assert!(text.contains(part), "no {part} in {text}");
            }
            assert!(
                text.contains("finished in 0:50") && text.contains("return 25.00") && text.contains("cost 10.00 of 25")
            );
            assert!(!text.contains('\x1b'), "{text}");
        }
        let lines = frame(&runs, (120, 40), true);
        assert_eq!(lines.len(), 2 + 2 * 18, "two by two charts");
        let text = lines.join("\n");
        assert!(text.contains("\x1b[32m10.00\x1b[0m of 25") && text.contains("\x1b[31m╌"), "{text}");
        for title in ["return", "cost, limit 25", "Train/KL", "steps_per_s"] {
            assert!(text.contains(title), "{title}");
        }
    }

    #[test]
    fn a_run_without_a_row_is_shown_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let runs = [run(folder.path(), "a", 1000, &[])];
        let text = frame(&runs, (80, 24), false).join("\n");
        assert!(text.contains("no iteration is over yet") && text.contains("return - | cost - of 25"), "{text}");
    }

    #[test]
    fn many_runs_leave_room_for_the_curves() {
        let folder = tempfile::tempdir().unwrap();
        let runs: Vec<Watched> =
            (0..40).map(|i| run(folder.path(), &format!("r{i}"), 1000, &[[1.0, 1.0, 1.0, 1.0]])).collect();
        let lines = frame(&runs, (120, 40), false);
        assert!(lines.len() <= 40 && lines.iter().any(|line| line.starts_with("and ")), "{lines:#?}");
    }

    #[test]
    fn a_page_has_a_row_and_a_curve_per_run() {
        let folder = tempfile::tempdir().unwrap();
        let runs = two(folder.path());
        let figures = figures(&runs);
        assert_eq!(figures.iter().map(|figure| figure.panels.len()).collect::<Vec<_>>(), [2, 2]);
        assert!(figures[0].panels.iter().all(|panel| panel.curves.len() == 2 && panel.curves[1].points.len() == 50));
        assert_eq!(figures[0].panels[1].limit, Some((25.0, "limit 25".to_owned())));
        assert_eq!(table(&runs).lines().count(), 4);
        let steps: Vec<f64> = (0..1000).map(f64::from).collect();
        let thin = thinned(&steps, &steps, 400);
        assert_eq!((thin.len(), thin[0].x, thin[0].y), (334, 1.0, 1.0));
    }
}
