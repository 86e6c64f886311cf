//! PPO and TRPO under a protocol: the cost is in the environment, not in the update.

use super::{AlgorithmInfo, ppo, trpo};
use crate::algorithm::ppo::PpoConfig;
use crate::algorithm::second_order::TrpoConfig;
use crate::config::SectionInfo;
use crate::protocol::{EARLY_TERMINATED, SAUTE, SIMMER, SauteConfig, SimmerConfig};
use kfac::InitialWeights;

/// PPO on episodes that end beyond the limit.
pub const PPO_EARLY_TERMINATED: AlgorithmInfo = AlgorithmInfo {
    name: "ppo-early-terminated",
    summary: "protocol early-terminated: PPO in episodes that end beyond the limit (OmniSafe's PPOEarlyTerminated)",
    sections: &[SectionInfo::of::<PpoConfig>()],
    protocol: Some(EARLY_TERMINATED),
    weights: InitialWeights::Uniform,
    ..ppo::INFO
};

/// TRPO on episodes that end beyond the limit.
pub const TRPO_EARLY_TERMINATED: AlgorithmInfo = AlgorithmInfo {
    name: "trpo-early-terminated",
    summary: "protocol early-terminated: TRPO in episodes that end beyond the limit (OmniSafe's TRPOEarlyTerminated)",
    sections: &[SectionInfo::of::<TrpoConfig>()],
    protocol: Some(EARLY_TERMINATED),
    weights: InitialWeights::Orthogonal,
    ..trpo::INFO
};

/// PPO under Sauté.
pub const PPO_SAUTE: AlgorithmInfo = AlgorithmInfo {
    name: "ppo-saute",
    summary: "protocol saute: PPO sees the budget that is left and is punished without any",
    sections: &[SectionInfo::of::<PpoConfig>(), SectionInfo::of::<SauteConfig>()],
    protocol: Some(SAUTE),
    weights: InitialWeights::Uniform,
    ..ppo::INFO
};

/// TRPO under Sauté.
pub const TRPO_SAUTE: AlgorithmInfo = AlgorithmInfo {
    name: "trpo-saute",
    summary: "protocol saute: TRPO sees the budget that is left and is punished without any",
    sections: &[SectionInfo::of::<TrpoConfig>(), SectionInfo::of::<SauteConfig>()],
    protocol: Some(SAUTE),
    weights: InitialWeights::Orthogonal,
    ..trpo::INFO
};

/// PPO under Simmer.
pub const PPO_SIMMER: AlgorithmInfo = AlgorithmInfo {
    name: "ppo-simmer",
    summary: "protocol simmer: PPO under Saute with a budget that a controller moves",
    sections: &[SectionInfo::of::<PpoConfig>(), SectionInfo::of::<SauteConfig>(), SectionInfo::of::<SimmerConfig>()],
    protocol: Some(SIMMER),
    weights: InitialWeights::Uniform,
    ..ppo::INFO
};

/// TRPO under Simmer.
pub const TRPO_SIMMER: AlgorithmInfo = AlgorithmInfo {
    name: "trpo-simmer",
    summary: "protocol simmer: TRPO under Saute with a budget that a controller moves",
    sections: &[SectionInfo::of::<TrpoConfig>(), SectionInfo::of::<SauteConfig>(), SectionInfo::of::<SimmerConfig>()],
    protocol: Some(SIMMER),
    weights: InitialWeights::Orthogonal,
    ..trpo::INFO
};
