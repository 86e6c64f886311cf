//! Every command that the README and the documents show is run, on sizes that take a second, and every link leads somewhere:
//! none of them rots.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use test_support::program::{Sandbox, TINY};

/// What begins a line of a shell block that is not a command of the program; it is tried elsewhere, or needs a machine of
/// its own.
const OTHERS: &[&str] = &[
    "cargo test",
    "cargo build",
    "cargo bench",
    "cargo doc",
    "cargo install",
    "cargo deny",
    "cargo check",
    "KFCPO_",
    "git ",
    "mdbook ",
    "python",
    "pip ",
    "maturin ",
    "rustup ",
    "cd ",
    "source ",
    "export ",
    "sh ",
    "bash ",
    "sudo ",
    "apt",
    "tests/",
    "benches/",
    "crates/",
    "mpirun ",
    "srun ",
    "#",
    "scripts/",
    "ulimit ",
    "ncu ",
];

/// A sweep of a second in the place of the example, which tests/sweep.rs runs.
const SWEEP: &str = r#"{"envs": ["PointGoal1"], "algos": ["kfcpo"], "seeds": [0], "eval": {"episodes": 2},
    "settings": {"total_steps": 1024, "num_envs": 8, "rollout_steps": 32, "kfcpo.minibatch_size": 128}}"#;

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// README and the pages of the documents, with what stands in their shell blocks, line by line.
fn documents() -> Vec<(String, Vec<String>)> {
    let mut pages = vec![root().join("README.md")];
    let sources = fs::read_dir(root().join("assets/docs/src")).unwrap();
    pages.extend(sources.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md")));
    pages.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    pages.iter().map(|path| (name(path), shell_lines(&fs::read_to_string(path).unwrap()))).collect()
}

/// The lines of the blocks that begin with "```sh", those that end in a backslash joined with the next.
fn shell_lines(text: &str) -> Vec<String> {
    let (mut lines, mut inside, mut begun): (Vec<String>, bool, String) = (Vec::new(), false, String::new());
    for line in text.lines() {
        match line.trim() {
            fence if fence.starts_with("```") => inside = fence == "```sh",
            line if inside => match line.strip_suffix('\\') {
                Some(part) => begun.push_str(part),
                None => lines.push(std::mem::take(&mut begun) + line),
            },
            _ => (),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// The arguments of the program in a line and the file that its stdout goes to, or `None` where it shows something else.
fn arguments(line: &str) -> Option<(Vec<String>, Option<String>)> {
    let command = line.split(" #").next().unwrap().trim();
    let (command, file) = match command.split_once(" > ") {
        Some((command, file)) => (command, Some(file.to_owned())),
        None => (command, None),
    };
    let rest = ["cargo run -p trainer", "trainer"].iter().find_map(|program| command.strip_prefix(program))?;
    if !(rest.is_empty() || rest.starts_with(' ')) || rest.contains(['|', '>', ';', '&']) || rest.contains("--features")
    {
        return None;
    }
    Some((rest.split_whitespace().filter(|word| *word != "--").map(str::to_owned).collect(), file))
}

/// The same arguments for what the sandbox holds, and for a second of work.
fn made_small(args: Vec<String>) -> Vec<String> {
    let named =
        |args: &[String], flag: &str| args.iter().any(|arg| arg == flag || arg.starts_with(&format!("{flag}=")));
    let mut small: Vec<String> = args.iter().map(|arg| stand_in(arg)).collect();
    let set = |small: &mut Vec<String>, flag: &str, value: &str| match small.iter().position(|arg| arg == flag) {
        Some(place) => small[place + 1] = value.to_owned(),
        None => small.extend([flag.to_owned(), value.to_owned()]),
    };
    let verb = small.first().filter(|word| !word.starts_with('-')).cloned();
    match verb.as_deref() {
        None | Some("train") => {
            let resumed = named(&args, "--resume");
            if verb.is_none() {
                small.insert(0, "train".into());
            }
            if !resumed || named(&args, "--total-steps") {
                set(&mut small, "--total-steps", if resumed { "1536" } else { "512" });
            }
            if !resumed {
                if named(&args, "--num-envs") {
                    set(&mut small, "--num-envs", "8");
                }
                small.extend(TINY.iter().filter(|own| !is_given(&args, own)).map(|own| (*own).to_owned()));
                small.push("--quiet".into());
            }
        }
        // Sweeps are run to their end by a test of their own.
        Some("sweep") if !named(&args, "--dry-run") => small.push("--dry-run".into()),
        Some("eval") => set(&mut small, "--episodes", "2"),
        // Its parts are run by tests/cli/check.rs.
        Some("check") => set(&mut small, "--only", "kernel/gather"),
        Some("watch") if !named(&args, "--once") => small.push("--once".into()),
        Some("record") => {
            set(&mut small, "--episodes", "1");
        }
        Some("bench") => {
            set(&mut small, "--num-envs", "64");
        }
        _ => (),
    }
    small
}

/// Whether a command gives what `own` (`--flag=value` or `--set=key=value`) would say.
fn is_given(args: &[String], own: &str) -> bool {
    let (flag, value) = own.split_once('=').unwrap();
    let key = |setting: &str| setting.split('=').next().unwrap().to_owned();
    args.iter().enumerate().any(|(i, arg)| match flag {
        "--set" => arg == "--set" && key(&args[i + 1]) == key(value),
        _ => arg == flag,
    })
}

/// What an argument's placeholder stands for in the sandbox.
fn stand_in(arg: &str) -> String {
    match arg {
        "RUN" | "runs/NAME" | "runs/kfcpo/seedN" => "runs/one".into(),
        "100N" => "1000".into(),
        "runs/quick" => "runs".into(),
        file if file.starts_with("runs/NAME/") => file.replacen("runs/NAME", "runs/one", 1),
        file if file.starts_with("assets/") => root().join(file).to_string_lossy().into_owned(),
        "cuda" | "wgpu" | "vulkan" => "cpu".into(),
        _ => arg.to_owned(),
    }
}

#[test]
fn every_command_of_the_documents_works() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("runs/one", 1024, &["--quiet"]);
    sandbox.succeed(&["export", "runs/one"]);
    fs::write(sandbox.path("my.json"), r#"{"seed": 5}"#).unwrap();
    let level = sandbox.succeed(&["envs", "--json", "PointGoal1"]).stdout;
    fs::write(sandbox.path("my-level.json"), level).unwrap();
    fs::create_dir_all(sandbox.path("assets/sweeps")).unwrap();
    fs::write(sandbox.path("assets/sweeps/quick.json"), SWEEP).unwrap();
    fs::create_dir_all(sandbox.path("assets/levels")).unwrap();
    let level = "assets/levels/courtyard.toml";
    fs::copy(root().join(level), sandbox.path(level)).unwrap();
    let (mut tried, mut wrong) = (0, Vec::new());
    for (page, lines) in documents() {
        for line in lines {
            match arguments(&line) {
                Some((args, file)) => {
                    let args = made_small(args);
                    let finished = sandbox.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
                    tried += 1;
                    if let Some(file) = file {
                        fs::write(sandbox.path(&file), &finished.stdout).unwrap();
                    }
                    if finished.code != Some(0) {
                        wrong.push(format!("{page}: {line}\n  as {args:?}\n  {:?} {}", finished.code, finished.stderr));
                    }
                }
                None => {
                    if !OTHERS.iter().any(|other| line.starts_with(other))
                        && !line.starts_with("trainer")
                        && !line.starts_with("cargo run")
                    {
                        wrong
                            .push(format!("{page}: {line}\n  is neither a command of the program nor of a known kind"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 10, "only {tried} commands were found");
}

/// Every page of Markdown that is written for readers.
fn pages() -> Vec<PathBuf> {
    let folders = [
        "",
        "crates",
        "assets/docs/src",
        "assets/results",
        "benches/compare",
        "tests",
        "tests/fixtures",
        "tests/record",
        "tests/transfer",
    ];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let mut pages: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    pages
}

/// Text of a page outside its blocks of code and its `spans` of it.
fn prose(text: &str) -> String {
    let (mut prose, mut fenced) = (String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// Where the links and pictures of a text lead: what stands in parentheses behind `]`.
fn targets(prose: &str) -> Vec<&str> {
    let behind = prose.match_indices("](").map(|(at, _)| &prose[at + 2..]);
    behind.filter_map(|rest| rest.split(')').next()).map(|target| target.split(' ').next().unwrap_or(target)).collect()
}

/// The anchors of a page's headings, as mdBook and GitHub make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let headings = text.lines().filter(|line| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && line.starts_with('#')
    });
    let anchor = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let prose = prose(&text);
        for target in targets(&prose) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            tried += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_there = path.exists()
                && (anchor.is_empty() || anchors(&fs::read_to_string(&path).unwrap_or_default()).contains(anchor));
            if !is_there {
                wrong.push(format!("{}: {target}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
    assert!(tried >= 50, "only {tried} links were found");
}

#[test]
fn every_page_stands_in_the_summary() {
    let folder = root().join("assets/docs/src");
    let summary = fs::read_to_string(folder.join("SUMMARY.md")).unwrap();
    let named: BTreeSet<&str> = targets(&summary).into_iter().collect();
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "SUMMARY.md" || !name.ends_with(".md") || named.contains(name.as_str()), "{name}");
    }
}
