//! Where the time of an environment step goes: `bench env --parts`, under random actions or a saved policy's.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use burn::tensor::{Device, Distribution, Tensor};
use envs::parts::{self, Breakdown, Solutions};
use envs::{Navigation, NavigationSpec, VecEnv};
use safe_rl::Normalizer;
use serde_json::{Value, json};

use crate::error::UsageError;
use crate::policy::Policy;
use crate::policy::source::PolicySource;

/// Seconds of steps before the clocks run: episodes begin staggered, and objects have been pushed about by then.
const WARM_UP_SECONDS: f64 = 3.0;
/// Seconds of steps that are taken apart.
const SECONDS: f64 = 5.0;
/// Batches of random actions, taken in turn.
const ACTIONS: usize = 16;

/// Who acts.
enum Driver {
    Random(Vec<Tensor<2>>),
    Saved(Box<Policy>, Box<Normalizer>),
}

impl Driver {
    fn new(policy: Option<&Path>, spec: &NavigationSpec, num_envs: usize, device: &Device) -> Result<Self> {
        let Some(path) = policy else {
            let shape = [num_envs, spec.env.action_dim];
            let uniform = Distribution::Uniform(-1.0, 1.0);
            return Ok(Self::Random((0..ACTIONS).map(|_| Tensor::random(shape, uniform, device)).collect()));
        };
        let snapshot = PolicySource::open(path, None)?.policy(device)?;
        let (own, theirs) = ([spec.env.obs_dim, spec.env.action_dim], (snapshot.sizes.first(), snapshot.sizes.last()));
        if theirs != (Some(&own[0]), Some(&own[1])) {
            let message = format!(
                "{} was trained on {}, with other observations or actions than the {} and {} of {}",
                path.display(),
                snapshot.env,
                own[0],
                own[1],
                spec.env.id
            );
            return Err(UsageError::new(message).into());
        }
        Ok(Self::Saved(Box::new(snapshot.policy(device)?), Box::new(snapshot.normalizer(device)?)))
    }

    fn action(&self, step: usize, obs: &Tensor<2>) -> Tensor<2> {
        match self {
            Self::Random(actions) => actions[step % actions.len()].clone(),
            Self::Saved(policy, normalizer) => policy.forward(normalizer.apply(obs.clone())),
        }
    }
}

/// A step taken apart.
pub struct StepParts {
    found: Breakdown,
    /// Environment steps that were measured.
    steps: usize,
    /// Seconds that they took, actions apart.
    seconds: f64,
    threads: usize,
}

impl StepParts {
    /// Steps `num_envs` environments on the CPU under random actions, or the mean actions of the policy at `policy`.
    ///
    /// # Errors
    /// [`UsageError`] when there is no policy at `policy`, or it has other sizes.
    pub fn measure(
        spec: &NavigationSpec,
        num_envs: usize,
        policy: Option<&Path>,
        device: &Device,
        threads: usize,
    ) -> Result<Self> {
        let driver = Driver::new(policy, spec, num_envs, device)?;
        let mut env = Navigation::new(spec.clone(), num_envs, 0, device)?;
        let mut obs = env.reset(true);
        let mut run = |limit_s: f64| {
            let (begun, mut batches, mut stepping_s) = (Instant::now(), 0, 0.0);
            while batches == 0 || begun.elapsed().as_secs_f64() < limit_s {
                let action = driver.action(batches, &obs);
                let since = Instant::now();
                obs = env.step(action).obs;
                stepping_s += since.elapsed().as_secs_f64();
                batches += 1;
            }
            (batches, stepping_s)
        };
        run(WARM_UP_SECONDS);
        let ((batches, seconds), found) = parts::measure(|| run(SECONDS));
        Ok(Self { found, steps: batches * num_envs, seconds, threads })
    }

    /// Adds all figures to a row of results.
    pub fn add_to(&self, result: &mut Value) {
        let steps = self.steps as f64;
        result["measured_steps"] = json!(self.steps);
        result["steps_per_s_with_clocks"] = json!(steps / self.seconds);
        let parts = self.found.seconds.iter();
        result["step_parts"] =
            parts.map(|(part, seconds)| json!({ "part": part.name(), "ns_per_step": 1e9 * seconds / steps })).collect();
        let class = |class: &Solutions| {
            json!({
                "fewest_contacts": class.fewest,
                "most_contacts": class.most,
                "per_step": class.solved as f64 / steps,
                "solver_steps": mean(class.steps as f64, class.solved),
                "us": 1e6 * mean(class.seconds, class.solved),
            })
        };
        result["solutions"] = self.found.solutions.iter().map(class).collect();
        let kinds = self.found.contacts.iter();
        result["contacts_per_step"] =
            kinds.map(|(name, count)| ((*name).to_owned(), json!(*count as f64 / steps))).collect();
    }

    /// As lines.
    pub fn text(&self) -> String {
        let steps = self.steps as f64;
        let whole: f64 = self.found.seconds.iter().map(|(_, seconds)| seconds).sum();
        let mut text = format!(
            "a step taken apart: {} environment steps, {:.0} steps/s with the clocks on, {} thread(s)\n{:<16}{:>12}{:>9}",
            self.steps,
            steps / self.seconds,
            self.threads,
            "part",
            "ns per step",
            "share"
        );
        for (part, seconds) in &self.found.seconds {
            let (nanos, share) = (1e9 * seconds / steps, 100.0 * seconds / whole);
            text.push_str(&format!("\n{:<16}{nanos:>12.0}{share:>7.1} %", part.name()));
        }
        text.push_str(&format!("\n{:<16}{:>12.0}", "sum", 1e9 * whole / steps));
        text.push_str(&format!(
            "\n\n{:<16}{:>18}{:>14}{:>12}",
            "contacts solved", "per 1000 steps", "solver steps", "us each"
        ));
        for class in &self.found.solutions {
            let contacts =
                class.most.map_or(format!("{} and more", class.fewest), |most| format!("{} to {most}", class.fewest));
            text.push_str(&format!(
                "\n{contacts:<16}{:>18.2}{:>14.1}{:>12.2}",
                1e3 * class.solved as f64 / steps,
                mean(class.steps as f64, class.solved),
                1e6 * mean(class.seconds, class.solved),
            ));
        }
        text.push_str(&format!("\n\n{:<18}{:>16}", "who touches what", "per 1000 steps"));
        for (name, count) in &self.found.contacts {
            text.push_str(&format!("\n{name:<18}{:>16.2}", 1e3 * *count as f64 / steps));
        }
        text
    }
}

/// The mean of what adds up to `sum`; 0 of nothing.
fn mean(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}
