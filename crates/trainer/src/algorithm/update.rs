//! What an update did, some of it still on the device.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::{Result, ensure};
use burn::tensor::Tensor;
use compute::read;

use crate::comm::Comm;

/// Named numbers of one iteration, for the logs.
pub type Metrics = Vec<(Cow<'static, str>, f64)>;

/// The name of a number of constraint `k`, from 0: the first as `name`, the others with their number from 2 behind it.
pub fn numbered(name: &'static str, k: usize) -> Cow<'static, str> {
    if k == 0 { name.into() } else { format!("{name}{}", k + 1).into() }
}

/// A number that is known, or that stands in a tensor which has not been read back.
///
/// A GPU is waited for once per iteration: whatever an update has to say is read together, at its end.
#[derive(Clone, Debug)]
pub enum Number {
    /// Known on the host.
    Known(f64),
    /// Computed from the values of a tensor once they are read.
    Deferred(Arc<Tensor<1>>, fn(&[f32]) -> f64),
}

impl Number {
    /// What `of` makes of the values of `tensor`. Numbers of one shared tensor cost one transfer.
    pub fn of(tensor: &Arc<Tensor<1>>, of: fn(&[f32]) -> f64) -> Self {
        Self::Deferred(tensor.clone(), of)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Known(value)
    }
}

/// The only element of a tensor `[1]`.
impl From<Tensor<1>> for Number {
    fn from(tensor: Tensor<1>) -> Self {
        Self::Deferred(Arc::new(tensor), |values| values.first().map_or(f64::NAN, |value| f64::from(*value)))
    }
}

/// What an algorithm's update did. A field that is `None` means nothing to the algorithm.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Mean KL divergence from the policy that gathered the batch, in nats.
    pub kl: Option<Number>,
    /// Steps that were kept.
    pub accepted: Option<Number>,
    /// Steps that were taken back.
    pub rejected: Option<Number>,
    /// Steps that were not even tried, because a number was not finite.
    pub skipped: Option<Number>,
    /// Everything for the logs, by name, in their order.
    pub numbers: Vec<(Cow<'static, str>, Number)>,
}

impl Update {
    /// Adds a number for the logs.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, number: impl Into<Number>) {
        self.numbers.push((name.into(), number.into()));
    }

    /// Adds a number per constraint for the logs: the first as `name`, the others with their number from 2 behind it.
    pub fn push_each(&mut self, name: &'static str, values: &[f64]) {
        for (k, value) in values.iter().enumerate() {
            self.push(numbered(name, k), *value);
        }
    }

    /// Reads everything: one transfer.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read(&self) -> Result<UpdateReport> {
        let values = self.deferred().read()?;
        let field = |number: &Option<Number>| number.as_ref().map(|number| values.number(number));
        Ok(UpdateReport {
            kl: field(&self.kl),
            accepted: field(&self.accepted),
            rejected: field(&self.rejected),
            skipped: field(&self.skipped),
            metrics: self.numbers.iter().map(|(name, number)| (name.clone(), values.number(number))).collect(),
        })
    }

    /// The tensors behind all numbers.
    fn deferred(&self) -> DeferredMetrics {
        let mut deferred = DeferredMetrics::default();
        let fields = [&self.kl, &self.accepted, &self.rejected, &self.skipped];
        let listed = self.numbers.iter().map(|(_, number)| Some(number));
        fields.into_iter().map(Option::as_ref).chain(listed).flatten().for_each(|number| deferred.add(number));
        deferred
    }
}

/// An [`Update`] whose numbers have been read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateReport {
    /// Mean KL divergence from the policy that gathered the batch, in nats.
    pub kl: Option<f64>,
    /// Steps that were kept.
    pub accepted: Option<f64>,
    /// Steps that were taken back.
    pub rejected: Option<f64>,
    /// Steps that were not even tried.
    pub skipped: Option<f64>,
    /// Everything for the logs.
    pub metrics: Metrics,
}

impl UpdateReport {
    /// The means over all shards of `comm`: what they share is the same in each, losses and the like are of its own samples.
    ///
    /// # Errors
    /// When another shard fails, or has reported other numbers.
    pub fn by_all(mut self, comm: &dyn Comm) -> Result<Self> {
        if comm.size() == 1 {
            return Ok(self);
        }
        let values: Vec<f64> = self.values().map(|value| *value).collect();
        let all = comm.gather(&values)?;
        ensure!(all.iter().all(|values_there| values_there.len() == values.len()), "shards report different numbers");
        for (i, value) in self.values().enumerate() {
            // Where all are the same it is what they are, unrounded.
            let differs = all.iter().any(|values| values[i].to_bits() != all[0][i].to_bits());
            *value =
                if differs { all.iter().map(|values| values[i]).sum::<f64>() / all.len() as f64 } else { all[0][i] };
        }
        Ok(self)
    }

    /// All numbers there are, in a fixed order.
    fn values(&mut self) -> impl Iterator<Item = &mut f64> {
        let fields = [&mut self.kl, &mut self.accepted, &mut self.rejected, &mut self.skipped];
        fields.into_iter().flatten().chain(self.metrics.iter_mut().map(|(_, value)| value))
    }
}

/// The tensors behind some numbers, each once.
#[derive(Default)]
struct DeferredMetrics {
    tensors: Vec<Arc<Tensor<1>>>,
}

impl DeferredMetrics {
    fn add(&mut self, number: &Number) {
        if let Number::Deferred(tensor, _) = number
            && !self.tensors.iter().any(|known| Arc::ptr_eq(known, tensor))
        {
            self.tensors.push(tensor.clone());
        }
    }

    fn read(self) -> Result<Values> {
        let parts: Vec<Tensor<1>> = self.tensors.iter().map(|tensor| Tensor::clone(tensor)).collect();
        let values = if parts.is_empty() { Vec::new() } else { read("metrics", Tensor::cat(parts, 0))? };
        Ok(Values { tensors: self.tensors, values })
    }
}

struct Values {
    tensors: Vec<Arc<Tensor<1>>>,
    values: Vec<f32>,
}

impl Values {
    fn number(&self, number: &Number) -> f64 {
        let (tensor, of) = match number {
            Number::Known(value) => return *value,
            Number::Deferred(tensor, of) => (tensor, of),
        };
        let before = self.tensors.iter().take_while(|known| !Arc::ptr_eq(known, tensor));
        let start: usize = before.map(|tensor| tensor.dims()[0]).sum();
        of(&self.values[start..start + tensor.dims()[0]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn every_number_meets_its_own_name_and_a_shared_tensor_is_read_once() {
        let tensor = |values: &[f32]| Tensor::<1>::from_floats(values, &Device::flex());
        let shared = Arc::new(tensor(&[1.0, 2.0]));
        let mut update = Update { kl: Some(tensor(&[0.5]).into()), ..Update::default() };
        update.accepted = Some(Number::of(&shared, |values| f64::from(values[1])));
        update.push("sum", Number::of(&shared, |values| f64::from(values[0] + values[1])));
        update.push("host", 7.0);
        update.push(format!("named {}", 3), tensor(&[4.0]));
        assert_eq!(update.deferred().tensors.len(), 3, "the shared tensor stands once in the one read-back");
        let report = update.read().unwrap();
        assert_eq!((report.kl, report.accepted, report.rejected), (Some(0.5), Some(2.0), None));
        let metrics: Vec<(&str, f64)> = report.metrics.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
        assert_eq!(metrics, [("sum", 3.0), ("host", 7.0), ("named 3", 4.0)]);
        assert_eq!(Update::default().read().unwrap(), UpdateReport::default());
    }
}
