//! Who touches what: the kinds of contacts in a scratch, for measurements.

use super::*;

/// Who touches what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AgentFloor,
    AgentSolid,
    AgentObject,
    ObjectFloor,
    ObjectSolid,
    ObjectObject,
}

impl Kind {
    /// In the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::AgentFloor,
        Self::AgentSolid,
        Self::AgentObject,
        Self::ObjectFloor,
        Self::ObjectSolid,
        Self::ObjectObject,
    ];

    /// What a table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AgentFloor => "agent and floor",
            Self::AgentSolid => "agent and solid",
            Self::AgentObject => "agent and object",
            Self::ObjectFloor => "object and floor",
            Self::ObjectSolid => "object and solid",
            Self::ObjectObject => "object and object",
        }
    }
}

/// Contacts in the scratch.
pub(crate) fn contacts_in(scratch: &[f32], scratch_base: usize) -> usize {
    scratch[scratch_base + COUNT] as usize
}

/// Their kinds. What is upright under a slot that never moves is taken for the floor: nobody stands on a solid.
pub(crate) fn contact_kinds(scratch: &[f32], scratch_base: usize) -> impl Iterator<Item = Kind> {
    (0..contacts_in(scratch, scratch_base)).map(move |index| {
        let c = contact(scratch_base, index);
        let slots = [FIRST, SECOND].map(|side| scratch[of(c, side)] as usize);
        let agent = slots.iter().any(|slot| *slot == AGENT_SLOT || *slot > STATIC_SLOT);
        let fixed = slots.contains(&STATIC_SLOT);
        let floor = fixed && scratch[of(c, FRAME + 2)] == 1.0;
        match (agent, fixed) {
            (true, true) if floor => Kind::AgentFloor,
            (true, true) => Kind::AgentSolid,
            (true, false) => Kind::AgentObject,
            (false, true) if floor => Kind::ObjectFloor,
            (false, true) => Kind::ObjectSolid,
            (false, false) => Kind::ObjectObject,
        }
    })
}
