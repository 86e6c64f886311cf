//! safe-rl
