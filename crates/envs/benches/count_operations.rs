//! Counts the floating-point operations of an average environment step under random actions: the numbers behind
//! the work that the trainer's `bench env` divides by.
//!
//! Runs the bench `random_steps` under valgrind, which counts how often every instruction was executed, and weighs each
//! with the operations it does (lanes, twice for a fused multiply-add). Two runs of different length, so that start and
//! first layouts cancel. Valgrind knows no AVX-512, the program then takes AVX2: the operations are the same.
//! Needs `valgrind` and `objdump`. `cargo bench -p envs --no-run`, then `cargo bench -p envs --bench count_operations -- [ENV...]`.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ENVS: usize = 256;
/// Steps of the two runs; from the first on, agents are in motion.
const STEPS: [usize; 2] = [40, 440];

fn main() -> Result<(), Box<dyn Error>> {
    let program = random_steps()?;
    let weights = weights(&program)?;
    // Cargo itself passes `--bench`.
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let all = || envs::registry().iter().map(envs::NavigationSpec::short_id).collect();
    let chosen: Vec<String> = if named.is_empty() { all() } else { named };
    for env in chosen {
        let [short, long] = STEPS.map(|steps| operations(&program, &weights, &env, steps));
        println!("{env} {:.0}", (long? - short?) / (ENVS * (STEPS[1] - STEPS[0])) as f64);
    }
    Ok(())
}

/// The program `random_steps`, which cargo has built beside this one under a name with a hash: the newest of them.
fn random_steps() -> Result<PathBuf, Box<dyn Error>> {
    let here = std::env::current_exe()?;
    let folder = here.parent().ok_or("this program lies in no folder")?;
    let is_program = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("random_steps") && !name.contains('.')
    };
    let programs = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).filter(is_program);
    let newest = programs.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    newest.ok_or_else(|| "build it first: cargo bench -p envs --no-run".into())
}

/// Operations by address in the file, of every instruction that does any.
fn weights(program: &Path) -> Result<HashMap<u64, f64>, Box<dyn Error>> {
    let listing = Command::new("objdump").args(["-d", "--no-show-raw-insn", "-j", ".text"]).arg(program).output()?;
    let text = String::from_utf8(listing.stdout)?;
    let weigh = |line: &str| {
        let (address, instruction) = line.trim_start().split_once(":\t")?;
        let (name, operands) = instruction.split_once(' ').unwrap_or((instruction, ""));
        Some((u64::from_str_radix(address, 16).ok()?, weight(name, operands)?))
    };
    Ok(text.lines().filter_map(weigh).collect())
}

/// Operations of one instruction: `vmulps`, `sqrtss`, `vfmadd231ps` and their like.
fn weight(name: &str, operands: &str) -> Option<f64> {
    let name = name.strip_prefix('v').unwrap_or(name);
    let (kind, form) = name.split_at_checked(name.len().checked_sub(2)?)?;
    let registers = match operands {
        _ if operands.contains("zmm") => 16.0,
        _ if operands.contains("ymm") => 8.0,
        _ => 4.0,
    };
    let lanes = match form {
        "ss" | "sd" => 1.0,
        "ps" => registers,
        "pd" => registers / 2.0,
        _ => return None,
    };
    let fused = ["fmadd", "fmsub", "fnmadd", "fnmsub"].iter().any(|fused| kind.starts_with(fused));
    let plain = ["add", "sub", "mul", "div", "sqrt", "max", "min"].contains(&kind);
    (fused || plain).then_some(if fused { 2.0 * lanes } else { lanes })
}

fn operations(program: &Path, weights: &HashMap<u64, f64>, env: &str, steps: usize) -> Result<f64, Box<dyn Error>> {
    let out: PathBuf = std::env::temp_dir().join(format!("operations-{}.out", std::process::id()));
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-instr=yes"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([env, &ENVS.to_string(), &steps.to_string()])
        .env("RAYON_NUM_THREADS", "1")
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("valgrind or random_steps failed for {env}").into());
    }
    let profile = std::fs::read_to_string(&out)?;
    std::fs::remove_file(&out)?;
    Ok(executed(&profile).map(|(address, times)| times * weights.get(&address).unwrap_or(&0.0)).sum())
}

/// Addresses and how often they were executed, from callgrind's file: a line is `ADDRESS LINE COUNT`, the address
/// absolute, relative to the line before (`+3`, `-3`) or the same (`*`); what follows `calls=` counts a callee again.
fn executed(profile: &str) -> impl Iterator<Item = (u64, f64)> {
    let (mut address, mut called) = (0u64, false);
    profile.lines().filter_map(move |line| {
        if line.starts_with("calls=") {
            called = true;
            return None;
        }
        let mut fields = line.split(' ');
        let at = fields.next()?;
        address = match at.as_bytes().first()? {
            b'0' => u64::from_str_radix(at.strip_prefix("0x")?, 16).ok()?,
            b'+' => address.wrapping_add(at[1..].parse().ok()?),
            b'-' => address.wrapping_sub(at[1..].parse().ok()?),
            b'*' => address,
            _ => return None,
        };
        let times = fields.nth(1)?.parse().ok()?;
        (!std::mem::take(&mut called)).then_some((address, times))
    })
}
