//! Layouts against the statistics of resets of the original (`tests/fixtures/layout_stats.json`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kinds::for_kind;
use crate::layout::resample;
use crate::object::ObjectKind;
use crate::params::{GROUP_COUNT, GROUP_FIELDS, GROUP_KEEPOUT, GROUP_OFFSET, GROUP_ROW, PARAM_AGENT_KEEPOUT};
use crate::params::{PARAM_GROUP, PARAM_GROUPS};
use crate::registry::registry;
use crate::spec::NavigationSpec;
use crate::state::{LANES, X, Y, YAW};
use crate::step::reset_env;
use crate::task::TARGET;
use crate::task::TaskKind;

/// Own resets for one of the fixture, and the most.
const RESETS_FOR_ONE: u32 = 4;
const MOST_RESETS: u32 = 10_000;
/// Accepted deviation in combined standard errors, for some 7000 comparisons.
const SIGMAS: f64 = 5.0;
/// Kinds with a place of their own, in the fixture's order of names.
const KINDS: [ObjectKind; 6] = [
    ObjectKind::Hazard,
    ObjectKind::Vase,
    ObjectKind::Button,
    ObjectKind::Pillar,
    ObjectKind::Gremlin,
    ObjectKind::PushBox,
];

type Point2 = (f64, f64);

/// Positions after a reset: the agent, then every group.
struct Layout {
    agent: Point2,
    yaw: f64,
    groups: Vec<Vec<Point2>>,
    /// Of free boxes; empty for what looks alike from every side.
    group_yaws: Vec<Vec<f64>>,
    target: usize,
}

fn read(params: &[f32], state: &[f32]) -> Layout {
    let get = |field: usize| f64::from(state[field * LANES]);
    let rows = params[PARAM_GROUP..].chunks_exact(GROUP_ROW).take(params[PARAM_GROUPS] as usize);
    let fields = |row: &[f32]| -> Vec<usize> {
        let (first, step) = (row[GROUP_OFFSET] as usize, row[GROUP_FIELDS] as usize);
        (0..row[GROUP_COUNT] as usize).map(|i| first + i * step).collect()
    };
    let yaws = |row: &[f32]| -> Vec<f64> {
        // More than a place is a free body: position, then the quaternion w x y z.
        let turned = fields(row).into_iter().filter(|_| row[GROUP_FIELDS] > 2.0);
        turned.map(|f| 2.0 * get(f + 6).atan2(get(f + 3))).collect()
    };
    Layout {
        agent: (get(X), get(Y)),
        yaw: get(YAW),
        groups: rows.clone().map(|row| fields(row).iter().map(|f| (get(*f), get(f + 1))).collect()).collect(),
        group_yaws: rows.map(yaws).collect(),
        target: get(TARGET) as usize,
    }
}

fn distance(a: Point2, b: Point2) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

fn nearest(from: Point2, to: &[Point2]) -> f64 {
    to.iter().map(|p| distance(from, *p)).fold(f64::INFINITY, f64::min)
}

fn closest(one: &[Point2], other: &[Point2]) -> f64 {
    one.iter().map(|p| nearest(*p, other)).fold(f64::INFINITY, f64::min)
}

fn closest_pair(points: &[Point2]) -> f64 {
    (1..points.len()).map(|i| nearest(points[i], &points[..i])).fold(f64::INFINITY, f64::min)
}

/// Series of scalars and histogram entries by the fixture's names.
#[derive(Default)]
struct Samples {
    scalars: BTreeMap<String, Vec<f64>>,
    /// One list a layout: objects of one layout are not independent.
    histograms: BTreeMap<String, Vec<Vec<f64>>>,
}

impl Samples {
    fn scalar(&mut self, name: &str, value: f64) {
        self.scalars.entry(name.to_owned()).or_default().push(value);
    }

    fn positions(&mut self, name: &str, points: &[Point2]) {
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        self.histograms.entry(format!("{name}_x")).or_default().push(x);
        self.histograms.entry(format!("{name}_y")).or_default().push(y);
    }

    fn angles(&mut self, name: &str, yaws: &[f64]) {
        let turns = yaws.iter().map(|yaw| yaw.rem_euclid(std::f64::consts::TAU)).collect();
        self.histograms.entry(format!("{name}_yaw")).or_default().push(turns);
    }

