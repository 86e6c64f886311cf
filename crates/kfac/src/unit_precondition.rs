//! Natural gradients of all layers in two launches on a GPU: a unit a number, first `A~^-1 V`, then times `G~^-1`.

#![allow(clippy::assign_op_pattern)] // the Rust of kernels

use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::FactorLayout;
use crate::unit_gradient::{SAMPLES, empty_like, primitive};
use crate::unit_inverse::{LARGEST, places_of};
use crate::uploaded::Uploaded;

/// One side's product: from the left with the inverse of the inputs' factor, or from the right with that of the outputs'.
/// `places` has the beginning and the order of every matrix; numbers behind the network's are divided.
#[cube(launch)]
fn side_kernel(
    places: &[f32],
    inverses: &[f32],
    vectors: &[f32],
    out: &mut [f32],
    layers: usize,
    params: usize,
    width: usize,
    seeds: usize,
    left: u32,
    divisor: f32,
) {
    if ABSOLUTE_POS < seeds * width {
        let base = ABSOLUTE_POS / width * width;
        let at = ABSOLUTE_POS % width;
        let mut result = 0.0f32;
        if at >= params {
            result = vectors[ABSOLUTE_POS] / divisor;
        } else {
            let mut start = 0usize;
            for l in 0..layers {
                let rows = places[4 * l + 1] as usize;
                let columns = places[4 * l + 3] as usize;
                if at >= start && at < start + rows * columns {
                    let i = (at - start) / columns;
                    let j = (at - start) % columns;
                    if left == 1 {
                        let a = places[4 * l] as usize + i * rows;
                        for k in 0..rows {
                            result += inverses[a + k] * vectors[base + start + k * columns + j];
                        }
                    } else {
                        let g = places[4 * l + 2] as usize + j;
                        for k in 0..columns {
                            result += vectors[base + start + i * columns + k] * inverses[g + k * columns];
                        }
                    }
                }
                start += rows * columns;
            }
        }
        out[ABSOLUTE_POS] = result;
    }
}

/// Natural gradients of `gradients` `[S, P + R]` by the inverses `flat` `[F]` of a network of P parameters, the R numbers
/// behind divided by `rest`; `None` where tensor operations serve better: not on a GPU, or a large matrix.
pub(crate) fn precondition(
    layout: &FactorLayout,
    places: &Uploaded,
    flat: &Tensor<1>,
    gradients: &Tensor<2>,
    params: usize,
    rest: f32,
) -> Option<Tensor<2>> {
    let [seeds, width] = gradients.dims();
    if seeds == 0 || (0..layout.count()).any(|i| layout.order(i) > LARGEST) {
        return None;
    }
    let (inverses, vectors) = (primitive(flat)?, primitive(gradients)?);
    let places = primitive(&places.get(&flat.device(), || places_of(layout)))?;
    let (half, out) = (empty_like(&vectors, seeds * width), empty_like(&vectors, seeds * width));
    let (client, dim) = (vectors.client.clone(), CubeDim::new_1d(SAMPLES));
    for (left, divisor, from, to) in [(1u32, rest, vectors, half.clone()), (0, 1.0, half, out.clone())] {
        side_kernel::launch(
            &client,
            calculate_cube_count_elemwise(&client, seeds * width, dim),
            dim,
            places.clone().into_buffer_arg(),
            inverses.clone().into_buffer_arg(),
            from.into_buffer_arg(),
            to.into_buffer_arg(),
            layout.count() / 2,
            params,
            width,
            seeds,
            left,
            divisor,
        );
    }
    Some(Tensor::<1>::from_primitive::<CubeBackend>(out).reshape([seeds, width]))
}
