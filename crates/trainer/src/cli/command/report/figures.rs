//! The report's figures: return and costs over training, and how many runs reach which return.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::across::Across;
use super::group::Group;
use super::run::Run;
use crate::atomic_file::write_atomically;
use crate::cli::plot::{Curve, Figure, Panel, Point, Scale};
use crate::statistics::{mean, std};

/// Points of a curve: more would not be seen at the figure's size.
const CURVE_POINTS: usize = 200;
/// Points of a performance profile, and the highest normalised return it shows.
const PROFILE_POINTS: usize = 101;
const PROFILE_END: f64 = 1.25;

/// A figure of the report.
#[derive(Debug)]
pub struct Drawn {
    /// What it shows, in words.
    pub alt: String,
    /// Name of its file.
    pub file: String,
    /// The figure.
    pub figure: Figure,
}

impl Drawn {
    /// Writes it into `out`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, out: &Path) -> Result<()> {
        write_atomically(&out.join(&self.file), self.figure.to_svg().as_bytes())
    }
}

/// One figure an environment: return and costs over training.
pub fn courses(groups: &[Group]) -> Vec<Drawn> {
    // Environments of one's own may share a name and limit different things.
    let mut by_env: BTreeMap<(&str, Vec<&str>), Vec<&Group>> = BTreeMap::new();
    for group in groups {
        let limited = group.constraints.iter().map(|constraint| constraint.name.as_str()).collect();
        by_env.entry((&group.env, limited)).or_default().push(group);
    }
    let mut drawn: Vec<Drawn> = Vec::new();
    for ((env, _), groups) in by_env {
        let name = |group: &Group| {
            let seeds = group.runs.len();
            format!("{} ({seeds} seed{})", group.label(), if seeds == 1 { "" } else { "s" })
        };
        let returns = groups.iter().map(|g| curve(g, name(g), |run| &run.judged.returns)).collect();
        let mut panels = vec![Panel { label: "episodic return".to_owned(), curves: returns, limit: None }];
        let constraints = &groups[0].constraints;
        for (k, constraint) in constraints.iter().enumerate() {
            let same_limit = groups.iter().all(|group| group.constraints[k].limit == constraint.limit);
            let limit = constraint.limit;
            panels.push(Panel {
                label: if constraints.len() == 1 { "episodic cost".to_owned() } else { constraint.name.clone() },
                curves: groups.iter().map(|g| curve(g, name(g), |run| &run.judged.costs[k])).collect(),
                limit: same_limit.then(|| (limit, format!("limit {limit}"))),
            });
        }
        let (title, x_label) = (env.to_owned(), "environment steps".to_owned());
        let figure = Figure { x_scale: Scale::Linear, title, x_label, panels };
        let alt = format!("Return and cost on {env} over training");
        let before = drawn.iter().filter(|other| other.alt == alt).count();
        let suffix = if before == 0 { String::new() } else { format!("-{}", before + 1) };
        let file = format!("{}{suffix}.svg", file_name(env));
        drawn.push(Drawn { alt, file, figure });
    }
    drawn
}

/// The performance profiles; none where nothing was normalised.
pub fn profiles(rows: &[Across]) -> Option<Drawn> {
    let rows: Vec<&Across> = rows.iter().filter(|row| row.runs > 0).collect();
    if rows.is_empty() {
        return None;
    }
    let thresholds: Vec<f64> =
        (0..PROFILE_POINTS).map(|index| PROFILE_END * index as f64 / (PROFILE_POINTS - 1) as f64).collect();
    let profile = |row: &&Across| {
        let shares = row.scores.profile(&thresholds);
        let points = thresholds.iter().zip(shares).map(|(x, share)| Point { x: *x, y: share, low: share, high: share });
        Curve { name: row.label.clone(), points: points.collect() }
    };
    let label = "share of runs with a higher return".to_owned();
    let figure = Figure {
        x_scale: Scale::Linear,
        title: "Performance profiles".to_owned(),
        x_label: "normalised return".to_owned(),
        panels: vec![Panel { label, curves: rows.iter().map(profile).collect(), limit: None }],
    };
    let alt = "Share of runs above a normalised return".to_owned();
    Some(Drawn { alt, file: "profiles.svg".to_owned(), figure })
}

/// Mean and mean -+ standard deviation over the seeds of one quantity against the steps.
fn curve(group: &Group, name: String, of: impl Fn(&Run) -> &[f64]) -> Curve {
    let known: Vec<Vec<(f64, f64)>> = (group.runs.iter())
        .map(|run| {
            let pairs = run.steps.iter().copied().zip(of(run).iter().copied());
            pairs.filter(|(_, value)| value.is_finite()).collect()
        })
        .collect();
    let ends = || known.iter().filter_map(|pairs| Some((pairs.first()?.0, pairs.last()?.0)));
    let first = ends().map(|(first, _)| first).fold(f64::INFINITY, f64::min);
    let last = ends().map(|(_, last)| last).fold(f64::NEG_INFINITY, f64::max);
    let grid = (0..CURVE_POINTS).map(|index| first + (last - first) * index as f64 / (CURVE_POINTS - 1) as f64);
    let points = grid.filter_map(|x| {
        let values: Vec<f64> = known.iter().filter_map(|pairs| interpolated(pairs, x)).collect();
        let (y, spread) = (mean(&values), std(&values));
        y.is_finite().then_some(Point { x, y, low: y - spread, high: y + spread })
    });
    Curve { name, points: points.collect() }
}

/// The value at `x` between ascending points, none outside of them.
fn interpolated(pairs: &[(f64, f64)], x: f64) -> Option<f64> {
    let after = pairs.partition_point(|(at, _)| *at < x);
    let (right_x, right) = *pairs.get(after)?;
    if right_x == x {
        return Some(right);
    }
    let (left_x, left) = *pairs.get(after.checked_sub(1)?)?;
    Some(left + (right - left) * (x - left_x) / (right_x - left_x))
}

/// `text` with nothing in it that means something in a path.
fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{group, run};
    use super::*;

    #[test]
    fn curves_of_unequal_length_average_what_is_there() {
        let group = group(vec![run(0, 1.0, 100.0), run(1, 3.0, 50.0)]);
        let curve = curve(&group, "a".into(), |run| &run.judged.returns);
        let at = |x: f64| curve.points.iter().min_by(|a, b| (a.x - x).abs().total_cmp(&(b.x - x).abs())).unwrap();
        let early = at(25.0);
        assert!((early.y - 2.0 * early.x).abs() < 1e-9 && early.high > early.y);
        let late = at(75.0);
        assert!((late.y - late.x).abs() < 1e-9 && late.high == late.y);
    }

    #[test]
    fn interpolation_stays_inside() {
        let pairs = [(0.0, 1.0), (10.0, 3.0)];
        assert_eq!(interpolated(&pairs, 5.0), Some(2.0));
        assert_eq!(interpolated(&pairs, 0.0), Some(1.0));
        assert_eq!(interpolated(&pairs, 10.0), Some(3.0));
        assert_eq!(interpolated(&pairs, 10.1), None);
        assert_eq!(interpolated(&pairs, -0.1), None);
    }

    #[test]
    fn what_comes_from_a_run_means_nothing_in_a_path() {
        assert_eq!(file_name("../../x"), "______x");
        assert_eq!(file_name("SafetyPointGoal1-v0"), "SafetyPointGoal1-v0");
    }
}
