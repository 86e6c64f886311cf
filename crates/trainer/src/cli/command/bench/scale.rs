//! `bench scale`: how speed follows the number of environments, the batch, the network's width and the threads.
//!
//! Writes three figures and `scaling.csv`. A training batch keeps its usual number of samples as long as four steps of every
//! environment fit in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use envs::NavigationSpec;
use kfac::FisherKind;
use serde_json::{Value, json};

use super::clock::Clock;
use super::{measure, work};
use crate::atomic_file::write_atomically;
use crate::cli::console::diagnose;
use crate::cli::plot::{Curve, Figure, Panel, Point, Scale};
use crate::config::TrainConfig;
use crate::device::DeviceChoice;

/// Environments: 2^6 to 2^18.
const ENVS: std::ops::RangeInclusive<u32> = 6..=18;
/// Samples of a policy update: 2^11 to 2^16.
const BATCHES: std::ops::RangeInclusive<u32> = 11..=16;
/// Widths of both hidden layers: 2^6 to 2^10.
const WIDTHS: std::ops::RangeInclusive<u32> = 6..=10;
/// Widths of the updates whose batch is varied.
const BATCH_WIDTHS: [usize; 2] = [64, 256];
/// Samples of the updates whose width is varied.
const WIDTH_BATCH: usize = 4096;
/// Steps of a rollout at least: fewer say little about a policy.
const LEAST_STEPS: usize = 4;
/// Steps of a rollout at most, so that the smallest numbers of environments remain comparable.
const MOST_STEPS: usize = 320;

/// One point of a curve.
pub struct Row {
    /// Which figure's panel: `env`, `train`, `kfac_batch_64`, `kfac_batch_256`, `kfac_width`.
    panel: String,
    threads: usize,
    x: usize,
    /// Steps a second, or GFLOP/s of an update.
    y: f64,
    seconds: f64,
}

impl Row {
    /// As a JSON object.
    pub fn json(&self) -> Value {
        json!({
            "what": "scale",
            "panel": self.panel,
            "threads": self.threads,
            "x": self.x,
            "value": self.y,
            "ms": 1e3 * self.seconds,
        })
    }

    /// As a line.
    pub fn text(&self) -> String {
        format!("{} {}, threads {}: {:.1} ({:.3} ms)", self.panel, self.x, self.threads, self.y, 1e3 * self.seconds)
    }

    fn csv(&self) -> String {
        format!("{},{},{},{},{}\n", self.panel, self.threads, self.x, self.y, 1e3 * self.seconds)
    }
}

/// Measures every curve and writes the figures to `out`.
///
/// # Errors
/// When a size does not fit the device, or the disk refuses.
pub fn measure(clock: &Clock, spec: &NavigationSpec, out: &Path) -> Result<Vec<Row>> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut rows = Vec::new();
    for threads in thread_counts(clock) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start the threads")?;
        let clock = clock.brief(threads);
        pool.install(|| curves(&clock, spec, &mut rows))?;
    }
    let csv: String = rows.iter().map(Row::csv).collect();
    write_atomically(&out.join("scaling.csv"), format!("panel,threads,x,value,ms\n{csv}").as_bytes())?;
    for (name, figure) in figures(&rows, spec) {
        write_atomically(&out.join(name), figure.to_svg().as_bytes())?;
    }
    Ok(rows)
}

/// Powers of two up to the number of threads, on a GPU that number alone.
fn thread_counts(clock: &Clock) -> Vec<usize> {
    if clock.choice() != DeviceChoice::Cpu {
        return vec![clock.threads()];
    }
    let powers = (0..).map(|power| 1 << power).take_while(|threads| *threads < clock.threads());
    powers.chain([clock.threads()]).collect()
}

