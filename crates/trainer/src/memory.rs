//! Memory that work needs and that there is: what cannot fit is refused before it begins.

use std::fs;
use std::path::Path;

use envs::EnvSpec;

use crate::config::TrainConfig;
use crate::device::{DeviceChoice, SelectedDevice};
use crate::error::UsageError;

/// Bytes of a float32.
const FLOAT: f64 = 4.0;
/// Bytes of the program, its threads and its allocator's reserves.
const PROGRAM: f64 = 64e6;
/// Floats of one environment apart from its observation: its state, layout and accounts (PointGoal1 measured, rounded up).
const ENV_FLOATS: f64 = 420.0;
/// Copies of the observations that a rollout and its update hold at once.
const OBS_COPIES: f64 = 4.0;
/// Numbers of a sample beside observation and action: log-probability, reward, cost, values, advantages, targets, flags.
const SAMPLE_FLOATS: f64 = 30.0;
/// Vectors as long as a critic's parameters: itself, Adam's two, gradient, steps on their way.
const CRITIC_VECTORS: f64 = 6.0;
/// The same of a policy: itself, averages, gradients, natural gradients of two objectives, the candidate.
const POLICY_VECTORS: f64 = 12.0;
/// Copies of the Kronecker factors: running, sampled, damped, inverted.
const FACTOR_COPIES: f64 = 5.0;

/// Bytes of an environment's contacts on a GPU: its threads have no stack to put them on.
const CONTACT_BYTES: f64 = 19e3;

/// Bytes that training under `config` needs at its peak on a CPU, by the sizes of what it holds. Meant to be right to a
/// factor of two: it tells a slip of the finger from a large run. (PointGoal1, one thread, peak of the process against this:
/// 80 and 87 MB with 512 environments and rollouts of 40, 221 and 291 MB with rollouts of 400, 325 and 460 MB with 16,384
/// and 20. Passes through the networks take samples in blocks and hold next to nothing.)
pub fn of_training(config: &TrainConfig, env: &EnvSpec) -> f64 {
    let samples = config.num_envs as f64 * config.rollout_steps as f64;
    let (obs, act) = (env.obs_dim as f64, env.action_dim as f64);
    let measured = config.deployed.measured_envs(config.num_envs) as f64;
    let envs = (config.num_envs as f64 + measured) * (ENV_FLOATS + 2.0 * obs);
    let rollout = samples * (OBS_COPIES * obs + 3.0 * act + SAMPLE_FLOATS);
    let update = of_policy_floats(&widths(env, &config.policy.hidden));
    let critic = widths_to(env.obs_dim, &config.critic.hidden, 1);
    let critics = 2.0 * (CRITIC_VECTORS * params(&critic));
    let deployed = measured * config.rollout_steps as f64 * SAMPLE_FLOATS;
    PROGRAM + FLOAT * (envs + rollout + update + critics + deployed)
}

/// Bytes that a policy update on `batch` samples needs, as `bench kfac` makes it.
pub fn of_update(batch: f64, env: &EnvSpec, hidden: &[usize]) -> f64 {
    let (obs, act) = (env.obs_dim as f64, env.action_dim as f64);
    let samples = batch * (OBS_COPIES * obs + 3.0 * act + SAMPLE_FLOATS);
    PROGRAM + FLOAT * (samples + of_policy_floats(&widths(env, hidden)))
}

/// Bytes of `num_envs` environments that are stepped.
pub fn of_envs(num_envs: f64, env: &EnvSpec) -> f64 {
    PROGRAM + FLOAT * num_envs * (ENV_FLOATS + OBS_COPIES * env.obs_dim as f64)
}

fn of_policy_floats(sizes: &[usize]) -> f64 {
    let factor = |inputs: usize, outputs: usize| (inputs as f64 + 1.0).powi(2) + (outputs as f64).powi(2);
    let factors: f64 = sizes.windows(2).map(|pair| factor(pair[0], pair[1])).sum();
    POLICY_VECTORS * params(sizes) + FACTOR_COPIES * factors
}

fn widths(env: &EnvSpec, hidden: &[usize]) -> Vec<usize> {
    widths_to(env.obs_dim, hidden, env.action_dim)
}

fn widths_to(inputs: usize, hidden: &[usize], outputs: usize) -> Vec<usize> {
    [&[inputs], hidden, &[outputs]].concat()
}

fn params(sizes: &[usize]) -> f64 {
    sizes.windows(2).map(|pair| (pair[0] as f64 + 1.0) * pair[1] as f64).sum()
}

/// Refuses work on the CPU that needs more bytes than there are; `what` begins the message.
///
/// # Errors
///
/// [`UsageError`] with both numbers.
pub fn ensure_fits(what: &str, bytes: f64) -> Result<(), UsageError> {
    available().map_or(Ok(()), |there| there.ensure(what, bytes))
}

/// Refuses work with `num_envs` environments that needs more bytes than `device` has, or this machine for the CPU. A GPU
/// whose driver does not tell is not asked.
///
/// # Errors
///
/// [`UsageError`] with both numbers.
pub fn ensure_fits_on(device: &SelectedDevice, what: &str, bytes: f64, num_envs: f64) -> Result<(), UsageError> {
    if device.choice == DeviceChoice::Cpu {
        return ensure_fits(what, bytes);
    }
    let card = device.card_memory().map(|bytes| Available { bytes, of: "the GPU" });
    card.map_or(Ok(()), |there| there.ensure(what, bytes + CONTACT_BYTES * num_envs))
}

