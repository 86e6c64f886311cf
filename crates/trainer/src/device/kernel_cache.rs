//! Keeps compiled GPU kernels between runs (feature `kernel-cache`).
//!
//! CubeCL stores what its own compilers produce: PTX for CUDA, SPIR-V for Vulkan. What a driver makes of that is the
//! driver's to keep, and both NVIDIA's and Mesa's do so by themselves. wgpu without Vulkan's compiler has nothing to store.

use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Files in which a user configures CubeCL, in the working directory or above it.
const CONFIG_FILES: [&str; 4] = ["cubecl.toml", "CubeCL.toml", "burn.toml", "Burn.toml"];

/// Has compiled kernels stored in `kfcpo` of the user's cache directory (`$XDG_CACHE_HOME`, else `~/.cache`), unless the
/// user has configured CubeCL. Must be called before anything else touches a GPU; later calls change nothing.
///
/// A directory that cannot be written is no error: the kernels are then compiled again in the next run. Kernels of
/// another build of the program are never taken for this one's: the key holds the program's build identifier.
pub(super) fn keep_kernels() {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    if !configured_by_user() {
        config.compilation.cache = true;
        config.environment.path = CacheConfig::Directory(CacheConfig::Global.root().with_file_name("kfcpo"));
    }
    CubeClRuntimeConfig::try_set(config);
}

fn configured_by_user() -> bool {
    let Ok(here) = std::env::current_dir() else { return false };
    here.ancestors().any(|dir| CONFIG_FILES.iter().any(|file| dir.join(file).is_file()))
}
