//! `report`: compares runs, grouped by every setting but the seed.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::atomic_file::write_atomically;
use crate::cli::console::{FAILED, diagnose, print};
use crate::cli::figure_page::{Part, escaped, page};
use crate::cli::runs::runs_below;

mod across;
mod figures;
mod group;
mod learning;
mod published;
mod row;
mod run;
mod tables;

use across::{across, improvements, normalisers};
use figures::Drawn;
use group::grouped;
use published::Published;
use row::Row;
use run::Run;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run directories, or directories that contain some
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,
    /// Where to write report.md, report.json and the figures
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub out: PathBuf,
    /// Also show what was published of the same algorithms and tasks
    #[arg(long)]
    pub published: bool,
    /// Also write report.html: the tables, and figures that show their values under the pointer
    #[arg(long)]
    pub html: bool,
    /// Print one JSON object a group of runs
    #[arg(long)]
    pub json: bool,
}

/// Writes `report.md`, `report.json`, one figure an environment and, if asked, `report.html`, and prints the tables. A run that cannot be read is left
/// out and named, and the exit code says so.
///
/// # Errors
///
/// When a directory holds no run, none can be read or the output cannot be written.
pub fn run(args: &ReportArgs) -> Result<ExitCode> {
    let (runs, broken) = read_all(&args.dirs)?;
    ensure!(!runs.is_empty(), "none of the runs has metrics that can be read");
    let groups = grouped(runs);
    let rows: Vec<Row> = groups.iter().map(Row::of).collect();
    let known = Published::read()?;
    let normalisers = normalisers(&groups, &known);
    let across = across(&groups, &rows, &normalisers);
    let improvements = improvements(&groups, &rows);

    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let mut pieces = vec![Piece::Tables(tables::finals(&rows))];
    pieces.extend(figures::courses(&groups).into_iter().map(Piece::Figure));
    pieces.push(Piece::Tables(tables::learning(&rows)));
    if rows.len() > 1 {
        pieces.push(Piece::Tables(tables::across(&across, &normalisers, &improvements)));
        pieces.extend(figures::profiles(&across).map(Piece::Figure));
    }
    if args.published {
        pieces.push(Piece::Tables(tables::published(&rows, &known)));
    }
    for piece in &pieces {
        if let Piece::Figure(drawn) = piece {
            drawn.write(&args.out)?;
        }
    }
    let markdown: String = pieces.iter().map(Piece::markdown).collect();
    if args.html {
        let parts: Vec<Part> = pieces.iter().map(Piece::part).collect();
        write_atomically(&args.out.join("report.html"), page("Report", &parts, 0)?.as_bytes())?;
    }
    write_atomically(&args.out.join("report.md"), markdown.as_bytes())?;
    let all = json!({
        "groups": rows, "across_tasks": across, "normalised_by": normalisers, "improvements": improvements,
    });
    let all = serde_json::to_string_pretty(&all)? + "\n";
    write_atomically(&args.out.join("report.json"), all.as_bytes())?;
    if args.json {
        for row in &rows {
            print(&serde_json::to_string(row)?)?;
        }
    } else {
        print(markdown.trim_end())?;
    }
    Ok(if broken { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// What a report is made of, in its order.
enum Piece {
    /// Markdown.
    Tables(String),
    Figure(Drawn),
}

impl Piece {
    fn markdown(&self) -> String {
        match self {
            Self::Tables(text) => text.clone(),
            Self::Figure(Drawn { alt, file, .. }) => format!("\n![{}]({file})\n", escaped(alt)),
        }
    }

    fn part(&self) -> Part<'_> {
        match self {
            Self::Tables(text) => Part::Markdown(text),
            Self::Figure(drawn) => Part::Figure(&drawn.figure),
        }
    }
}

/// Every run in `dirs` that has metrics, and whether one could not be read.
fn read_all(dirs: &[PathBuf]) -> Result<(Vec<(PathBuf, Run)>, bool)> {
    let mut broken = false;
    let mut fault = |text: String| {
        broken = true;
        diagnose(&format!("error: {text}"));
    };
    let paths = runs_below(dirs, &mut fault)?;
    let mut runs = Vec::new();
    for path in paths {
        match Run::read(&path) {
            Ok((Some(run), warnings)) => {
                warnings.iter().for_each(|warning| diagnose(&format!("warning: {warning}")));
                runs.push((path, run));
            }
            Ok((None, _)) => diagnose(&format!("warning: {} has no metrics yet: left out", path.display())),
            Err(error) => fault(format!("{} is left out: {error:#}", path.display())),
        }
    }
    Ok((runs, broken))
}

#[cfg(test)]
mod fixture {
    use super::Run;
    use super::group::Group;
    use super::learning::{Learning, MILESTONES};
    use super::run::{Finals, Way};
    use crate::cli::course::Course;
    use crate::config::{Constraint, TrainConfig};

    /// A run of `last` steps whose return and cost are `slope` times the steps; it ends with a cost of ten times its seed.
    pub fn run(seed: u64, slope: f64, last: f64) -> Run {
        let steps: Vec<f64> = (0..=10).map(|i| f64::from(i) * last / 10.0).collect();
        let values: Vec<f64> = steps.iter().map(|s| s * slope).collect();
        let finals = Finals { ret: last * slope, costs: vec![10.0 * seed as f64] };
        Run {
            config: TrainConfig { seed, ..TrainConfig::default() },
            constraints: vec![Constraint { name: "cost".to_owned(), limit: 25.0 }],
            judged: Course { returns: values.clone(), costs: vec![values] },
            steps,
            sampled: finals.clone(),
            last: finals,
            way: Way::Trained,
            learning: Learning {
                costs: vec![1.0],
                violating: None,
                first_feasible: (seed > 1).then_some((50.0, 1.0)),
                returns: vec![None; MILESTONES.len()],
            },
            steps_per_s: 1000.0,
        }
    }

    /// These runs as repetitions.
    pub fn group(runs: Vec<Run>) -> Group {
        let constraints = runs[0].constraints.clone();
        Group { env: "E".into(), algo: "kfcpo".into(), constraints, settings: Vec::new(), runs }
    }
}
