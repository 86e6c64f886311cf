//! `watch`: the curves of runs that are being trained, or of finished ones, in the terminal or in a page.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use terminal_size::{Height, Width, terminal_size};

use crate::atomic_file::write_atomically;
use crate::cli::colour;
use crate::cli::console::{FAILED, diagnose, print};
use crate::cli::figure_page::{Part, page};
use crate::cli::interrupt;
use crate::cli::runs::runs_below;

mod frame;
mod watched;

use frame::{figures, frame, table};
use watched::Watched;

/// Columns and lines where no terminal says how many it has.
const NO_TERMINAL: (usize, usize) = (100, 32);
/// How often a signal is looked for.
const PATIENCE: Duration = Duration::from_millis(100);
/// The terminal's other screen, without a cursor and without breaking long lines; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Run directories, or directories that contain some
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Columns of metrics.csv to draw beside return and costs, separated by commas [default: Train/KL,steps_per_s]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub every: u16,
    /// Draw once and end; also what happens where stdout is no terminal
    #[arg(long)]
    pub once: bool,
    /// Write a page that loads itself anew, with the values under the pointer, instead [default file: watch.html]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "watch.html")]
    pub html: Option<PathBuf>,
}

/// Shows the runs until all are finished or a signal says that it is enough. A run that cannot be read is left out and named,
/// and the exit code says so.
///
/// # Errors
///
/// When there is no run, none can be read, a column is in none of them, or the page cannot be written.
pub fn run(args: &WatchArgs) -> Result<ExitCode> {
    let mut broken = Vec::new();
    let mut runs = look(args, Vec::new(), &mut broken)?;
    broken.iter().for_each(|fault| diagnose(&format!("error: {fault}")));
    if runs.is_empty() {
        bail!("none of the runs can be read");
    }
    watched::ensure_columns(&args.columns, &runs)?;
    let terminal = io::stdout().is_terminal();
    let coloured = colour::wanted(terminal);
    let lasting = !args.once && (terminal || args.html.is_some());
    if lasting {
        interrupt::install("")?;
    }
    match &args.html {
        Some(file) => {
            print(&file.display().to_string())?;
            while lasting && !over(&runs) {
                write_page(file, &runs, u64::from(args.every))?;
                pause(args);
                runs = look(args, runs, &mut Vec::new())?;
            }
            write_page(file, &runs, 0)?;
        }
        None => {
            if lasting && !over(&runs) {
                let screen = Screen::enter()?;
                while !over(&runs) {
                    screen.show(&frame(&runs, size(), coloured))?;
                    pause(args);
                    runs = look(args, runs, &mut Vec::new())?;
                }
            }
            let (width, _) = size();
            print(&frame(&runs, (width, NO_TERMINAL.1), coloured).join("\n"))?;
        }
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Whether there is nothing more to wait for.
fn over(runs: &[Watched]) -> bool {
    interrupt::requested() || runs.iter().all(Watched::is_done)
}

/// The runs as they are now; `former` are those of the last look, and stay where a run cannot be read at the moment.
fn look(args: &WatchArgs, mut former: Vec<Watched>, broken: &mut Vec<String>) -> Result<Vec<Watched>> {
    let mut faults = Vec::new();
    let paths = runs_below(&args.runs, &mut |fault| faults.push(fault))?;
    let mut runs = Vec::new();
    for path in paths {
        let known = former.iter().position(|run| run.path == path).map(|place| former.swap_remove(place));
        match known {
            Some(run) if run.is_current() => runs.push(run),
            known => match Watched::read(&path, &args.columns) {
                Ok(run) => runs.push(run),
                Err(error) => {
                    faults.push(format!("{} is left out: {error:#}", path.display()));
                    runs.extend(known);
                }
            },
        }
    }
    broken.append(&mut faults);
    Ok(runs)
}

/// Waits until the next look, or until a signal.
fn pause(args: &WatchArgs) {
    let (begun, whole) = (Instant::now(), Duration::from_secs(args.every.into()));
    while begun.elapsed() < whole && !interrupt::requested() {
        sleep(PATIENCE.min(whole.saturating_sub(begun.elapsed())));
    }
}

/// Columns and lines to draw in.
fn size() -> (usize, usize) {
    match terminal_size() {
        Some((Width(width), Height(height))) if width > 0 && height > 0 => (width.into(), height.into()),
        _ => NO_TERMINAL,
    }
}

fn write_page(file: &Path, runs: &[Watched], reload_s: u64) -> Result<()> {
    let (table, figures) = (table(runs), figures(runs));
    let mut parts = vec![Part::Markdown(&table)];
    parts.extend(figures.iter().map(Part::Figure));
    let title = match runs {
        [only] => only.path.display().to_string(),
        several => format!("{} runs", several.len()),
    };
    if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    write_atomically(file, page(&title, &parts, reload_s)?.as_bytes())
}

/// The terminal's other screen; what was on the usual one comes back when it is dropped.
struct Screen;

impl Screen {
    fn enter() -> Result<Self> {
        io::stdout().write_all(ENTER.as_bytes())?;
        Ok(Self)
    }

    fn show(&self, lines: &[String]) -> Result<()> {
        let lines = lines.join("\x1b[K\r\n");
        let mut stdout = io::stdout().lock();
        write!(stdout, "\x1b[H{lines}\x1b[K\x1b[J")?;
        Ok(stdout.flush()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut stdout = io::stdout();
        let _ = stdout.write_all(LEAVE.as_bytes()).and_then(|()| stdout.flush());
    }
}