fn curves(clock: &Clock, spec: &NavigationSpec, rows: &mut Vec<Row>) -> Result<()> {
    let mut add = |panel: String, x: usize, y: f64, seconds: f64| {
        let row = Row { panel, threads: clock.threads(), x, y, seconds };
        diagnose(&row.text());
        rows.push(row);
    };
    for num_envs in ENVS.map(|power| 1usize << power) {
        let seconds = measure::stepping(clock, spec, num_envs)?.seconds;
        add("env".to_owned(), num_envs, num_envs as f64 / seconds, seconds);
    }
    for num_envs in ENVS.map(|power| 1usize << power) {
        let default = TrainConfig::default();
        let rollout_steps = (default.batch_size() / num_envs).clamp(LEAST_STEPS, MOST_STEPS);
        let config = TrainConfig { env: spec.clone().into(), num_envs, rollout_steps, ..default };
        let seconds = measure::training(clock, &config)?.seconds;
        add("train".to_owned(), num_envs, config.batch_size() as f64 / seconds, seconds);
    }
    let mut update = |panel: String, x: usize, width: usize, batch: usize| -> Result<()> {
        let seconds = measure::update(clock, spec, &[width, width], batch, FisherKind::Exact)?;
        let sizes = [spec.env.obs_dim, width, width, spec.env.action_dim];
        let operations = work::update(&sizes, batch as f64, FisherKind::Exact)?.operations;
        add(panel, x, operations / seconds / 1e9, seconds);
        Ok(())
    };
    for width in BATCH_WIDTHS {
        for batch in BATCHES.map(|power| 1usize << power) {
            update(format!("kfac_batch_{width}"), batch, width, batch)?;
        }
    }
    for width in WIDTHS.map(|power| 1usize << power) {
        update("kfac_width".to_owned(), width, width, WIDTH_BATCH)?;
    }
    Ok(())
}

fn figures(rows: &[Row], spec: &NavigationSpec) -> Vec<(&'static str, Figure)> {
    let panel = |panel: &str, label: &str| Panel { label: label.to_owned(), curves: lines(rows, panel), limit: None };
    let figure = |title: String, x_label: &str, panels: Vec<Panel>| Figure {
        title,
        x_label: x_label.to_owned(),
        x_scale: Scale::Log2,
        panels,
    };
    let speed = vec![panel("env", "steps/s, random actions"), panel("train", "steps/s, training")];
    let batches = vec![panel("kfac_batch_64", "GFLOP/s, 64-64"), panel("kfac_batch_256", "GFLOP/s, 256-256")];
    vec![
        ("scaling-envs.svg", figure(spec.short_id(), "environments", speed)),
        ("scaling-batch.svg", figure("one K-FAC update".to_owned(), "samples", batches)),
        (
            "scaling-width.svg",
            figure(
                format!("one K-FAC update, {WIDTH_BATCH} samples"),
                "width of both hidden layers",
                vec![panel("kfac_width", "GFLOP/s")],
            ),
        ),
    ]
}

/// A curve for each number of threads.
fn lines(rows: &[Row], panel: &str) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for row in rows.iter().filter(|row| row.panel == panel) {
        let name = if row.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", row.threads) };
        let point = Point { x: row.x as f64, y: row.y, low: row.y, high: row.y };
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name, points: vec![point] }),
        }
    }
    curves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_curve_for_each_number_of_threads() {
        let row = |panel: &str, threads: usize, x: usize| Row {
            panel: panel.to_owned(),
            threads,
            x,
            y: (x * threads) as f64,
            seconds: 0.5,
        };
        let panels = ["env", "train", "kfac_batch_64", "kfac_batch_256", "kfac_width"];
        let sizes = [(1, 64), (1, 16_384), (2, 64), (2, 16_384)];
        let rows: Vec<Row> = panels.iter().flat_map(|panel| sizes.map(|(threads, x)| row(panel, threads, x))).collect();
        let spec = envs::find("PointGoal1").unwrap();
        let figures = figures(&rows, &spec);
        assert_eq!(figures.iter().map(|(_, figure)| figure.panels.len()).sum::<usize>(), panels.len());
        for panel in figures.iter().flat_map(|(_, figure)| &figure.panels) {
            let curves: Vec<_> = panel.curves.iter().map(|c| (c.name.as_str(), c.points[1].y)).collect();
            assert_eq!(curves, [("1 thread", 16_384.0), ("2 threads", 32_768.0)]);
        }
        let svg = figures[0].1.to_svg();
        assert!(svg.contains("16k") && svg.contains("steps/s, training"), "{svg}");
        assert_eq!(rows[1].csv(), "env,1,16384,16384,500\n");
    }
}
