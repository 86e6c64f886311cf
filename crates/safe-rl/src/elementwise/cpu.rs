//! One pass over the numbers on the CPU.

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};

/// Running sums of a mean: as many as the vector units of today's processors add at a time.
const SUMS: usize = 32;

/// [`super::mean`], or `None` on another backend.
pub(super) fn mean(x: &Tensor<1>) -> Option<Tensor<1>> {
    let view = View::of(x)?;
    let (whole, rest) = view.values().as_chunks::<SUMS>();
    let mut sums = [0.0_f32; SUMS];
    for chunk in whole {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x);
    }
    sums.iter_mut().zip(rest).for_each(|(sum, x)| *sum += x);
    let mut width = SUMS;
    while width > 1 {
        width /= 2;
        let (low, high) = sums.split_at_mut(width);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
    }
    Some(tensor(vec![sums[0] / view.values().len() as f32], [1]))
}

/// `f` of every number of `x`.
pub(super) fn map<const D: usize>(x: &Tensor<D>, f: impl Fn(f32) -> f32) -> Option<Tensor<D>> {
    let view = View::of(x)?;
    Some(tensor(view.values().iter().map(|&x| f(x)).collect(), x.dims()))
}

/// `f` of the numbers of `x` and `y` that stand in the same place.
pub(super) fn zip<const D: usize>(x: &Tensor<D>, y: &Tensor<D>, f: impl Fn(f32, f32) -> f32) -> Option<Tensor<D>> {
    assert_eq!(x.dims(), y.dims(), "both of one shape");
    let (one, other) = (View::of(x)?, View::of(y)?);
    let both = one.values().iter().zip(other.values());
    Some(tensor(both.map(|(&x, &y)| f(x, y)).collect(), x.dims()))
}

/// `f` of every number of `x` and the one of `y`.
pub(super) fn with_one<const D: usize>(x: &Tensor<D>, y: &Tensor<1>, f: impl Fn(f32, f32) -> f32) -> Option<Tensor<D>> {
    let &[y] = View::of(y)?.values() else { return None };
    map(x, |x| f(x, y))
}

/// [`super::scaled_squares`], or `None` on another backend.
pub(super) fn scaled_squares(x: &Tensor<2>, scale: &Tensor<1>) -> Option<Tensor<2>> {
    let shape @ [rows, columns] = x.dims();
    let (view, scale) = (View::of(x)?, View::of(scale)?);
    let (values, scale) = (view.values(), scale.values());
    let mut out = Vec::with_capacity(rows * columns);
    for row in values.chunks_exact(columns.max(1)) {
        out.extend(row.iter().zip(scale).map(|(x, scale)| x * x * scale));
    }
    Some(tensor(out, shape))
}

/// [`super::concat`], or `None` on another backend.
pub(super) fn concat<const D: usize>(parts: &[Tensor<D>]) -> Option<Tensor<D>> {
    let mut shape = parts.first()?.dims();
    shape[0] = parts.iter().map(|part| part.dims()[0]).sum();
    let mut out = Vec::with_capacity(shape.iter().product());
    for part in parts {
        out.extend_from_slice(View::of(part)?.values());
    }
    Some(tensor(out, shape))
}

/// [`super::stack_rows`], or `None` on another backend.
pub(super) fn stack_rows(parts: &[Tensor<2>]) -> Option<Tensor<3>> {
    let [rows, columns] = parts.first()?.dims();
    let views = parts.iter().map(View::of).collect::<Option<Vec<View>>>()?;
    let all: Vec<&[f32]> = views.iter().map(View::values).collect();
    let mut out = Vec::with_capacity(rows * parts.len() * columns);
    for row in 0..rows {
        all.iter().for_each(|part| out.extend_from_slice(&part[row * columns..(row + 1) * columns]));
    }
    Some(tensor(out, [rows, parts.len(), columns]))
}
