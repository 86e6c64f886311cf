//! The parts of an iteration, for those who time them.

/// A part of an iteration, for those who time it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Observations normalised, their moments counted; every step.
    Normalize,
    /// The policy's forward pass and its actions; every step.
    Act,
    /// The environments' step; every step.
    Step,
    /// All steps of the rollout in one launch: normalised, acted on, simulated, judged.
    Rollout,
    /// The rollout put together, finished episodes read back.
    Assemble,
    /// As many steps of the deployed policy, which is measured by them.
    Deployed,
    /// Both critics' values of every observation.
    Values,
    /// Advantages and value targets.
    Advantages,
    /// The algorithm's update of the policy.
    Actor,
    /// The critics' regression.
    Critics,
}

/// Is told when a phase has ended.
pub type PhaseObserver<'a> = &'a mut dyn FnMut(Phase);
