//! The policy that a run leaves behind: the mean of its last iterates.
//!
//! At the limit the steps go to and fro between reward and safety, and where a mean action decides on which side of a wall it ends, as in
//! Circle, policies a few iterations apart cost 8 and 70 while their mean over a hundred iterations is at the limit. The mean of
//! their parameters costs what they cost on average, and earns as much (Polyak and Juditsky, "Acceleration of stochastic
//! approximation by averaging", 1992; Ruppert 1988). Iterates before the end are not touched.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use compute::State;

/// The sum of the last iterates.
#[derive(Debug, Clone)]
pub struct TailAverage {
    /// Share of the run, at its end, whose iterates count.
    share: f64,
    /// Their sum `[P + A]`.
    sum: Tensor<1>,
    count: u64,
}

impl TailAverage {
    /// For policies of `size` parameters, P + A; a share of 0 leaves the last iterate as it is.
    pub fn new(share: f64, size: usize, device: &Device) -> Self {
        Self { share, sum: Tensor::zeros([size], device), count: 0 }
    }

    /// One iteration that ends after `fraction` of the run with the policy `params` `[P + A]`: at the end of the run, what to leave
    /// in its place. A run that goes on beyond its end begins anew.
    pub fn update(&mut self, params: &Tensor<1>, fraction: f64) -> Option<Tensor<1>> {
        if fraction <= 1.0 - self.share {
            return None;
        }
        self.sum = if self.count == 0 { params.clone() } else { self.sum.clone() + params.clone() };
        self.count += 1;
        if fraction < 1.0 {
            return None;
        }
        let count = std::mem::take(&mut self.count);
        (count > 1).then(|| self.sum.clone() / count as f32)
    }

    /// Everything needed to continue.
    ///
    /// # Errors
    /// When an entry cannot be stored.
    pub fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put_tensor("sum", &self.sum)?;
        state.put_f64("count", self.count as f64)?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// When an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        self.sum = state.tensor("sum", self.sum.dims(), &self.sum.device())?;
        self.count = state.get_f64("count")? as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(values: [f32; 2]) -> Tensor<1> {
        Tensor::from_floats(values, &Device::flex())
    }

    fn values(params: Option<Tensor<1>>) -> Option<Vec<f32>> {
        params.map(|params| params.into_data().try_to_vec::<f32>().unwrap())
    }

    #[test]
    fn the_end_of_a_run_leaves_the_mean_of_its_tail() {
        let mut tail = TailAverage::new(0.25, 2, &Device::flex());
        for (fraction, iterate) in [(0.5, [9.0, 9.0]), (0.75, [8.0, 8.0]), (0.85, [1.0, -2.0]), (0.95, [2.0, 0.0])] {
            assert_eq!(values(tail.update(&params(iterate), fraction)), None);
        }
        let mut restored = TailAverage::new(0.25, 2, &Device::flex());
        restored.load_state(&tail.state().unwrap()).unwrap();
        for mut tail in [tail, restored] {
            assert_eq!(values(tail.update(&params([6.0, -1.0]), 1.0)), Some(vec![3.0, -1.0]));
            // Beyond the end nothing of it is left.
            assert_eq!(values(tail.update(&params([5.0, 5.0]), 1.0)), None);
        }
    }

    #[test]
    fn without_a_tail_or_with_one_iterate_of_it_the_last_one_stays() {
        for share in [0.0, 0.01] {
            let mut tail = TailAverage::new(share, 2, &Device::flex());
            assert_eq!(values(tail.update(&params([1.0, 2.0]), 0.9)), None);
            assert_eq!(values(tail.update(&params([3.0, 4.0]), 1.0)), None);
        }
    }
}
