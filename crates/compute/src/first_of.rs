//! The routing of an operation: its CPU leaf, its GPU leaf, or its reference.

/// The result of the first leaf that applies, else of the reference: `first_of!(cpu::f(x), gpu::f(x), reference(x))`.
///
/// The leaves are functions of the modules `cpu` and `gpu` of the calling module and return an `Option`; one of them may be
/// left out. Without a reference, `first_of!(gpu::f(x))`, it is the leaf's `Option`. The GPU leaf exists only where the
/// calling crate has its feature `gpu`, so `gpu.rs` begins with `#![cfg(feature = "gpu")]` and nothing above it needs to know.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// /// Twice the number.
/// fn double(x: &Tensor<1>) -> Tensor<1> {
///     compute::first_of!(cpu::double(x), x.clone() * 2.0)
/// }
///
/// mod cpu {
///     use burn::tensor::Tensor;
///     use compute::cpu::{View, tensor};
///
///     pub fn double(x: &Tensor<1>) -> Option<Tensor<1>> {
///         let x = View::of(x)?;
///         Some(tensor(x.values().iter().map(|x| 2.0 * x).collect(), [x.values().len()]))
///     }
/// }
///
/// let x = double(&Tensor::from_floats([1.0, 2.5], &Device::flex()));
/// assert_eq!(compute::read("x", x).unwrap(), [2.0, 5.0]);
/// ```
#[macro_export]
macro_rules! first_of {
    (cpu::$cpu:ident($($on_cpu:tt)*), gpu::$gpu:ident($($on_gpu:tt)*), $reference:expr $(,)?) => {
        'found: {
            if let Some(found) = cpu::$cpu($($on_cpu)*) {
                break 'found found;
            }
            #[cfg(feature = "gpu")]
            if let Some(found) = gpu::$gpu($($on_gpu)*) {
                break 'found found;
            }
            $reference
        }
    };
    (gpu::$gpu:ident($($on_gpu:tt)*) $(,)?) => {{
        #[cfg(feature = "gpu")]
        let found = gpu::$gpu($($on_gpu)*);
        #[cfg(not(feature = "gpu"))]
        let found = {
            let _ = ($($on_gpu)*);
            None
        };
        found
    }};
    (cpu::$cpu:ident($($on_cpu:tt)*), $reference:expr $(,)?) => {
        match cpu::$cpu($($on_cpu)*) {
            Some(found) => found,
            None => $reference,
        }
    };
    (gpu::$gpu:ident($($on_gpu:tt)*), $reference:expr $(,)?) => {{
        #[cfg(feature = "gpu")]
        let found = gpu::$gpu($($on_gpu)*);
        #[cfg(not(feature = "gpu"))]
        let found = None;
        match found {
            Some(found) => found,
            None => $reference,
        }
    }};
}
