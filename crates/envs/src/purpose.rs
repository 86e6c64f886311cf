//! Seeds of environments: training, measuring and evaluating never meet the same layouts by accident.

/// What environments are stepped for. Each draws its layouts from a domain of its own, whatever the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Gathering samples.
    Training,
    /// Measuring the deployed policy while it is trained.
    Measuring,
    /// Choosing among a run's policies at its end.
    Choosing,
    /// Fresh episodes of a saved policy.
    Evaluating,
}

/// 2^64 over the golden ratio: the step of the SplitMix64 generator (Steele, Lea and Flood, 2014).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Purpose {
    /// The environments' seed for a seed that a user gave. Training's is the seed itself.
    ///
    /// Different seeds stay different, and a seed of one purpose meets another's with the probability of two random
    /// 64-bit numbers.
    pub fn seed(self, seed: u64) -> u64 {
        match self {
            Self::Training => seed,
            Self::Measuring => mixed(seed.wrapping_add(0x6d65_6173_7572_6500)),
            Self::Choosing => mixed(seed.wrapping_add(0x6368_6f6f_7365_0000)),
            Self::Evaluating => mixed(seed.wrapping_add(0x6576_616c_7561_7400)),
        }
    }
}

/// A bijection of 64-bit numbers: SplitMix64's output function.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_purposes_share_a_seed() {
        let purposes = [Purpose::Training, Purpose::Measuring, Purpose::Choosing, Purpose::Evaluating];
        let seeds = (0..1000).chain([1_000_000, u64::MAX]);
        let all: BTreeSet<u64> = seeds.flat_map(|seed| purposes.map(|purpose| purpose.seed(seed))).collect();
        assert_eq!(all.len(), 4 * 1002);
        assert_eq!(Purpose::Training.seed(7), 7);
    }

    #[test]
    fn the_mixing_is_splitmix64() {
        // The generator's first outputs from the seed 0.
        assert_eq!([mixed(0), mixed(STEP)], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
