//! The policy that is deployed: a mean of the iterates in which the last ones count most.
//!
//! Every step follows the gradients of some thousand samples, and at the limit the steps go to and fro between reward and safety: the
//! iterates are noisy, and the mean of their parameters is a better policy than any of them (Polyak and Juditsky, "Acceleration of
//! stochastic approximation by averaging", 1992; Ruppert 1988). It earns more and may cost more, so it is what the deployed
//! environments measure and what the margin steers by. The iterates go on gathering the rollouts.
//!
//! Iterates are averaged as functions of raw observations: when the statistics that normalise these move on, the mean takes up the
//! difference in its first layer. Half a run's statistics moved by its last twentieth made PointCircle1's policy cost 46 in place of 26.
//!
//! The mean has polynomially decaying weights (Shamir and Zhang, "Stochastic gradient descent for non-smooth optimization",
//! 2013), (j / k)^(1 / share - 1) for iterate j of k: it is about `share` of the iterates so far old, a few early on.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use compute::State;

/// The mean of the last iterates.
#[derive(Debug, Clone)]
pub struct PolicyAverage {
    /// Mean age of what counts, as a share of the iterates so far; 0: the iterate itself is deployed.
    share: f64,
    /// `[P + A]`.
    mean: Tensor<1>,
    /// Iterates so far.
    count: u64,
}

impl PolicyAverage {
    /// For policies of `size` parameters, P + A.
    pub fn new(share: f64, size: usize, device: &Device) -> Self {
        Self { share, mean: Tensor::zeros([size], device), count: 0 }
    }

    /// Takes in the policy `params` `[P + A]` that an iteration has come to.
    pub fn update(&mut self, params: &Tensor<1>) {
        if self.share == 0.0 {
            return;
        }
        self.count += 1;
        let window = 1.0 / self.share;
        let weight = (window / (self.count as f64 + window - 1.0)) as f32;
        self.mean = if self.count == 1 {
            params.clone()
        } else {
            self.mean.clone() + (params.clone() - self.mean.clone()) * weight
        };
    }

    /// Replaces the mean, where there is one, by what `change` makes of it.
    pub fn map(&mut self, change: impl FnOnce(Tensor<1>) -> Tensor<1>) {
        if self.count > 0 {
            self.mean = change(self.mean.clone());
        }
    }

    /// The mean `[P + A]`; `None` before the first iterate and without averaging.
    pub fn get(&self) -> Option<Tensor<1>> {
        (self.count > 0).then(|| self.mean.clone())
    }

    /// Everything needed to continue.
    ///
    /// # Errors
    /// When an entry cannot be stored.
    pub fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put_tensor("mean", &self.mean)?;
        state.put("count", self.count)?;
        Ok(state)
    }

    /// Restores what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// When an entry is missing or of another shape.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        self.mean = state.tensor("mean", self.mean.dims(), &self.mean.device())?;
        self.count = state.get("count")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(average: &PolicyAverage) -> Option<Vec<f32>> {
        average.get().map(|params| params.into_data().try_to_vec::<f32>().unwrap())
    }

    #[test]
    fn the_last_iterates_count_most_and_a_restored_mean_goes_on() {
        let device = Device::flex();
        let mut average = PolicyAverage::new(0.5, 1, &device);
        assert_eq!(values(&average), None);
        // Weights 2/2, 2/3, 2/4, 2/5.
        for (iterate, mean) in [(6.0, 6.0), (0.0, 2.0), (4.0, 3.0)] {
            average.update(&Tensor::from_floats([iterate], &device));
            assert!((values(&average).unwrap()[0] - mean).abs() < 1e-6);
        }
        let mut restored = PolicyAverage::new(0.5, 1, &device);
        restored.load_state(&average.state().unwrap()).unwrap();
        restored.update(&Tensor::from_floats([8.0], &device));
        assert!((values(&restored).unwrap()[0] - 5.0).abs() < 1e-6);
    }

    #[test]
    fn without_averaging_there_is_no_mean_and_with_all_iterates_the_plain_one() {
        let device = Device::flex();
        for (share, mean) in [(0.0, None), (1.0, Some(vec![2.0]))] {
            let mut average = PolicyAverage::new(share, 1, &device);
            [1.0, 2.0, 3.0].iter().for_each(|iterate| average.update(&Tensor::from_floats([*iterate], &device)));
            assert_eq!(values(&average), mean);
        }
    }
}
