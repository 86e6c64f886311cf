//! What one wants to do with a run that has just ended, as commands.

use std::env;
use std::path::{Path, PathBuf};

use crate::training::Training;

/// Three commands that go on from these runs, as this program was called.
pub fn next_commands(runs: &[Training]) -> String {
    let total = runs.iter().map(|run| run.config().total_steps).max().unwrap_or(0);
    let paths: Vec<&Path> = runs.iter().map(|run| run.dir().path()).collect();
    commands(&program(), &paths, total)
}

fn commands(program: &str, runs: &[&Path], total_steps: u64) -> String {
    let quoted: Vec<String> = runs.iter().map(|run| quoted(&run.display().to_string())).collect();
    let first = quoted.first().map_or("", String::as_str);
    let all = quoted.join(" ");
    let look = match quoted.len() {
        1 => format!("eval {first}"),
        _ => format!("report {all} --html"),
    };
    let longer = total_steps.saturating_mul(2);
    format!(
        "next: {program} {look}\n      {program} record {first} --out replay.html\n      \
         {program} train --resume {all} --total-steps {longer}"
    )
}

/// What this program is called by; from within another one, such as Python, by its own name.
fn program() -> String {
    let called = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let own = called.file_stem().is_some_and(|stem| stem == "trainer");
    if own { quoted(&called.display().to_string()) } else { "trainer".to_owned() }
}

/// `text` as a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/\\._-=+:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_the_runs() {
        let text = commands("./trainer", &[Path::new("runs/a b")], 1000);
        assert_eq!(
            text,
            "next: ./trainer eval 'runs/a b'\n      ./trainer record 'runs/a b' --out replay.html\n      \
             ./trainer train --resume 'runs/a b' --total-steps 2000"
        );
        let text = commands("trainer", &[Path::new("r/0"), Path::new("r/1")], 5);
        assert!(text.contains("report r/0 r/1 --html") && text.contains("--resume r/0 r/1 --total-steps 10"), "{text}");
    }
}
