//! What costs: the kinds of cost, how they make up the cost of a step, and the constraints, which are sums of kinds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Level;
use crate::object::ObjectKind;

/// Most constraints of a level.
const MAX_CONSTRAINTS: usize = 8;
/// Largest weight of a kind: an episode's sum stays far from what float32 can hold.
const HEAVIEST: f32 = 1e6;
/// What the one constraint is called where a level names none.
const COST: &str = "cost";

/// A kind of cost; its number is a bit of [`crate::StepBatch::kinds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostKind {
    /// The agent's origin is inside a hazard.
    Hazards = 0,
    /// The agent touches a vase.
    VasesContact = 1,
    /// A vase moves.
    VasesVelocity = 2,
    /// The agent touches a pillar.
    Pillars = 3,
    /// The agent touches a gremlin.
    Gremlins = 4,
    /// The agent presses a button that is not the target.
    Buttons = 5,
    /// The agent touches the push box.
    PushBox = 6,
    /// The agent's origin is beyond a line.
    Walls = 7,
}

impl CostKind {
    /// How many there are.
    pub const COUNT: usize = 8;
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Hazards,
        Self::VasesContact,
        Self::VasesVelocity,
        Self::Pillars,
        Self::Gremlins,
        Self::Buttons,
        Self::PushBox,
        Self::Walls,
    ];

    /// The kind's bit.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// How many of these [`crate::StepBatch::kinds`] it is among.
    pub fn count_in(self, kinds: &[f32]) -> usize {
        kinds.iter().filter(|kinds| **kinds as u32 & self.bit() != 0).count()
    }

    /// Its name in settings and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hazards => "hazards",
            Self::VasesContact => "vases_contact",
            Self::VasesVelocity => "vases_velocity",
            Self::Pillars => "pillars",
            Self::Gremlins => "gremlins",
            Self::Buttons => "buttons",
            Self::PushBox => "push_box",
            Self::Walls => "walls",
        }
    }

    /// The kinds that a name stands for: one, or both of `vases`.
    ///
    /// # Errors
    /// An unknown name; the message lists the valid ones.
    pub fn named(name: &str) -> Result<Vec<Self>, String> {
        if name == ObjectKind::Vase.plural() {
            return Ok(vec![Self::VasesContact, Self::VasesVelocity]);
        }
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.map(|kind| vec![kind]).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("unknown kind of cost `{name}`; there are {} and vases", names.join(", "))
        })
    }

    /// The kinds of cost that objects of a kind that costs bring.
    fn of(kind: ObjectKind) -> &'static [Self] {
        match kind {
            ObjectKind::Hazard => &[Self::Hazards],
            ObjectKind::Vase => &[Self::VasesContact, Self::VasesVelocity],
            ObjectKind::Pillar => &[Self::Pillars],
            ObjectKind::Gremlin => &[Self::Gremlins],
            ObjectKind::Button => &[Self::Buttons],
            ObjectKind::PushBox => &[Self::PushBox],
            ObjectKind::Goal | ObjectKind::Circle => &[],
        }
    }
}

/// How the kinds that a step breaks make up its cost.
///
/// As data `"indicator"`, `"sum"`, or weights by kind, `{"hazards": 1, "vases": 0.1}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenRule", into = "WrittenRule")]
pub enum CostRule {
    /// 1 where any kind is broken, else 0, as in the suite.
    #[default]
    Indicator,
    /// The number of kinds that are broken.
    Sum,
    /// The sum of the broken kinds' weights; what is not named weighs nothing.
    Weighted(BTreeMap<CostKind, f32>),
}

#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "must be \"indicator\", \"sum\" or weights by kind, such as {\"hazards\": 1, \"vases\": 0.1}"
)]
enum WrittenRule {
    Named(NamedRule),
    Weighted(BTreeMap<String, f32>),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NamedRule {
    Indicator,
    Sum,
}

impl TryFrom<WrittenRule> for CostRule {
    type Error = String;

    fn try_from(written: WrittenRule) -> Result<Self, String> {
        match written {
            WrittenRule::Named(NamedRule::Indicator) => Ok(Self::Indicator),
            WrittenRule::Named(NamedRule::Sum) => Ok(Self::Sum),
            WrittenRule::Weighted(weights) => {
                let mut by_kind = BTreeMap::new();
                for (name, weight) in weights {
                    by_kind.extend(CostKind::named(&name)?.into_iter().map(|kind| (kind, weight)));
                }
                Ok(Self::Weighted(by_kind))
            }
        }
    }
}

impl From<CostRule> for WrittenRule {
    fn from(rule: CostRule) -> Self {
        match rule {
            CostRule::Indicator => Self::Named(NamedRule::Indicator),
            CostRule::Sum => Self::Named(NamedRule::Sum),
            CostRule::Weighted(weights) => {
                Self::Weighted(weights.into_iter().map(|(kind, weight)| (kind.name().to_owned(), weight)).collect())
            }
        }
    }
}

/// A constraint: a cost with a name, made up of some kinds by the level's rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenSum")]
pub struct CostSum {
    /// Its name.
    pub name: String,
    /// The kinds that count; as data, `vases` stands for both of theirs.
    pub kinds: BTreeSet<CostKind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSum {
    name: String,
    kinds: Vec<String>,
}

impl TryFrom<WrittenSum> for CostSum {
    type Error = String;