    /// Notes a layout; `respawned` is the goal that follows, and the place of the agent then.
    fn record(&mut self, spec: &NavigationSpec, layout: &Layout, respawned: Option<(Point2, Point2)>) {
        let origin = (0.0, 0.0);
        let group_of = |kind: ObjectKind| spec.level.groups.iter().position(|group| group.kind == kind);
        let goal = group_of(ObjectKind::Goal).map(|g| layout.groups[g][0]);
        self.scalar("agent_radius", distance(layout.agent, origin));
        self.positions("agent", &[layout.agent]);
        self.angles("agent", &[layout.yaw]);
        if let Some(goal) = goal {
            self.scalar("goal_radius", distance(goal, origin));
            self.scalar("agent_goal", distance(layout.agent, goal));
            self.positions("goal", &[goal]);
        }
        if let Some((next, agent)) = respawned {
            self.scalar("respawn_goal_radius", distance(next, origin));
            self.scalar("respawn_agent_goal", distance(agent, next));
            self.positions("respawn_goal", &[next]);
        }
        let present: Vec<(&str, usize)> =
            KINDS.iter().filter_map(|kind| group_of(*kind).map(|g| (kind.object_name(), g))).collect();
        for (k, (name, group)) in present.iter().enumerate() {
            let objects = &layout.groups[*group];
            self.scalar(&format!("{name}_first_radius"), distance(objects[0], origin));
            self.scalar(&format!("{name}_last_radius"), distance(objects[objects.len() - 1], origin));
            self.scalar(&format!("agent_{name}_nearest"), nearest(layout.agent, objects));
            if let Some(goal) = goal {
                self.scalar(&format!("goal_{name}_nearest"), nearest(goal, objects));
                if let Some((next, _)) = respawned {
                    // The push box then stands on the first goal.
                    let pushed = *name == ObjectKind::PushBox.object_name();
                    let gap = if pushed { distance(next, goal) } else { nearest(next, objects) };
                    self.scalar(&format!("respawn_goal_{name}_nearest"), gap);
                }
            }
            if objects.len() > 1 {
                self.scalar(&format!("{name}_{name}_nearest"), closest_pair(objects));
            }
            for (other, other_group) in &present[k + 1..] {
                self.scalar(&format!("{name}_{other}_nearest"), closest(objects, &layout.groups[*other_group]));
            }
            self.positions(name, objects);
            if !layout.group_yaws[*group].is_empty() {
                self.angles(name, &layout.group_yaws[*group]);
            }
        }
        if spec.level.task == TaskKind::Button {
            self.histograms.entry("goal_button".to_owned()).or_default().push(vec![layout.target as f64]);
        }
    }
}

fn sample(spec: &NavigationSpec, resets: u32) -> Samples {
    let params = spec.params(2024);
    let reset = for_kind!(spec.agent, spec.level.task, reset_env);
    let mut samples = Samples::default();
    for env in 0..resets {
        let mut state = vec![0.0; spec.state_dim() * LANES];
        reset(&params, &mut state, 0, env, false);
        let layout = read(&params, &state);
        // What must reach the goal is put there: the agent, or the box, the last group of every level of Push.
        let arrives = match spec.level.task {
            TaskKind::Goal => Some(X),
            TaskKind::Push => Some(params[PARAM_GROUP + (layout.groups.len() - 1) * GROUP_ROW + GROUP_OFFSET] as usize),
            TaskKind::Button | TaskKind::Circle | TaskKind::Run => None,
        };
        let respawned = arrives.map(|field| {
            let goal = layout.groups[0][0];
            (state[field * LANES], state[(field + 1) * LANES]) = (goal.0 as f32, goal.1 as f32);
            assert!(resample(&params, &mut state, 0, env, 0), "{}: the goal finds a place", spec.env.id);
            let after = read(&params, &state);
            (after.groups[0][0], after.agent)
        });
        samples.record(spec, &layout, respawned);
    }
    samples
}

fn quantile(sorted: &[f64], level: f64) -> f64 {
    let at = level.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, share) = (at.floor() as usize, at.fract());
    sorted[low] + share * (sorted[(low + 1).min(sorted.len() - 1)] - sorted[low])
}

