//! The numbers of a rollout's steps on the host: what finished, and what a step earned and cost.

use burn::tensor::Tensor;
use compute::read;

use crate::elementwise::concat;
use crate::episode::FinishedEpisode;
use crate::error::SafeRlError;

/// Rows whatever the number of constraints.
const COMMON_ROWS: usize = 6;
const REWARD: usize = 0;

/// Numbers of N steps, row after row: reward, C costs, terminated, truncated, and of the episode so far return, C costs,
/// length and whether it began in the middle, `[6 + 2 C, N]`.
#[derive(Debug, Clone, PartialEq)]
pub struct StepScalars {
    numbers: Vec<f32>,
    constraints: usize,
    samples: usize,
}

impl StepScalars {
    /// The numbers of `samples` steps.
    ///
    /// # Errors
    /// [`SafeRlError::EmptyRollout`], or [`SafeRlError::ShapeMismatch`] if they do not fill an even number of rows.
    pub fn new(numbers: Vec<f32>, samples: usize) -> Result<Self, SafeRlError> {
        if samples == 0 {
            return Err(SafeRlError::EmptyRollout);
        }
        let constraints = (numbers.len() / samples).saturating_sub(COMMON_ROWS) / 2;
        let expected = COMMON_ROWS + 2 * constraints;
        if numbers.len() != expected * samples {
            let (expected, got) = (vec![expected, samples], vec![numbers.len()]);
            return Err(SafeRlError::ShapeMismatch { what: "scalars", expected, got });
        }
        Ok(Self { numbers, constraints, samples })
    }

    /// The numbers of these rows, each of the tensors `[B]` of one step after the other: one read-back.
    ///
    /// # Errors
    /// Those of [`StepScalars::new`], or [`SafeRlError::Compute`] if the device fails.
    pub fn gather(rows: Vec<Vec<Tensor<1>>>) -> Result<Self, SafeRlError> {
        let samples = rows.first().map_or(0, |row| row.iter().map(|step| step.dims()[0]).sum());
        if samples == 0 {
            return Err(SafeRlError::EmptyRollout);
        }
        Self::new(read("steps", concat(rows.concat()))?, samples)
    }

    /// C.
    pub fn constraints(&self) -> usize {
        self.constraints
    }

    pub(super) fn terminated_row(&self) -> usize {
        1 + self.constraints
    }

    pub(super) fn truncated_row(&self) -> usize {
        self.terminated_row() + 1
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.samples..(row + 1) * self.samples]
    }

    /// Mean reward per step.
    pub fn mean_reward(&self) -> f64 {
        self.mean(REWARD)
    }

    /// Mean of each cost per step, `[C]`.
    pub fn mean_costs(&self) -> Vec<f64> {
        (1..=self.constraints).map(|row| self.mean(row)).collect()
    }

    fn mean(&self, row: usize) -> f64 {
        self.row(row).iter().map(|&x| f64::from(x)).sum::<f64>() / self.samples as f64
    }

    /// The episodes that ended, in the order of the steps.
    pub fn finished(&self) -> Vec<FinishedEpisode> {
        let (terminated, truncated) = (self.row(self.terminated_row()), self.row(self.truncated_row()));
        let return_row = self.truncated_row() + 1;
        let length_row = return_row + 1 + self.constraints;
        let ended = (0..self.samples).filter(|&n| terminated[n] > 0.5 || truncated[n] > 0.5);
        let episode = |n: usize| FinishedEpisode {
            episode_return: self.row(return_row)[n],
            costs: (0..self.constraints).map(|k| self.row(return_row + 1 + k)[n]).collect(),
            length: self.row(length_row)[n],
            partial: self.row(length_row + 1)[n] > 0.5,
        };
        ended.map(episode).collect()
    }

    /// Steps, ascending, at which an episode was cut off. One that is also at a terminal state has nothing to bootstrap from
    /// and is not among them.
    pub(super) fn truncated(&self) -> Vec<usize> {
        let (terminated, cut) = (self.row(self.terminated_row()), self.row(self.truncated_row()));
        (0..self.samples).filter(|&n| cut[n] > 0.5 && terminated[n] <= 0.5).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three steps with two constraints; the second is truncated, the third both.
    fn numbers() -> Vec<f32> {
        let rows = [
            [1.0, 2.0, 3.0], // reward
            [0.0, 1.0, 0.5], // costs
            [4.0, 4.0, 1.0],
            [0.0, 0.0, 1.0], // terminated, truncated
            [0.0, 1.0, 1.0],
            [1.0, 3.0, 6.0], // of the episode
            [0.0, 1.0, 1.5],
            [4.0, 8.0, 9.0],
            [1.0, 2.0, 3.0],
            [0.0, 0.0, 1.0],
        ];
        rows.concat()
    }

    #[test]
    fn means_and_finished_episodes_are_those_of_the_rows() {
        let scalars = StepScalars::new(numbers(), 3).unwrap();
        assert_eq!((scalars.mean_reward(), scalars.mean_costs()), (2.0, vec![0.5, 3.0]));
        assert_eq!(scalars.truncated(), [1]);
        let finished = scalars.finished();
        let second = FinishedEpisode { episode_return: 3.0, costs: vec![1.0, 8.0], length: 2.0, partial: false };
        assert_eq!((finished.len(), &finished[0]), (2, &second));
        assert!(finished[1].partial && finished[1].costs == [1.5, 9.0]);
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        assert!(StepScalars::new(numbers(), 4).is_err());
        assert!(matches!(StepScalars::new(Vec::new(), 0), Err(SafeRlError::EmptyRollout)));
    }
}
