//! A function of tensors as one graph of launches, which a GPU records at the first call and replays at later ones.

mod gpu;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Int, Tensor};

use crate::first_of;

/// Replays so far.
static REPLAYS: AtomicU64 = AtomicU64::new(0);

/// How many graphs this process has replayed: their launches are not issued again, and so not seen by who watches launches.
pub fn replays() -> u64 {
    REPLAYS.load(Ordering::Relaxed)
}

/// Remembers the launches of one function of tensors, so that calling it again is one launch of them all.
///
/// The function is the same at every call, and nothing but its arguments decides what it returns: what the host computes inside
/// it (sizes, constants) is recorded with the launches. Within it nothing is copied to the device and nothing read back. Results
/// have the bits of the launches one by one.
///
/// A device that has no graphs, or refuses this one, runs the function as it is; so does a call from another thread than the one
/// that recorded, whose work the device would not wait for. Arguments of other sizes are recorded anew. The memory of the
/// arguments, of the results and of everything between stays reserved for as long as the graph lives.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use compute::{Graph, GraphUse};
///
/// # fn main() -> Result<(), std::convert::Infallible> {
/// let mut graph = Graph::default();
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
/// let twice = graph.call(&[x], &[], |floats, _| Ok::<_, std::convert::Infallible>(vec![floats[0].clone() * 2.0]))?;
/// assert_eq!(compute::read("twice", twice[0].clone()).unwrap(), [2.0, 4.0]);
/// assert_eq!(graph.last_use(), &GraphUse::None, "a CPU has no graphs");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Graph {
    /// `gpu::Recorded`, where there is one.
    recorded: Option<Arc<dyn Any + Send + Sync>>,
    last_use: GraphUse,
}

/// What came of a [`Graph`] at its last call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GraphUse {
    /// Not called, or on a device without graphs: the function ran as it is.
    #[default]
    None,
    /// The function ran as it is, and its launches were recorded.
    Recorded,
    /// The recorded launches were replayed.
    Replayed,
    /// The device would not record or replay, for this reason: the function ran as it is, and will at every later call.
    Refused(String),
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("recorded", &self.recorded.is_some()).field("last_use", &self.last_use).finish()
    }
}

impl Graph {
    /// What `body` makes of `floats` and `indices`, replayed where it can be. At the first call `body` runs three times on a device
    /// with graphs.
    ///
    /// # Errors
    /// Those of `body`.
    pub fn call<E>(
        &mut self,
        floats: &[Tensor<1>],
        indices: &[Tensor<1, Int>],
        body: impl Fn(&[Tensor<1>], &[Tensor<1, Int>]) -> Result<Vec<Tensor<1>>, E>,
    ) -> Result<Vec<Tensor<1>>, E> {
        let results = first_of!(gpu::call(self, floats, indices, &body), body(floats, indices));
        if self.last_use == GraphUse::Replayed {
            REPLAYS.fetch_add(1, Ordering::Relaxed);
        }
        results
    }

