// What the Racecar's contact problem is made of: a state, accelerations, the rows of wheels and hinges, and the problem itself.
device! {

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// State of one car.
#[derive(Clone, Copy, Debug)]
pub struct Motion {
    /// Displacement of the body origin since the step began \[m\]: added to the position once a step.
    pub dx: Real,
    pub dy: Real,
    /// Height of the body origin above [`RADIUS`] \[m\]: contact depths are micrometres.
    pub lift: Real,
    /// Chassis to world.
    pub pose: Quat,
    /// Steering angles, to the left \[rad\].
    pub steer_left: Real,
    pub steer_right: Real,
    /// Cosine and sine of the rear axle's angle.
    pub axle_cos: Real,
    pub axle_sin: Real,
    pub rates: Rates,
    /// What the accelerometer reads, chassis axes \[m/s^2\].
    pub accelerometer: V3,
    /// Contact problems left unsolved.
    pub unsolved: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Velocities in MuJoCo's coordinates, or their rates of change.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Of the body origin, world axes.
    pub lin: V3,
    /// Angular, chassis axes.
    pub ang: V3,
    /// Of the steering angles.
    pub steer_left: Real,
    pub steer_right: Real,
    /// Of the front wheels in their carriers.
    pub left: Real,
    pub right: Real,
    /// Of the rear axle in the chassis.
    pub rear: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Accelerations, velocities or generalised forces in the coordinates of the contact problem: [`Rates`], but the chassis'
/// rotation in world axes.
#[derive(Clone, Copy, Debug)]
pub struct Acc {
    pub lin: V3,
    pub ang: V3,
    pub steer_left: Real,
    pub steer_right: Real,
    pub left: Real,
    pub right: Real,
    pub rear: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// One row of the objective that only the steering hinge feels: weight w (0 where there is none), its sense, b v + k d r.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    pub weight: Real,
    pub sense: Real,
    pub push: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A front wheel that rubs the bumper: weight of an edge (0 where it does not), motions in the contact's frame per unit of
/// steering and of spin, times their friction coefficients, and k d r.
#[derive(Clone, Copy, Debug)]
pub struct Rub {
    pub weight: Real,
    pub push: Real,
    pub steer: Six,
    pub spin: Six,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A front wheel with its hinge.
#[derive(Clone, Copy, Debug)]
pub struct Front {
    /// The axle's direction.
    pub axle: V3,
    /// Velocity at the body origin of unit steering (its rate is ez) and of unit spin (its rate is `axle`).
    pub steer: V3,
    pub spin: V3,
    /// The steering hinge's column of the inertia matrix.
    pub mass_lin: V3,
    pub mass_ang: V3,
    /// Contacts of the outer and inner rim with the floor.
    pub outer: Contact,
    pub inner: Contact,
    pub stop: Stop,
    pub rub: Rub,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// What a stage has to solve. Rear contacts: `a` and `b` the left wheel's outer and inner rim, `c` and `d` the right
/// wheel's inner and outer.
#[derive(Clone, Copy, Debug)]
pub struct Problem {
    pub ez: V3,
    /// The rear axle's direction, and the velocity at the body origin of its unit spin.
    pub axle: V3,
    pub rear: V3,
    /// Mass times the place of the centre of mass, inertia about the body origin; world axes.
    pub moment: V3,
    pub inertia: Sym3,
    pub left: Front,
    pub right: Front,
    pub a: Contact,
    pub b: Contact,
    pub c: Contact,
    pub d: Contact,
    /// Forces without constraints.
    pub force: Acc,
    /// b v: what velocities add to the rows.
    pub rates: Acc,
    /// The rod between the hinges: weight and k d r.
    pub rod_weight: Real,
    pub rod_push: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// A front wheel's forces of inertia, chassis axes: on the body origin, about it, on the hinge, on the spin.
#[derive(Clone, Copy, Debug)]
pub struct Drag {
    pub force: V3,
    pub torque: V3,
    pub steer: Real,
    pub spin: Real,
}

#[cfg_attr(feature = "gpu", derive(CubeType, CubeTypeMut), expand(derive(Clone, Copy)))]
/// Sine and cosine.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub sin: Real,
    pub cos: Real,
}

}
