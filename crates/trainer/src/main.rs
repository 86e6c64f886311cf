//! The `trainer` program; everything is in the library.

use std::process::ExitCode;

/// Rollouts and minibatches allocate and free tensors of megabytes at every step; the system's allocator returns such
/// blocks to the kernel each time, and a rollout's assembly then takes ten times longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trainer::cli::main()
}
