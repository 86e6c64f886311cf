//! What a piece of work launches on a GPU, kernel by kernel, as CubeCL itself reports it.

use crate::device::launches::LaunchWatch;

/// Watches launches and read-backs of the whole process for as long as it lives. The CPU backend launches nothing.
pub struct LaunchCounter {
    watch: LaunchWatch,
    read_backs: u64,
}

/// What was counted since the last [`LaunchCounter::take`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launched {
    /// Launches by kernel, the most frequent first.
    pub kernels: Vec<(String, u64)>,
    /// Times the host waited for numbers of the device.
    pub read_backs: u64,
}

impl Launched {
    /// Adds what was counted later.
    pub fn add(&mut self, later: Self) {
        for (name, count) in later.kernels {
            match self.kernels.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => self.kernels.push((name, count)),
            }
        }
        self.kernels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.read_backs += later.read_backs;
    }

    /// Launches of all kernels.
    pub fn total(&self) -> u64 {
        self.kernels.iter().map(|(_, count)| count).sum()
    }
}

impl LaunchCounter {
    /// Begins to count.
    #[allow(clippy::new_without_default)] // beginning to count is no value
    pub fn new() -> Self {
        Self { watch: LaunchWatch::begin(), read_backs: compute::read_backs() }
    }

    /// What was counted since the last call, or since the beginning.
    pub fn take(&mut self) -> Launched {
        let before = std::mem::replace(&mut self.read_backs, compute::read_backs());
        let kernels = self.watch.take().into_iter().map(|(name, count)| (short(name), count)).collect();
        let mut launched = Launched::default();
        launched.add(Launched { kernels, read_backs: self.read_backs - before });
        launched
    }
}

/// A kernel's name without the paths of its types.
fn short(name: &str) -> String {
    let words = name.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    words.map(|word| word.rsplit("::").next().unwrap_or(word)).collect()
}
