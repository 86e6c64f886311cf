//! What kinds of objects there are, and groups of them: the data a level is made of.

use serde::{Deserialize, Serialize};

use crate::state::{FREE_OBJECT_FIELDS, GREMLIN_FIELDS, STATIC_FIELDS};

/// A kind of object; its numbers are the kind column of the parameter slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// The place to reach.
    Goal = 0,
    /// A disc on the floor that costs while the agent's origin is inside.
    Hazard = 1,
    /// A light box that slides when hit.
    Vase = 2,
    /// A sphere to press.
    Button = 3,
    /// A tall cylinder that stands in the way.
    Pillar = 4,
    /// A light box that hovers along a circle.
    Gremlin = 5,
    /// The box to push.
    PushBox = 6,
    /// The circle to drive along, about the origin.
    Circle = 7,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: &'static [Self] =
        &[Self::Goal, Self::Hazard, Self::Vase, Self::Button, Self::Pillar, Self::Gremlin, Self::PushBox, Self::Circle];

    /// The kind column of a group's parameter row.
    pub const fn code(self) -> f32 {
        self as u8 as f32
    }

    /// Numbers a single object of this kind has in the state.
    pub const fn fields(self) -> usize {
        match self {
            Self::Goal | Self::Hazard | Self::Button | Self::Pillar | Self::Circle => STATIC_FIELDS,
            Self::Vase | Self::PushBox => FREE_OBJECT_FIELDS,
            Self::Gremlin => GREMLIN_FIELDS,
        }
    }

    /// Whether it moves when hit (or by itself).
    pub const fn is_free(self) -> bool {
        matches!(self, Self::Vase | Self::Gremlin | Self::PushBox)
    }

    /// Whether it stands fast and stops the agent.
    pub const fn is_solid(self) -> bool {
        matches!(self, Self::Button | Self::Pillar)
    }

    /// Name of one such object in the original, without its number.
    pub const fn object_name(self) -> &'static str {
        match self {
            Self::Goal => "goal",
            Self::Hazard => "hazard",
            Self::Vase => "vase",
            Self::Button => "button",
            Self::Pillar => "pillar",
            Self::Gremlin => "gremlin",
            Self::PushBox => "push_box",
            Self::Circle => "circle",
        }
    }

    /// Name of such objects in settings: in the plural where a level may hold several.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Hazard => "hazards",
            Self::Vase => "vases",
            Self::Button => "buttons",
            Self::Pillar => "pillars",
            Self::Gremlin => "gremlins",
            Self::Goal | Self::PushBox | Self::Circle => self.object_name(),
        }
    }

    /// Name of the lidar this kind appears in.
    pub const fn lidar_name(self) -> &'static str {
        match self {
            Self::Goal => "goal_lidar",
            Self::Hazard => "hazards_lidar",
            Self::Vase => "vases_lidar",
            Self::Button => "buttons_lidar",
            Self::Pillar => "pillars_lidar",
            Self::Gremlin => "gremlins_lidar",
            Self::PushBox => "push_box_lidar",
            Self::Circle => "circle_lidar",
        }
    }
}

/// Objects of one kind in a level, in placement order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectGroup {
    /// What they are.
    pub kind: ObjectKind,
    /// How many.
    pub count: usize,
    /// Clearance each keeps around itself in a fresh layout \[m\].
    pub keepout: f32,
    /// Radius, or half-width of a box \[m\].
    pub size: f32,
    /// Whether they cost.
    #[serde(default)]
    pub constrained: bool,
}