    fn try_from(WrittenSum { name, kinds }: WrittenSum) -> Result<Self, String> {
        let mut sum = Self { name, kinds: BTreeSet::new() };
        for kind in kinds {
            sum.kinds.extend(CostKind::named(&kind)?);
        }
        Ok(sum)
    }
}

impl Level {
    /// The kinds of cost that this level can bring, in their order.
    pub fn cost_kinds(&self) -> BTreeSet<CostKind> {
        let groups = self.groups.iter().filter(|group| group.constrained);
        let walls = (self.walls > 0).then_some(CostKind::Walls);
        groups.flat_map(|group| CostKind::of(group.kind)).copied().chain(walls).collect()
    }

    /// What is limited: the level's constraints, or where it names none, one called `cost` of all kinds.
    pub(crate) fn cost_sums(&self) -> Vec<CostSum> {
        if self.constraints.is_empty() {
            return vec![CostSum { name: COST.to_owned(), kinds: CostKind::ALL.into_iter().collect() }];
        }
        self.constraints.clone()
    }

    /// Weight of a kind within a sum.
    pub(crate) fn weight(&self, kind: CostKind) -> f32 {
        match &self.cost {
            CostRule::Indicator | CostRule::Sum => 1.0,
            CostRule::Weighted(weights) => weights.get(&kind).copied().unwrap_or(0.0),
        }
    }

    pub(super) fn check_costs(&self) -> Result<(), String> {
        if let CostRule::Weighted(weights) = &self.cost {
            if let Some((kind, weight)) = weights.iter().find(|(_, weight)| !(0.0..=HEAVIEST).contains(*weight)) {
                return Err(format!("`cost.{}` = {weight}: must be from 0 to {HEAVIEST}", kind.name()));
            }
            self.check_present("cost", weights.keys())?;
        }
        if self.constraints.len() > MAX_CONSTRAINTS {
            return Err(format!("{} `constraints`: at most {MAX_CONSTRAINTS} are possible", self.constraints.len()));
        }
        for (i, sum) in self.constraints.iter().enumerate() {
            let place = format!("constraints[{i}] ({})", sum.name);
            if sum.name.is_empty() || sum.name.contains([',', '=']) || sum.name.chars().any(char::is_control) {
                return Err(format!("{place}: `name` must be a text without commas and equals signs"));
            }
            if self.constraints[..i].iter().any(|other| other.name == sum.name) {
                return Err(format!("{place}: there are two of this name"));
            }
            if sum.kinds.is_empty() {
                return Err(format!("{place}: `kinds` must name what counts"));
            }
            self.check_present(&place, sum.kinds.iter())?;
        }
        Ok(())
    }

    /// Kinds that are named must be there.
    fn check_present<'a>(&self, place: &str, mut kinds: impl Iterator<Item = &'a CostKind>) -> Result<(), String> {
        let present = self.cost_kinds();
        match kinds.find(|kind| !present.contains(kind)) {
            None => Ok(()),
            Some(kind) => {
                let names: Vec<&str> = present.iter().map(|kind| kind.name()).collect();
                let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                Err(format!("{place}: nothing costs as `{}` in this level; what does: {names}", kind.name()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::levels;

    #[test]
    fn the_kinds_of_a_level_are_those_of_what_costs_in_it() {
        let kinds = |name: &str| -> Vec<&str> {
            let level = levels().iter().find(|level| level.name == name).unwrap();
            level.cost_kinds().iter().map(|kind| kind.name()).collect()
        };
        assert_eq!(kinds("Goal1"), ["hazards"]);
        assert_eq!(kinds("Goal2"), ["hazards", "vases_contact", "vases_velocity"]);
        assert_eq!(kinds("Button1"), ["hazards", "gremlins", "buttons"]);
        assert_eq!(kinds("Push2"), ["hazards", "pillars"]);
        assert_eq!(kinds("Circle1"), ["walls"]);
        assert_eq!(kinds("Run0"), ["walls"]);
        assert!(kinds("Goal0").is_empty());
        assert!(CostKind::ALL.iter().enumerate().all(|(number, kind)| kind.bit() == 1 << number));
    }

    #[test]
    fn rules_and_sums_are_read_with_vases_for_both_of_their_kinds() {
        let rule = |text: &str| serde_json::from_str::<CostRule>(text).map_err(|error| error.to_string());
        assert_eq!(rule("\"sum\"").unwrap(), CostRule::Sum);
        let weighted = rule(r#"{"hazards": 1, "vases": 0.5}"#).unwrap();
        let text = serde_json::to_string(&weighted).unwrap();
        assert_eq!(text, r#"{"hazards":1.0,"vases_contact":0.5,"vases_velocity":0.5}"#);
        assert_eq!(rule(&text).unwrap(), weighted);
        assert!(rule("\"product\"").unwrap_err().contains("indicator"));
        assert!(rule(r#"{"lava": 1}"#).unwrap_err().contains("vases_contact"));
        let sum: CostSum = serde_json::from_str(r#"{"name": "soft", "kinds": ["vases", "hazards"]}"#).unwrap();
        assert_eq!(sum.kinds.len(), 3);
        assert_eq!(serde_json::from_str::<CostSum>(&serde_json::to_string(&sum).unwrap()).unwrap(), sum);
    }

    #[test]
    fn a_cost_of_what_is_not_there_is_refused() {
        let mut level = Level::clone(levels().iter().find(|level| level.name == "Goal1").unwrap());
        level.constraints = vec![CostSum { name: "vases".to_owned(), kinds: [CostKind::VasesContact].into() }];
        let message = level.validate().unwrap_err().to_string();
        assert!(message.contains("constraints[0] (vases)") && message.contains("what does: hazards"), "{message}");
        level.groups[2].constrained = true;
        level.validate().unwrap();
        level.constraints = vec![level.constraints[0].clone(); 2];
        assert!(level.validate().unwrap_err().to_string().contains("two of this name"));
    }
}
