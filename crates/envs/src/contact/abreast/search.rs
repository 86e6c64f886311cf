//! `search.rs` of the contacts: the step length of each environment along its path.

use super::contacts::pack;
use super::problem::Contact;
use crate::contact::grouped::edges_along;
use crate::contact::search::SEARCH_STEPS;
use crate::register::{LaneMask, Lanes};
use pulp::Simd;

/// What the search of a path starts from.
#[derive(Clone, Copy)]
pub(super) struct Along<S: Simd> {
    /// The objective's slope at 0, below 0.
    pub slope: Lanes<S>,
    /// The inertia's part of slope and curvature, which are affine.
    pub inertia: (Lanes<S>, Lanes<S>),
    /// Ends where the slope has fallen to this share of its start.
    pub tolerance: f32,
}

/// Step length along the paths of those `searching`, and where the full step crossed no edge. Those that are `whole` take it as it is.
#[inline(always)]
pub(super) fn line_search<S: Simd>(
    contacts: &mut [Contact],
    floor: &mut [Contact],
    along: Along<S>,
    mut searching: LaneMask<S>,
    whole: LaneMask<S>,
) -> (Lanes<S>, LaneMask<S>) {
    let like = along.slope.fixed(0.0);
    let mut t = like.fixed(1.0);
    let mut low = like;
    let mut high = like.fixed(1e30);
    let mut uncrossed = like.below(like);
    let enough = along.slope * -along.tolerance;
    for search in 0..SEARCH_STEPS {
        let (slope, curvature, crossed) = if search == 0 {
            contacts_along::<S, true>(contacts, floor, t)
        } else {
            contacts_along::<S, false>(contacts, floor, t)
        };
        let slope = slope + along.inertia.0 + t * along.inertia.1;
        let mut found = enough.below(slope.magnitude()).negated();
        if search == 0 {
            found = found.either(whole);
            uncrossed = searching.both(found).both(crossed.negated());
        }
        searching = searching.both(found.negated());
        if !searching.any() {
            break;
        }
        let over = like.below(slope);
        high = t.pick(over.both(searching), high);
        low = t.pick(over.negated().both(searching), low);
        let next = t - slope / (curvature + along.inertia.1);
        let middle = ((low + high) * 0.5).pick(high.below(like.fixed(1e29)), low * 2.0);
        let next = next.pick(low.below(next).both(next.below(high)), middle);
        t = next.pick(searching, t);
    }
    (t, uncrossed)
}

/// Slope and curvature of the contacts at `t` along the path, and, if `CROSSINGS` are asked for, whether any edge changed sides.
#[inline(always)]
fn contacts_along<S: Simd, const CROSSINGS: bool>(
    contacts: &mut [Contact],
    floor: &mut [Contact],
    t: Lanes<S>,
) -> (Lanes<S>, Lanes<S>, LaneMask<S>) {
    let zero = t.fixed(0.0);
    let (mut slope, mut curvature, mut crossed) = (zero, zero, zero.below(zero));
    for list in [contacts, floor] {
        for contact in list {
            let (own_slope, own_curvature, own_crossed) = edges_along::<S, CROSSINGS>(&pack(zero, contact), t);
            slope += own_slope;
            curvature += own_curvature;
            crossed = crossed.either(own_crossed);
        }
    }
    (slope, curvature, crossed)
}
