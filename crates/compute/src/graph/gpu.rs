//! Recording and replaying by CubeCL: CUDA graphs, on wgpu a list of prepared dispatches.
#![cfg(feature = "gpu")]

use std::sync::Arc;
use std::thread::{self, ThreadId};

use burn::tensor::{Int, Tensor};
use cubecl::client;
use cubecl::prelude::*;

use super::{Graph, GraphUse};
use crate::gpu::{CubeTensor, grid, indices as index_primitive, into_tensor, primitive};

/// Units of a cube that copies.
const CUBE: u32 = 256;

/// A recorded function with the memory that it reads and writes.
struct Recorded {
    /// First, so that it is gone before its memory is.
    graph: client::Graph,
    /// The thread that recorded: its launches, and no other's, come one after the other.
    thread: ThreadId,
    floats: Vec<CubeTensor>,
    indices: Vec<CubeTensor>,
    results: Vec<CubeTensor>,
}

/// Copies numbers into memory that stays where it is.
#[cube(launch)]
fn copy_kernel<N: Numeric>(
    // sizes
    count: usize,
    // in
    from: &[N],
    // out
    to_out: &mut [N],
) {
    if ABSOLUTE_POS < count {
        to_out[ABSOLUTE_POS] = from[ABSOLUTE_POS];
    }
}

/// Numbers in a vector.
fn len(tensor: &CubeTensor) -> usize {
    tensor.meta.num_elements()
}

fn copy<N: Numeric>(from: &CubeTensor, to: &CubeTensor) {
    let (count, dim) = grid(from, len(from), CUBE);
    let (client, to) = (from.client.clone(), to.clone().into_buffer_arg());
    copy_kernel::launch::<N>(&client, count, dim, len(from), from.clone().into_buffer_arg(), to);
}

/// The arguments as kernels take them, or `None` where one of them is none of a GPU's, or empty.
fn primitives(floats: &[Tensor<1>], indices: &[Tensor<1, Int>]) -> Option<(Vec<CubeTensor>, Vec<CubeTensor>)> {
    let floats: Vec<_> = floats.iter().map(primitive).collect::<Option<_>>()?;
    let indices: Vec<_> = indices.iter().map(index_primitive).collect::<Option<_>>()?;
    let usable = !floats.is_empty() && floats.iter().chain(&indices).all(|tensor| len(tensor) > 0);
    usable.then_some((floats, indices))
}

impl Recorded {
    /// Whether arguments are of the sizes that were recorded, on the same device.
    fn fits(&self, floats: &[CubeTensor], indices: &[CubeTensor]) -> bool {
        let alike = |own: &[CubeTensor], given: &[CubeTensor]| {
            own.len() == given.len()
                && own.iter().zip(given).all(|(own, given)| len(own) == len(given) && own.device == given.device)
        };
        alike(&self.floats, floats) && alike(&self.indices, indices)
    }

    fn replay(&self, floats: &[CubeTensor], indices: &[CubeTensor]) -> Result<Vec<Tensor<1>>, String> {
        floats.iter().zip(&self.floats).for_each(|(from, to)| copy::<f32>(from, to));
        indices.iter().zip(&self.indices).for_each(|(from, to)| copy::<i32>(from, to));
        #[allow(unsafe_code)]
        // SAFETY: the memory that the recorded kernels read and write is held by `self` or guarded by the graph, nothing outside
        // this file has hold of it, and this thread, which writes the arguments and copies the results, is the one that recorded (`call` sees to it).
        unsafe { self.graph.replay() }.map_err(|error| error.to_string())?;
        Ok(self.results.iter().map(|result| into_tensor(result.copy())).collect())
    }
}

/// What `body` returns, and its launches as a graph, or why there is none.
#[allow(clippy::type_complexity)]
fn record<E>(
    floats: &[CubeTensor],
    indices: &[CubeTensor],
    body: &impl Fn(&[Tensor<1>], &[Tensor<1, Int>]) -> Result<Vec<Tensor<1>>, E>,
) -> Result<(Vec<Tensor<1>>, Result<Recorded, String>), E> {
    let client = floats[0].client.clone();
    // The graph's own arguments. The tensors below share this memory, so that no operation may take it for its result.
    let floats: Vec<CubeTensor> = floats.iter().map(CubeTensor::copy).collect();
    let indices: Vec<CubeTensor> = indices.iter().map(CubeTensor::copy).collect();
    let run = || {
        let floats: Vec<Tensor<1>> = floats.iter().map(|tensor| into_tensor(tensor.clone())).collect();
        let indices: Vec<Tensor<1, Int>> =
            indices.iter().map(|tensor| Tensor::from_primitive::<burn_cubecl::CubeBackend>(tensor.clone())).collect();
        body(&floats, &indices)
    };
    if let Err(error) = client.graph_prepare() {
        return Ok((run()?, Err(error.to_string())));
    }
    // Twice, the first results held: the recording, which may take no new memory, finds room for as much.
    let warmed = run().and_then(|results| run().map(|_| results));
    let results = match warmed {
        Ok(results) => results,
        Err(error) => {
            drop(client.stop_capture()); // ends what was prepared
            return Err(error);
        }
    };
    if let Err(error) = client.start_capture() {
        drop(client.stop_capture());
        return Ok((results, Err(error.to_string())));
    }
    let recorded = run();
    let graph = client.stop_capture();
    let recorded: Option<Vec<CubeTensor>> = recorded?.iter().map(primitive).collect();
    let graph = match (graph, recorded) {
        (Ok(graph), Some(recorded)) => {
            Ok(Recorded { graph, thread: thread::current().id(), floats, indices, results: recorded })
        }
        (Ok(_), None) => Err("a result is none of this device's".to_owned()),
        (Err(error), _) => Err(error.to_string()),
    };
    Ok((results, graph))
}

/// [`Graph::call`], or `None` where nothing is replayed or recorded.
pub(super) fn call<E>(
    slot: &mut Graph,
    floats: &[Tensor<1>],
    indices: &[Tensor<1, Int>],
    body: &impl Fn(&[Tensor<1>], &[Tensor<1, Int>]) -> Result<Vec<Tensor<1>>, E>,
) -> Option<Result<Vec<Tensor<1>>, E>> {
    if matches!(slot.last_use, GraphUse::Refused(_)) {
        return None;
    }
    let own = primitives(floats, indices);
    slot.last_use = GraphUse::None;
    let (own_floats, own_indices) = own?;
    if let Some(recorded) = slot.recorded.as_ref().and_then(|recorded| recorded.downcast_ref::<Recorded>()) {
        if recorded.thread != thread::current().id() {
            return None;
        }
        if recorded.fits(&own_floats, &own_indices) {
            return match recorded.replay(&own_floats, &own_indices) {
                Ok(results) => {
                    slot.last_use = GraphUse::Replayed;
                    Some(Ok(results))
                }
                Err(reason) => {
                    *slot = Graph { recorded: None, last_use: GraphUse::Refused(reason) };
                    None
                }
            };
        }
    }
    slot.recorded = None; // its memory first
    let (results, recorded) = match record(&own_floats, &own_indices, body) {
        Ok(made) => made,
        Err(error) => return Some(Err(error)),
    };
    match recorded {
        Ok(recorded) => *slot = Graph { recorded: Some(Arc::new(recorded)), last_use: GraphUse::Recorded },
        Err(reason) => slot.last_use = GraphUse::Refused(reason),
    }
    Some(Ok(results))
}
