//! Errors of a replay: spreads over steps, split by contact.

/// Spread of an absolute error; NaN where nothing was scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorSpread {
    /// Median.
    pub p50: f64,
    /// 99th percentile (nearest rank).
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl ErrorSpread {
    fn of(mut errors: Vec<f64>) -> Self {
        if errors.is_empty() {
            return Self { p50: f64::NAN, p99: f64::NAN, max: f64::NAN };
        }
        errors.sort_by(f64::total_cmp);
        let rank = |q: f64| errors[((q * errors.len() as f64).ceil() as usize).clamp(1, errors.len()) - 1];
        Self { p50: rank(0.5), p99: rank(0.99), max: rank(1.0) }
    }
}

/// Errors over a set of steps.
#[derive(Clone, Debug)]
pub struct SplitErrors {
    /// Steps in the set.
    pub scored: usize,
    /// Agent position, Euclidean \[m\].
    pub pos: ErrorSpread,
    /// Agent yaw \[rad\].
    pub yaw: ErrorSpread,
    /// Agent velocity, Euclidean \[m/s\].
    pub vel: ErrorSpread,
    /// Yaw rate \[rad/s\].
    pub omega: ErrorSpread,
    /// Largest lidar error of a step.
    pub lidar: ErrorSpread,
    /// Largest error of a step over the whole observation, each number in its own unit.
    pub obs: ErrorSpread,
    /// Reward.
    pub reward: ErrorSpread,
    /// Position of the movable objects, Euclidean, the worst of a step \[m\].
    pub object_pos: ErrorSpread,
    /// Steps whose cost differs.
    pub cost_mismatches: usize,
    /// Those of them where the recorded agent is within 1e-5 m of a hazard's edge.
    pub cost_mismatches_at_edge: usize,
    /// Steps at whose end the agent touches an object on one side only.
    pub contact_mismatches: usize,
}

/// What [`super::replay()`] found.
#[derive(Clone, Debug)]
pub struct ParityReport {
    /// The recording's name.
    pub file: String,
    /// Environment id.
    pub env: String,
    /// Steps in the recording.
    pub steps: usize,
    /// All scored steps.
    pub all: SplitErrors,
    /// Steps in which the agent touched nothing.
    pub free: SplitErrors,
    /// Steps in which the agent touched an object: before, after, or (by our simulation) during it.
    pub contact: SplitErrors,
}

impl ParityReport {
    /// Every figure by name, in a fixed order: `pos_err_max`, ..., `pos_err_max_free`, ...,
    /// `pos_err_max_contact`, ...; NaN where nothing was scored.
    pub fn figures(&self) -> Vec<(String, f64)> {
        let mut out = vec![
            ("steps".to_owned(), self.steps as f64),
            ("scored".to_owned(), self.all.scored as f64),
            ("contact_steps".to_owned(), self.contact.scored as f64),
        ];
        for (set, suffix) in [(&self.all, ""), (&self.free, "_free"), (&self.contact, "_contact")] {
            let spreads: [(&str, &ErrorSpread, bool); 8] = [
                ("pos_err", &set.pos, true),
                ("yaw_err", &set.yaw, true),
                ("vel_err", &set.vel, true),
                ("omega_err", &set.omega, true),
                ("lidar_err", &set.lidar, false),
                ("obs_err", &set.obs, true),
                ("reward_err", &set.reward, false),
                ("object_pos_err", &set.object_pos, false),
            ];
            for (name, spread, median) in spreads {
                if median {
                    out.push((format!("{name}_p50{suffix}"), spread.p50));
                }
                out.push((format!("{name}_p99{suffix}"), spread.p99));
                out.push((format!("{name}_max{suffix}"), spread.max));
            }
            out.push((format!("cost_mismatches{suffix}"), set.cost_mismatches as f64));
            let at_edge = set.cost_mismatches_at_edge as f64;
            out.push((format!("cost_mismatches_at_edge{suffix}"), at_edge));
            out.push((format!("contact_mismatches{suffix}"), set.contact_mismatches as f64));
        }
        out
    }
}

/// Errors of every step of one set, before they are summarised.
#[derive(Default)]
pub(super) struct Samples {
    scored: usize,
    series: [Vec<f64>; 8],
    cost_mismatches: usize,
    cost_mismatches_at_edge: usize,
    contact_mismatches: usize,
}

pub(super) const POS: usize = 0;
pub(super) const YAW_ERROR: usize = 1;
pub(super) const VEL: usize = 2;
pub(super) const OMEGA_ERROR: usize = 3;
pub(super) const LIDAR: usize = 4;
pub(super) const OBS: usize = 5;
pub(super) const REWARD: usize = 6;
pub(super) const OBJECT: usize = 7;

impl Samples {
    pub fn push(&mut self, step: &StepErrors) {
        self.scored += 1;
        for (series, value) in self.series.iter_mut().zip(step.errors) {
            series.extend(value);
        }
        self.cost_mismatches += usize::from(step.cost_mismatch);
        self.cost_mismatches_at_edge += usize::from(step.cost_mismatch && step.at_edge);
        self.contact_mismatches += usize::from(step.contact_mismatch);
    }

    pub fn summarise(self) -> SplitErrors {
        let [pos, yaw, vel, omega, lidar, obs, reward, object_pos] = self.series.map(ErrorSpread::of);
        SplitErrors {
            scored: self.scored,
            pos,
            yaw,
            vel,
            omega,
            lidar,
            obs,
            reward,
            object_pos,
            cost_mismatches: self.cost_mismatches,
            cost_mismatches_at_edge: self.cost_mismatches_at_edge,
            contact_mismatches: self.contact_mismatches,
        }
    }
}

/// Errors of one step; None where the recording has nothing to compare with.
#[derive(Default)]
pub(super) struct StepErrors {
    pub errors: [Option<f64>; 8],
    pub cost_mismatch: bool,
    pub at_edge: bool,
    pub contact_mismatch: bool,
    pub contact: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let spread = ErrorSpread::of((1..=200).rev().map(f64::from).collect());
        assert_eq!((spread.p50, spread.p99, spread.max), (100.0, 198.0, 200.0));
        assert!(ErrorSpread::of(Vec::new()).max.is_nan());
    }
}