/// Memory that this process may still use.
struct Available {
    bytes: f64,
    /// Whose it is.
    of: &'static str,
}

impl Available {
    fn ensure(&self, what: &str, bytes: f64) -> Result<(), UsageError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        Err(UsageError::new(format!(
            "{what} needs about {}, and {} has {}: fewer environments, shorter rollouts or smaller networks would fit",
            in_words(bytes),
            self.of,
            in_words(self.bytes)
        )))
    }
}

/// Bytes that the limit on the address space leaves to this process, where there is one. Only Linux tells.
pub fn address_space() -> Option<f64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let limits = read("/proc/self/limits");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: f64 = limit.split_whitespace().next()?.parse().ok()?;
    Some(limit - kilobytes(&read("/proc/self/status"), "VmSize:").unwrap_or(0.0))
}

/// The least of what the machine, the control group and the limit on the address space leave. Only Linux tells.
fn available() -> Option<Available> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = || {
        let meminfo = read("/proc/meminfo");
        Some(kilobytes(&meminfo, "MemAvailable:")? + kilobytes(&meminfo, "SwapFree:").unwrap_or(0.0))
    };
    let candidates = [
        (machine(), "this machine"),
        (group_limit(&read("/proc/self/cgroup")), "its control group (the container)"),
        (address_space(), "the limit on this process's address space"),
    ];
    let known = candidates.into_iter().filter_map(|(bytes, of)| Some(Available { bytes: bytes?, of }));
    known.min_by(|a, b| a.bytes.total_cmp(&b.bytes))
}

/// The number after `key` in a table of kilobytes, in bytes.
fn kilobytes(table: &str, key: &str) -> Option<f64> {
    let number = table.lines().find_map(|line| line.strip_prefix(key))?;
    Some(1024.0 * number.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()?)
}

/// The least memory limit of the control groups that the process is in; `groups` is its /proc/self/cgroup.
fn group_limit(groups: &str) -> Option<f64> {
    let mut least: Option<f64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // Every group on the way up may set a limit; in a container only those below its root can be seen.
        for group in Path::new(path).ancestors() {
            let group = Path::new(root).join(group.strip_prefix("/").unwrap_or(group));
            let limit = fs::read_to_string(group.join(file)).ok();
            let limit = limit.and_then(|text| text.trim().parse::<f64>().ok()); // `max` is no number
            least = least.into_iter().chain(limit).reduce(f64::min);
        }
    }
    least
}

/// Bytes with a unit.
fn in_words(bytes: f64) -> String {
    let (unit, name) = [(1e18, "EB"), (1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit)
        .unwrap_or((1.0, "bytes"));
    format!("{:.1} {name} ({bytes:.0} bytes)", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> EnvSpec {
        envs::find("PointGoal1").unwrap().env
    }

    #[test]
    fn the_default_run_fits_and_slips_do_not() {
        let config = TrainConfig::default();
        let bytes = of_training(&config, &env());
        assert!((64e6..1e9).contains(&bytes), "{bytes}");
        for (num_envs, rollout_steps) in [(512, 100_000_000), (1 << 20, 1 << 20), (512, usize::MAX)] {
            let config = TrainConfig { num_envs, rollout_steps, ..config.clone() };
            assert!(of_training(&config, &env()) > 1e12);
        }
        assert!(of_update(1e12, &env(), &[64, 64]) > 1e14);
        assert!(of_envs(u64::MAX as f64, &env()) > 1e20);
    }

    #[test]
    fn what_does_not_fit_is_said_in_bytes() {
        if cfg!(target_os = "linux") {
            let text = ensure_fits("this", 1e18).unwrap_err().to_string();
            assert!(text.contains("1.0 EB (1000000000000000000 bytes)") && text.contains(" has "), "{text}");
        }
        assert!(ensure_fits("this", 1.0).is_ok());
    }

    #[test]
    fn a_card_is_asked_for_its_own_memory() {
        let card = Available { bytes: 80e9, of: "the GPU" };
        assert!(card.ensure("this", 79e9).is_ok());
        let text = card.ensure("this", 81e9).unwrap_err().to_string();
        assert!(text.contains("81.0 GB (81000000000 bytes), and the GPU has 80.0 GB (80000000000 bytes)"), "{text}");
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_cpu_is_asked_for_what_the_machine_has() {
        let device = crate::device::select_device(DeviceChoice::Cpu).unwrap();
        assert!(ensure_fits_on(&device, "this", 1.0, 1e18).is_ok());
        assert!(ensure_fits_on(&device, "this", 1e18, 1.0).is_err() == cfg!(target_os = "linux"));
    }

    #[test]
    fn limits_are_read_from_the_tables_of_linux() {
        assert_eq!(kilobytes("MemTotal: 9 kB\nMemAvailable:      12 kB\n", "MemAvailable:"), Some(12288.0));
        assert_eq!(kilobytes("", "MemAvailable:"), None);
        assert_eq!(group_limit("0::/no/such/group\n1:cpu:/x\nnonsense\n"), group_limit("0::/\n"));
    }
}
