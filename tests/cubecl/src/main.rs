//! A kernel with 64 numbers of shared memory, on the default adapter by CubeCL's SPIR-V. See README.md.

use cubecl::prelude::*;

/// Every unit writes its number to shared memory and reads its neighbour's.
#[cube(launch)]
fn turn(numbers: &[f32], turned_out: &mut [f32]) {
    let mut shared = Shared::<[f32]>::new_slice(64usize);
    let unit = UNIT_POS as usize;
    shared[unit] = numbers[unit];
    sync_cube();
    turned_out[unit] = shared[(unit + 1) % 64];
}

fn main() {
    let client = cubecl::Device::default().client();
    let numbers: Vec<f32> = (0..64u8).map(f32::from).collect();
    let input = client.create_from_slice(f32::as_bytes(&numbers));
    let output = client.empty(size_of_val(numbers.as_slice()));
    let argument = |handle| unsafe { BufferArg::from_raw_parts(handle, numbers.len()) };
    turn::launch(&client, CubeCount::Static(1, 1, 1), CubeDim::new_1d(64), argument(input), argument(output.clone()));
    let bytes = client.read_one(output).expect("the kernel runs");
    let turned = f32::from_bytes(&bytes);
    assert!((0..64).all(|unit| turned[unit] == numbers[(unit + 1) % 64]), "{turned:?}");
    println!("shared memory works");
}
