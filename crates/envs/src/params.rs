//! Where each number of the parameter slice lies: what scalar bodies know of their level (`spec/params.rs` fills it).

/// Numbers the seed takes in the parameter slice.
pub const SEED_PARTS: usize = 4;
/// First part of the seed.
pub const PARAM_SEED: usize = 0;
/// The agent starts within plus or minus this of the middle of its place, along x \[m\].
pub const PARAM_AGENT_RANGE: usize = 4;
/// Steps after which an episode is truncated.
pub const PARAM_MAX_STEPS: usize = 5;
/// The agent's clearance in a fresh layout \[m\].
pub const PARAM_AGENT_KEEPOUT: usize = 6;
/// Range of the lidars \[m\].
pub const PARAM_LIDAR_RANGE: usize = 7;
/// Number of object groups.
pub const PARAM_GROUPS: usize = 8;
/// Lines not to cross: 0, 2 or 4.
pub const PARAM_WALLS: usize = 9;
/// Field of the first free object (a level has one kind of them).
pub const PARAM_BODY_FIRST: usize = 10;
/// Number of free objects.
pub const PARAM_BODIES: usize = 11;
/// State fields of one of them.
pub const PARAM_BODY_FIELDS: usize = 12;
/// Their [`crate::ObjectKind::code`].
pub const PARAM_BODY_KIND: usize = 13;
/// The bit of the kind of cost that touching one brings; 0 where it costs nothing.
pub const PARAM_BODY_COSTS: usize = 14;
/// Half-width of the box \[m\].
pub const PARAM_BODY_HALF: usize = 15;
/// Mass \[kg\].
pub const PARAM_BODY_MASS: usize = 16;
/// Moment of inertia about a horizontal axis \[kg m^2\].
pub const PARAM_BODY_MOMENT: usize = 17;
/// Moment of inertia about the vertical axis \[kg m^2\].
pub const PARAM_BODY_SPIN_MOMENT: usize = 18;
/// Reach from the centre to the farthest corner \[m\].
pub const PARAM_BODY_REACH: usize = 19;
/// Height of the centre at rest \[m\].
pub const PARAM_BODY_REST_Z: usize = 20;
/// Field of the first solid object (a level has one kind of them).
pub const PARAM_SOLID_FIRST: usize = 21;
/// Number of solid objects.
pub const PARAM_SOLIDS: usize = 22;
/// Their [`crate::ObjectKind::code`].
pub const PARAM_SOLID_KIND: usize = 23;
/// Their radius \[m\].
pub const PARAM_SOLID_RADIUS: usize = 24;
/// The bit of the kind of cost that touching one (of buttons: a wrong one) brings; 0 where it costs nothing.
pub const PARAM_SOLID_COSTS: usize = 25;
/// MuJoCo's timestep \[s\], ten of which are a step.
pub const PARAM_SUBSTEP: usize = 26;
/// 1 where an episode goes on when its goal is reached.
pub const PARAM_CONTINUE: usize = 27;
/// Sum of costs at which an episode ends.
pub const PARAM_COST_END: usize = 28;
/// Number of fixed layouts; 0 where layouts are drawn.
pub const PARAM_LAYOUTS: usize = 29;
/// First number of the first layout's row, in this slice.
pub const PARAM_LAYOUT_FIRST: usize = 30;
/// Length of a layout's row.
pub const PARAM_LAYOUT_ROW: usize = 31;
/// Column of a layout's row where the poses of the free objects begin.
pub const PARAM_LAYOUT_BODIES: usize = 32;
/// Number of constraints.
pub const PARAM_COSTS: usize = 33;
/// First number of the first constraint's row, in this slice.
pub const PARAM_COST_FIRST: usize = 34;
/// Field of the state with the sum of the second constraint's cost; the others follow.
pub const PARAM_COST_STATE: usize = 35;
/// As [`PARAM_AGENT_RANGE`], along y \[m\].
pub const PARAM_AGENT_RANGE_Y: usize = 36;
/// Middle of the place where the agent starts: x \[m\].
pub const PARAM_AGENT_X: usize = 37;
/// And y \[m\].
pub const PARAM_AGENT_Y: usize = 38;
/// Distance of the lines from the origin \[m\].
pub const PARAM_WALL_DISTANCE: usize = 39;
/// Stages of a MuJoCo timestep: 1 (Euler) or 4 (Runge-Kutta).
pub const PARAM_STAGES: usize = 40;
/// First number of the first group's row.
pub const PARAM_GROUP: usize = 41;
/// Length of a group's row.
pub const GROUP_ROW: usize = 9;

/// Column of a group's row: [`crate::ObjectKind::code`].
pub const GROUP_KIND: usize = 0;
/// Column: number of objects.
pub const GROUP_COUNT: usize = 1;
/// Column: field of the first object's x in the state.
pub const GROUP_OFFSET: usize = 2;
/// Column: fields of one object.
pub const GROUP_FIELDS: usize = 3;
/// Column: clearance \[m\].
pub const GROUP_KEEPOUT: usize = 4;
/// Column: radius or half-width \[m\].
pub const GROUP_SIZE: usize = 5;
/// Column: 1 where the group costs.
pub const GROUP_CONSTRAINED: usize = 6;
/// Column: first bin of the group's lidar in the observation.
pub const GROUP_LIDAR: usize = 7;
/// Column: objects are placed within plus or minus this, on either axis \[m\].
pub const GROUP_RANGE: usize = 8;

/// Length of a constraint's row.
pub const COST_ROW: usize = COST_WEIGHT + crate::level::CostKind::COUNT;
/// Column of a constraint's row: the bits of the kinds that count.
pub const COST_KINDS: usize = 0;
/// Column: 1 where their weights are added up, 0 where any of them makes the cost 1.
pub const COST_SUMMED: usize = 1;
/// Column: weight of the first kind; the others follow.
pub const COST_WEIGHT: usize = 2;

/// Columns of a layout's row: the agent's x, y \[m\] and yaw \[rad\].
pub const LAYOUT_AGENT: usize = 0;
/// Column: number of the target button, or [`DRAWN`].
pub const LAYOUT_TARGET: usize = 3;
/// Column: x, y, yaw of the first object; the others follow, group by group.
pub const LAYOUT_OBJECTS: usize = 4;
/// Numbers of a pose.
pub const POSE: usize = 3;
/// Stands for a yaw or a target that is drawn; no real one is as large.
pub const DRAWN: f32 = 1e6;
