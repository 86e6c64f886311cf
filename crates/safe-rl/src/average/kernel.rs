//! The average in one launch on a GPU, the two parts of the gradients put together on the way.

use burn::tensor::Tensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use compute::gpu::{empty_like, into_tensor, is_gpu, primitive};

/// Units a cube.
const CUBE: u32 = 256;

#[cube(launch)]
fn average_kernel(
    average: &[f32],
    head: &[f32],
    tail: &[f32],
    out: &mut [f32],
    rows: usize,
    of_head: usize,
    of_tail: usize,
    decay: f32,
) {
    let width = of_head + of_tail;
    if ABSOLUTE_POS < rows * width {
        let row = ABSOLUTE_POS / width;
        let column = ABSOLUTE_POS % width;
        let new = if column < of_head { head[row * of_head + column] } else { tail[row * of_tail + column - of_head] };
        out[ABSOLUTE_POS] = average[ABSOLUTE_POS] * decay + new * (1.0f32 - decay);
    }
}

/// [`super::average_gradients`], or `None` on a device without kernels.
pub(super) fn average(average: &Tensor<2>, new: &[Tensor<2>; 2], decay: f32) -> Option<Tensor<2>> {
    if !is_gpu(&average.device()) {
        return None;
    }
    let [rows, width] = average.dims();
    let [head, tail] = new;
    let ([_, of_head], [_, of_tail]) = (head.dims(), tail.dims());
    assert_eq!((head.dims()[0], tail.dims()[0], of_head + of_tail), (rows, rows, width), "[S, P], [S, A], [S, P + A]");
    let (average, head, tail) = (primitive(average)?, primitive(head)?, primitive(tail)?);
    let out = empty_like(&average, [rows * width]);
    let (client, dim) = (average.client.clone(), CubeDim::new_1d(CUBE));
    average_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, rows * width, dim),
        dim,
        average.into_buffer_arg(),
        head.into_buffer_arg(),
        tail.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        rows,
        of_head,
        of_tail,
        decay,
    );
    Some(into_tensor::<1>(out).reshape([rows, width]))
}
