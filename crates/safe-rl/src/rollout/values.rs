//! What the critics' outputs say of each step: its value, and that of the next observation.

mod cpu;

use burn::tensor::{Int, Tensor, TensorData};
use compute::first_of;

use super::Rollout;
use crate::minibatch::gather_columns;

/// Values of the objectives' critics over a rollout, both `[S, T, B]`.
#[derive(Debug, Clone)]
pub struct Values {
    /// Of the observation acted on.
    pub value: Tensor<3>,
    /// Of the next one: the following step's, the final observation's where truncated, zero where terminated.
    pub next_value: Tensor<3>,
}

impl Rollout {
    /// Assembles values and next values from the critics' outputs on [`critic_inputs`](Self::critic_inputs), a row per
    /// objective, `[S, (T + 1) * B + K]`.
    ///
    /// # Panics
    /// If there is not a value per objective and critic input.
    pub fn values(&self, critics: Tensor<2>) -> Values {
        let (samples, envs, cut) = (self.samples(), self.num_envs, self.truncated.len());
        let [objectives, _, _] = self.signals.dims();
        assert_eq!(critics.dims(), [objectives, samples + envs + cut], "a value per objective and critic input");
        first_of!(cpu::values(self, &critics), self.values_by_tensors(critics))
    }

    pub(super) fn values_by_tensors(&self, critics: Tensor<2>) -> Values {
        let (samples, envs, cut) = (self.samples(), self.num_envs, self.truncated.len());
        let [objectives, _] = critics.dims();
        let shape = [objectives, self.steps, envs];
        let mut next = critics.clone().narrow(1, envs, samples);
        if !self.truncated.is_empty() {
            // One gather from [following values, final values]: no scatter, whose order a GPU does not fix.
            let mut source: Vec<i32> = (0..samples as i32).collect();
            for (k, &sample) in self.truncated.iter().enumerate() {
                source[sample] = (samples + k) as i32;
            }
            let last = critics.clone().narrow(1, samples + envs, cut);
            let index = Tensor::<1, Int>::from_ints(TensorData::new(source, [samples]), &critics.device());
            next = gather_columns(&Tensor::cat(vec![next, last], 1), &index);
        }
        let terminated = self.terminated.clone().greater_scalar(0.5).unsqueeze_dim::<3>(0).expand(shape);
        Values {
            value: critics.narrow(1, 0, samples).reshape(shape),
            next_value: next.reshape(shape).mask_fill(terminated, 0.0),
        }
    }
}
