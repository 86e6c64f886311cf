//! Layouts against the statistics of 10000 resets of the original (`tests/fixtures/layout_stats.json`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::agent::Point;
use crate::layout::resample;
use crate::level::{GROUP_COUNT, GROUP_FIELDS, GROUP_KEEPOUT, GROUP_OFFSET, GROUP_ROW, PARAM_AGENT_KEEPOUT};
use crate::level::{PARAM_GROUP, PARAM_GROUPS};
use crate::registry::{EnvSpec, registry};
use crate::state::{LANES, X, Y, YAW};
use crate::step::reset_one;
use crate::task::Goal;

const RESETS: u32 = 10_000;
/// Accepted deviation in combined standard errors, for some 900 comparisons.
const SIGMAS: f64 = 5.0;

type Point2 = (f64, f64);

/// Positions after a reset: the agent, then every group.
struct Layout {
    agent: Point2,
    yaw: f64,
    groups: Vec<Vec<Point2>>,
    vase_yaws: Vec<f64>,
}

fn read(params: &[f32], state: &[f32]) -> Layout {
    let get = |field: usize| f64::from(state[field * LANES]);
    let rows = params[PARAM_GROUP..].chunks_exact(GROUP_ROW).take(params[PARAM_GROUPS] as usize);
    let fields = |row: &[f32]| -> Vec<usize> {
        let (first, step) = (row[GROUP_OFFSET] as usize, row[GROUP_FIELDS] as usize);
        (0..row[GROUP_COUNT] as usize).map(|i| first + i * step).collect()
    };
    let groups: Vec<Vec<usize>> = rows.map(fields).collect();
    Layout {
        agent: (get(X), get(Y)),
        yaw: get(YAW),
        groups: groups.iter().map(|g| g.iter().map(|f| (get(*f), get(f + 1))).collect()).collect(),
        vase_yaws: groups.get(2).into_iter().flatten().map(|f| 2.0 * get(f + 6).atan2(get(f + 3))).collect(),
    }
}

fn distance(a: Point2, b: Point2) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

fn nearest(from: Point2, to: &[Point2]) -> f64 {
    to.iter().map(|p| distance(from, *p)).fold(f64::INFINITY, f64::min)
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

    fn record(&mut self, layout: &Layout, respawned: Point2) {
        let origin = (0.0, 0.0);
        let goal = layout.groups[0][0];
        self.scalar("agent_radius", distance(layout.agent, origin));
        self.scalar("goal_radius", distance(goal, origin));
        self.scalar("agent_goal", distance(layout.agent, goal));
        self.scalar("respawn_goal_radius", distance(respawned, origin));
        self.scalar("respawn_agent_goal", distance(respawned, goal));
        self.positions("agent", &[layout.agent]);
        self.positions("goal", &[goal]);
        self.positions("respawn_goal", &[respawned]);
        self.angles("agent", &[layout.yaw]);
        for (name, objects) in ["hazard", "vase"].iter().zip(&layout.groups[1..]) {
            self.scalar(&format!("{name}_first_radius"), distance(objects[0], origin));
            self.scalar(&format!("{name}_last_radius"), distance(objects[objects.len() - 1], origin));
            self.scalar(&format!("agent_{name}_nearest"), nearest(layout.agent, objects));
            self.scalar(&format!("goal_{name}_nearest"), nearest(goal, objects));
            self.scalar(&format!("respawn_goal_{name}_nearest"), nearest(respawned, objects));
            if objects.len() > 1 {
                self.scalar(&format!("{name}_{name}_nearest"), closest_pair(objects));
            }
            self.positions(name, objects);
        }
        if let [_, hazards, vases] = layout.groups.as_slice() {
            let gap = vases.iter().map(|v| nearest(*v, hazards)).fold(f64::INFINITY, f64::min);
            self.scalar("hazard_vase_nearest", gap);
            self.angles("vase", &layout.vase_yaws);
        }
    }
}

