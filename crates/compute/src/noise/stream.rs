//! The register of all streams: whoever draws under the run's seed has a line here, so that no two draw the same numbers.

/// A consumer of random numbers. The numbers never change: a recorded run is repeated by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Actions of a training rollout, by vector step.
    Action,
    /// Actions of a stochastic evaluation, by vector step.
    Evaluation,
    /// What a kernel that always draws adds to the deployed policy's mean: nothing that a float32 resolves; by vector step.
    Deployed,
    /// KFCPO's order of samples, by epoch.
    KfcpoOrder,
    /// Actions that KFCPO's sampled Fisher draws from the policy, by minibatch.
    KfcpoFisher,
    /// PPO's order of samples, by epoch.
    PpoOrder,
    /// FOCOPS's order of samples, by epoch.
    FocopsOrder,
    /// The critics' order of samples, by epoch.
    CriticOrder,
    /// Seeds of the episodes of a user's own environments, by episode.
    Environment,
    /// Anything outside this register: an algorithm of one's own, a test. Its numbers must differ from the others'.
    Other(u32),
}

impl Stream {
    /// The stream's number in a [`NoiseKey`](super::NoiseKey).
    pub const fn number(self) -> u32 {
        match self {
            Self::Action => 0x4143_5401,
            Self::Evaluation => 0x4556_414c,
            Self::Deployed => 0x4450_4c01,
            Self::KfcpoOrder => 0x4b46_0001,
            Self::KfcpoFisher => 0x4b46_0002,
            Self::PpoOrder => 0x5050_0001,
            Self::FocopsOrder => 0x464f_0001,
            Self::CriticOrder => 0x5348_0002,
            Self::Environment => 0x454e_5601,
            Self::Other(number) => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_streams_have_the_same_number() {
        use Stream::{
            Action, CriticOrder, Deployed, Environment, Evaluation, FocopsOrder, KfcpoFisher, KfcpoOrder, PpoOrder,
        };
        let orders = [KfcpoOrder, PpoOrder, FocopsOrder, CriticOrder];
        let mut numbers = [Action, Evaluation, Deployed, KfcpoFisher, Environment]
            .into_iter()
            .chain(orders)
            .map(Stream::number)
            .collect::<Vec<_>>();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 9);
    }
}
