//! The numbers of an update while they are still on the device.

use anyhow::Result;
use burn::tensor::Tensor;
use compute::read;

use super::Metrics;

/// What turns the values of the parts into named numbers.
type Naming = Box<dyn FnOnce(&[&[f32]]) -> Metrics>;

/// Tensors that the logs want, read back in one transfer.
pub struct Pending {
    parts: Vec<Tensor<1>>,
    names: Vec<(usize, Naming)>,
}

impl Pending {
    /// `parts` `[n]` each, which `naming` turns into numbers, in the same order.
    pub fn new(parts: Vec<Tensor<1>>, naming: impl FnOnce(&[&[f32]]) -> Metrics + 'static) -> Self {
        Self { names: vec![(parts.len(), Box::new(naming))], parts }
    }

    /// Adds one-element tensors behind what there is.
    #[must_use]
    pub fn with<const N: usize>(mut self, more: [(&'static str, Tensor<1>); N]) -> Self {
        let (names, parts): (Vec<_>, Vec<_>) = more.into_iter().unzip();
        self.parts.extend(parts);
        let naming =
            move |values: &[&[f32]]| names.into_iter().zip(values).map(|(n, v)| (n, f64::from(v[0]))).collect();
        self.names.push((N, Box::new(naming)));
        self
    }

    /// The numbers: one read-back.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read(self) -> Result<Metrics> {
        let lengths: Vec<usize> = self.parts.iter().map(|part| part.dims()[0]).collect();
        let values = if lengths.is_empty() { Vec::new() } else { read("metrics", Tensor::cat(self.parts, 0))? };
        let mut rest = values.as_slice();
        let slices: Vec<&[f32]> = (lengths.into_iter())
            .map(|length| {
                let (part, behind) = rest.split_at(length);
                rest = behind;
                part
            })
            .collect();
        let mut slices = slices.as_slice();
        let mut metrics = Metrics::new();
        for (count, naming) in self.names {
            let (own, behind) = slices.split_at(count);
            metrics.extend(naming(own));
            slices = behind;
        }
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn every_part_meets_its_own_name() {
        let device = Device::flex();
        let tensor = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
        let pending = Pending::new(vec![tensor(&[1.0, 2.0]), tensor(&[3.0])], |values| {
            vec![("sum", f64::from(values[0][0] + values[0][1])), ("host", 7.0), ("third", f64::from(values[1][0]))]
        });
        let metrics = pending.with([("fourth", tensor(&[4.0])), ("fifth", tensor(&[5.0]))]).read().unwrap();
        assert_eq!(metrics, [("sum", 3.0), ("host", 7.0), ("third", 3.0), ("fourth", 4.0), ("fifth", 5.0)]);
        assert!(Pending::new(Vec::new(), |_| Metrics::new()).read().unwrap().is_empty());
    }
}
