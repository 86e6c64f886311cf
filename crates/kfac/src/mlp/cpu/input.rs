//! What one pass over a batch is given.

use super::hidden::Hidden;

/// Fisher seeds as slices.
#[derive(Clone, Copy)]
pub(crate) enum Seeds<'a> {
    /// `[K, N, out]`.
    PerSample(&'a [f32], usize),
    /// `[K, out]`, the same for every sample.
    Constant(&'a [f32], usize),
}

/// Where the gradients' cotangents come from.
#[derive(Clone, Copy)]
pub(crate) enum Cotangents<'a> {
    /// `[S, N, out]`, given.
    Given(&'a [f32], usize),
    /// `2 (f(x) - target) / N`, computed in the pass; targets `[N, out]`. Needs a forward pass of its own.
    Regression(&'a [f32]),
}

impl Cotangents<'_> {
    pub fn count(&self) -> usize {
        match self {
            Cotangents::Given(_, s) => *s,
            Cotangents::Regression(_) => 1,
        }
    }
}

/// One call's input.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub x: &'a [f32],
    pub rows: usize,
    /// Hidden activations of this very batch, if kept.
    pub hidden: Option<&'a Hidden>,
    pub cotangents: Cotangents<'a>,
    pub fisher: Option<Seeds<'a>>,
}