/// Standard deviation of one draw's contribution to the `level` quantile: sqrt(q (1 - q)) / density.
fn quantile_spread(sorted: &[f64], level: f64) -> f64 {
    const STEP: f64 = 0.02;
    let width = quantile(sorted, level + STEP) - quantile(sorted, level - STEP);
    (level * (1.0 - level)).sqrt() * width / (2.0 * STEP)
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// Comparisons made, and those that failed.
#[derive(Default)]
struct Verdict {
    compared: usize,
    failures: Vec<String>,
}

impl Verdict {
    fn check(&mut self, what: &str, got: f64, want: f64, error: f64) {
        self.compared += 1;
        // The fixture's numbers have six decimals.
        if (got - want).abs() > SIGMAS * error + 1e-6 {
            self.failures.push(format!("{what}: {got} against {want} +- {error}"));
        }
    }

    /// Mean and quantiles of one scalar over `resets` layouts of the original.
    fn compare_scalar(&mut self, what: &str, values: &mut [f64], stats: &Value, levels: &[f64], resets: f64) {
        values.sort_by(f64::total_cmp);
        let both = (1.0 / resets + 1.0 / values.len() as f64).sqrt();
        let (mean, variance) = mean_and_variance(values);
        let get = |key: &str| stats[key].as_f64().expect("a number");
        self.check(&format!("{what} mean"), mean, get("mean"), variance.sqrt().max(get("std")) * both);
        let errors = numbers(&stats["quantiles_stderr"]);
        for ((level, want), error) in levels.iter().zip(numbers(&stats["quantiles"])).zip(errors) {
            // A bootstrap over a few hundred layouts is rough itself: the larger of the two estimates.
            let spread = quantile_spread(values, *level).max(error * resets.sqrt());
            self.check(&format!("{what} quantile {level}"), quantile(values, *level), want, spread * both);
        }
    }

    /// Shares of the bins of one histogram; `layouts` holds the objects of every layout of ours.
    fn compare_histogram(&mut self, what: &str, layouts: &[Vec<f64>], histogram: &Value, resets: f64) {
        let (low, high) = (histogram["low"].as_f64().expect("low"), histogram["high"].as_f64().expect("high"));
        let shares = numbers(&histogram["share"]);
        let errors = numbers(&histogram["share_stderr"]);
        let both = (1.0 / resets + 1.0 / layouts.len() as f64).sqrt();
        let mut ours = vec![Vec::with_capacity(layouts.len()); shares.len()];
        for objects in layouts {
            let mut counts = vec![0.0; shares.len()];
            for value in objects {
                assert!((low..=high).contains(value), "{what}: {value} lies outside");
                let bin = (value - low) / (high - low) * shares.len() as f64;
                counts[(bin as usize).min(shares.len() - 1)] += 1.0;
            }
            ours.iter_mut().zip(counts).for_each(|(ours, count)| ours.push(count / objects.len() as f64));
        }
        for (bin, (want, error)) in shares.iter().zip(errors).enumerate() {
            let (got, variance) = mean_and_variance(&ours[bin]);
            // A rare bin may be empty on either side, with no spread to see there.
            let spread = variance.sqrt().max(error * resets.sqrt());
            self.check(&format!("{what} bin {bin}"), got, *want, spread * both);
        }
    }
}

#[test]
fn layouts_have_the_statistics_of_the_original() {
    let text = include_str!("../../../../tests/fixtures/layout_stats.json");
    let fixture: Value = serde_json::from_str(text).expect("the fixture is JSON");
    let levels = numbers(&fixture["quantile_levels"]);
    let mut verdict = Verdict::default();
    for spec in registry() {
        let expected = &fixture["envs"][&spec.env.id];
        let resets = expected["resets"].as_u64().expect("a count") as u32;
        let mut samples = sample(spec, (RESETS_FOR_ONE * resets).min(MOST_RESETS));
        for (name, stats) in expected["scalars"].as_object().expect("scalars") {
            let values = samples.scalars.get_mut(name).unwrap_or_else(|| panic!("{}: no scalar {name}", spec.env.id));
            verdict.compare_scalar(&format!("{} {name}", spec.env.id), values, stats, &levels, f64::from(resets));
        }
        for (name, histogram) in expected["histograms"].as_object().expect("histograms") {
            let layouts = samples.histograms.get(name).unwrap_or_else(|| panic!("{}: no {name}", spec.env.id));
            verdict.compare_histogram(&format!("{} {name}", spec.env.id), layouts, histogram, f64::from(resets));
        }
    }
    let Verdict { compared, failures } = verdict;
    assert!(compared > 5000, "{compared} numbers compared");
    assert!(failures.is_empty(), "{} of {compared} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn fresh_layouts_keep_everything_apart() {
    for spec in registry() {
        let params = spec.params(77);
        let half = f64::from(spec.level.half_extent);
        for env in 0..2000 {
            let mut state = vec![0.0; spec.state_dim() * LANES];
            let reset = for_kind!(spec.agent, spec.level.task, reset_env);
            reset(&params, &mut state, 0, env, false);
            let layout = read(&params, &state);
            let ([x, y], [half_x, half_y]) = spec.level.agent_place();
            let inside = |at: f64, middle: f32, half: f32| (at - f64::from(middle)).abs() <= f64::from(half) + 1e-6;
            assert!(inside(layout.agent.0, x, half_x) && inside(layout.agent.1, y, half_y), "{}", spec.env.id);
            let mut placed = vec![(layout.agent, f64::from(params[PARAM_AGENT_KEEPOUT]))];
            for (g, group) in layout.groups.iter().enumerate() {
                if spec.level.task == TaskKind::Button && g == 1 {
                    let goal = group[0];
                    assert!(layout.groups[0].contains(&goal), "{} env {env}: the goal lies on a button", spec.env.id);
                    continue;
                }
                let keepout = f64::from(params[PARAM_GROUP + g * GROUP_ROW + GROUP_KEEPOUT]);
                placed.extend(group.iter().map(|p| (*p, keepout)));
            }
            for (i, (p, keepout)) in placed.iter().enumerate() {
                let inside = half - keepout + 1e-6;
                assert!(i == 0 || p.0.abs() <= inside && p.1.abs() <= inside, "{} env {env} object {i}", spec.env.id);
                for (q, other) in &placed[..i] {
                    assert!(distance(*p, *q) >= keepout + other - 1e-6, "{} env {env} object {i}", spec.env.id);
                }
            }
        }
    }
}