    /// What came of the last call.
    pub fn last_use(&self) -> &GraphUse {
        &self.last_use
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use burn::tensor::Device;

    use super::*;
    use crate::read;
    use test_support::device::gpu;

    type Results = Result<Vec<Tensor<1>>, Infallible>;

    /// Some launches that depend on one another: sums of rows in another order, again and again.
    fn body(floats: &[Tensor<1>], indices: &[Tensor<1, Int>]) -> Results {
        let mut x = floats[0].clone();
        for _ in 0..5 {
            x = x.clone().select(0, indices[0].clone()) * 0.5 + x * floats[1].clone();
        }
        Ok(vec![x.clone(), x.sum().reshape([1])])
    }

    fn arguments(round: usize, count: usize, device: &Device) -> ([Tensor<1>; 2], [Tensor<1, Int>; 1]) {
        let numbers = |salt: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 + salt * 104_729 + round * 31) % 1000) as f32 / 500.0 - 1.0).collect()
        };
        let order: Vec<i32> = (0..count).map(|i| ((i * 7 + round) % count) as i32).collect();
        let float = |salt| Tensor::from_floats(numbers(salt).as_slice(), device);
        ([float(1), float(2)], [Tensor::from_ints(order.as_slice(), device)])
    }

    fn values(results: Vec<Tensor<1>>) -> Vec<Vec<f32>> {
        results.into_iter().map(|result| read("result", result).unwrap()).collect()
    }

    #[test]
    fn without_graphs_the_function_runs_as_it_is() {
        let (device, calls, mut graph) = (Device::flex(), Cell::new(0), Graph::default());
        for round in 0..3 {
            let (floats, indices) = arguments(round, 101, &device);
            let counted = |floats: &[Tensor<1>], indices: &[Tensor<1, Int>]| {
                calls.set(calls.get() + 1);
                body(floats, indices)
            };
            let got = values(graph.call(&floats, &indices, counted).unwrap());
            assert_eq!(got, values(body(&floats, &indices).unwrap()));
        }
        assert_eq!((calls.get(), graph.last_use()), (3, &GraphUse::None));
        let failed = graph.call(&[Tensor::zeros([1], &device)], &[], |_, _| Err("no"));
        assert_eq!(failed.unwrap_err(), "no");
    }

    #[test]
    fn a_replay_has_the_bits_of_the_launches_and_keeps_its_results_apart() {
        let Some(device) = gpu() else { return };
        let (calls, mut graph) = (Cell::new(0), Graph::default());
        let mut kept: Vec<(Vec<Tensor<1>>, Vec<Vec<f32>>)> = Vec::new();
        for round in 0..6 {
            // From the fourth round on of another size: recorded anew.
            let (floats, indices) = arguments(round, if round < 4 { 1001 } else { 777 }, &device);
            let counted = |floats: &[Tensor<1>], indices: &[Tensor<1, Int>]| {
                calls.set(calls.get() + 1);
                body(floats, indices)
            };
            let results = graph.call(&floats, &indices, counted).unwrap();
            let expected = if round == 0 || round == 4 { GraphUse::Recorded } else { GraphUse::Replayed };
            assert_eq!(graph.last_use(), &expected, "round {round}");
            // Work in between takes memory that the graph must not have given back.
            let noise = Tensor::<1>::ones([1001], &device) * round as f32;
            assert_eq!(read("noise", noise).unwrap(), vec![round as f32; 1001]);
            kept.push((results, values(body(&floats, &indices).unwrap())));
        }
        assert_eq!(calls.get(), 6, "three times at each recording");
        for (results, expected) in kept {
            assert_eq!(values(results), expected);
        }
    }

    #[test]
    fn a_function_that_copies_to_the_device_is_refused_and_still_computed() {
        let Some(device) = gpu() else { return };
        let mut graph = Graph::default();
        for round in 0..3 {
            let ([x, _], _) = arguments(round, 64, &device);
            let upload = |floats: &[Tensor<1>], _: &[Tensor<1, Int>]| -> Results {
                let ones = Tensor::<1>::from_floats([1.0f32; 64].as_slice(), &floats[0].device());
                Ok(vec![floats[0].clone() + ones])
            };
            let got = values(graph.call(std::slice::from_ref(&x), &[], upload).unwrap());
            assert_eq!(got, values(vec![x + 1.0]));
            assert!(matches!(graph.last_use(), GraphUse::Refused(_)), "{:?}", graph.last_use());
        }
    }

    #[test]
    fn another_thread_does_not_replay() {
        let Some(device) = gpu() else { return };
        let mut graph = Graph::default();
        let (floats, indices) = arguments(1, 300, &device);
        let expected = values(body(&floats, &indices).unwrap());
        graph.call(&floats, &indices, body).unwrap();
        let elsewhere = std::thread::scope(|scope| {
            let (floats, indices) = (&floats, &indices);
            let mut graph = graph.clone();
            let work = move || (values(graph.call(floats, indices, body).unwrap()), graph.last_use().clone());
            scope.spawn(work).join().unwrap()
        });
        assert_eq!(elsewhere, (expected.clone(), GraphUse::None));
        assert_eq!(values(graph.call(&floats, &indices, body).unwrap()), expected);
        assert_eq!(graph.last_use(), &GraphUse::Replayed);
    }
}