fn sample(spec: &EnvSpec) -> Samples {
    let params = spec.params(2024);
    let mut samples = Samples::default();
    for env in 0..RESETS {
        let mut state = vec![0.0; spec.state_dim() * LANES];
        reset_one::<Point, Goal>(&params, &mut state, 0, env, 0.0);
        let layout = read(&params, &state);
        let goal = layout.groups[0][0];
        (state[X * LANES], state[Y * LANES]) = (goal.0 as f32, goal.1 as f32);
        assert!(resample(&params, &mut state, 0, env, 0), "{}: the goal finds a place", spec.id);
        samples.record(&layout, read(&params, &state).groups[0][0]);
    }
    samples
}

fn quantile(sorted: &[f64], level: f64) -> f64 {
    let at = level * (sorted.len() - 1) as f64;
    let (low, share) = (at.floor() as usize, at.fract());
    sorted[low] + share * (sorted[(low + 1).min(sorted.len() - 1)] - sorted[low])
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

#[test]
fn layouts_have_the_statistics_of_the_original() {
    let text = include_str!("../../../../tests/fixtures/layout_stats.json");
    let fixture: Value = serde_json::from_str(text).expect("the fixture is JSON");
    let levels = numbers(&fixture["quantile_levels"]);
    let both = std::f64::consts::SQRT_2 * SIGMAS;
    let mut compared = 0;
    for spec in registry().iter().filter(|spec| fixture["envs"].get(&spec.id).is_some()) {
        let expected = &fixture["envs"][&spec.id];
        let samples = sample(spec);
        for (name, stats) in expected["scalars"].as_object().expect("scalars") {
            let mut values =
                samples.scalars.get(name).unwrap_or_else(|| panic!("{}: no scalar {name}", spec.id)).clone();
            values.sort_by(f64::total_cmp);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let check = |what: String, got: f64, want: f64, error: f64| {
                assert!(
                    (got - want).abs() < both * error,
                    "{} {name} {what}: {got} against {want} +- {error}",
                    spec.id
                );
            };
            let get = |key: &str| stats[key].as_f64().expect("a number");
            check("mean".into(), mean, get("mean"), get("mean_stderr"));
            let errors = numbers(&stats["quantiles_stderr"]);
            for ((level, want), error) in levels.iter().zip(numbers(&stats["quantiles"])).zip(errors) {
                check(format!("quantile {level}"), quantile(&values, *level), want, error);
                compared += 1;
            }
        }
        for (name, histogram) in expected["histograms"].as_object().expect("histograms") {
            let layouts = &samples.histograms[name];
            let (low, high) = (histogram["low"].as_f64().expect("low"), histogram["high"].as_f64().expect("high"));
            let shares = numbers(&histogram["share"]);
            let mut counts = vec![0.0; shares.len()];
            for value in layouts.iter().flatten() {
                let bin = (value - low) / (high - low) * shares.len() as f64;
                counts[(bin as usize).min(shares.len() - 1)] += 1.0;
            }
            let total: f64 = counts.iter().sum();
            for (bin, (want, error)) in shares.iter().zip(numbers(&histogram["share_stderr"])).enumerate() {
                let got = counts[bin] / total;
                let slack = both * error + f64::from(*want > 0.0) * 1e-4;
                assert!((got - want).abs() <= slack, "{} {name} bin {bin}: {got} against {want} +- {error}", spec.id);
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "{compared} numbers compared");
}

#[test]
fn fresh_layouts_keep_everything_apart() {
    for spec in registry() {
        let params = spec.params(77);
        let half = f64::from(spec.level.half_extent);
        for env in 0..2000 {
            let mut state = vec![0.0; spec.state_dim() * LANES];
            reset_one::<Point, Goal>(&params, &mut state, 0, env, 0.0);
            let layout = read(&params, &state);
            let mut placed = vec![(layout.agent, f64::from(params[PARAM_AGENT_KEEPOUT]))];
            for (g, group) in layout.groups.iter().enumerate() {
                let keepout = f64::from(params[PARAM_GROUP + g * GROUP_ROW + GROUP_KEEPOUT]);
                placed.extend(group.iter().map(|p| (*p, keepout)));
            }
            for (i, (p, keepout)) in placed.iter().enumerate() {
                let inside = half - keepout + 1e-6;
                assert!(p.0.abs() <= inside && p.1.abs() <= inside, "{} env {env} object {i}", spec.id);
                for (q, other) in &placed[..i] {
                    assert!(distance(*p, *q) >= keepout + other - 1e-6, "{} env {env} object {i}", spec.id);
                }
            }
        }
    }
}
