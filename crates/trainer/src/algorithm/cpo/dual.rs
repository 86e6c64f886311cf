//! CPO's step under several constraints: the dual of `max g^T x  s.t.  c_i + b_i^T x <= 0, x^T F x / 2 <= delta`.
//!
//! The dual function of the constraints' multipliers `nu`, that of the trust region minimised out, is
//! `D(nu) = sqrt(2 delta) |g - B nu| - c^T nu` in the norm of `F^-1`: convex, and over one coordinate solved in closed form. It is
//! minimised over `nu >= 0` coordinate by coordinate. Its positive multipliers name the constraints that bind; the step goes back to
//! these, and what is left of the trust region along the part of `g` that changes none of them. Everything that it needs are
//! the products of the natural directions.

/// Passes over the coordinates; a handful of constraints needs a dozen.
const SWEEPS: usize = 500;
/// Relative change of the multipliers below which they stand.
const STILL: f64 = 1e-10;
/// Multipliers beyond this times the reward's own size: the constraints exclude one another within the trust region.
const UNBOUNDED: f64 = 1e6;
/// Keeps divisions finite.
const TINY: f64 = 1e-12;
/// Added to the products of binding constraints, as a share: gradients may be one another's.
const EVEN: f64 = 1e-10;

/// The numbers of the problem.
#[derive(Clone, Debug)]
pub struct Dual {
    /// `g F^-1 g`.
    pub q: f64,
    /// `g F^-1 b_i`.
    pub r: Vec<f64>,
    /// `b_i F^-1 b_j`.
    pub s: Vec<Vec<f64>>,
    /// How far every cost is beyond its limit.
    pub c: Vec<f64>,
    /// Radius of the trust region.
    pub delta: f64,
}

/// The step as `reward F^-1 g - sum_i costs_i F^-1 b_i`.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Weight of the reward's natural direction.
    pub reward: f64,
    /// Weights of the costs'.
    pub costs: Vec<f64>,
    /// Whether no step within the trust region keeps every limit: then the worst cost is lowered, whatever the reward.
    pub recovers: bool,
}

impl Dual {
    /// The best step.
    pub fn solve(&self) -> Step {
        match self.multipliers() {
            Some(nu) => self.step(&nu),
            None => self.recovery(),
        }
    }

    /// The step on which the constraints with a multiplier bind.
    fn step(&self, nu: &[f64]) -> Step {
        let binding: Vec<usize> = (0..nu.len()).filter(|i| nu[*i] > 0.0).collect();
        let of = |values: &[f64]| binding.iter().map(|i| values[*i]).collect::<Vec<f64>>();
        // Of g along the binding gradients, and of the way back to their limits.
        let (along, back) = (self.solved(&binding, of(&self.r)), self.solved(&binding, of(&self.c)));
        let dot = |a: &[f64], b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let across = self.q - dot(&along, of(&self.r));
        let left = (2.0 * self.delta - dot(&back, of(&self.c))).max(0.0);
        // Where g is made of the binding gradients alone, there is nowhere else to go.
        let reward = if across > EVEN.sqrt() * self.q { (left / across).sqrt() } else { 0.0 };
        let mut costs = vec![0.0; nu.len()];
        for ((i, along), back) in binding.iter().zip(along).zip(back) {
            costs[*i] = reward * along + back;
        }
        Step { reward, costs, recovers: false }
    }

    /// `S^-1 v` over these constraints, by elimination; S is positive definite.
    fn solved(&self, binding: &[usize], mut v: Vec<f64>) -> Vec<f64> {
        let n = binding.len();
        let mut s: Vec<Vec<f64>> = binding.iter().map(|i| binding.iter().map(|j| self.s[*i][*j]).collect()).collect();
        for (i, row) in s.iter_mut().enumerate() {
            row[i] += EVEN * row[i] + f64::MIN_POSITIVE;
        }
        for i in 0..n {
            for k in i + 1..n {
                let factor = s[k][i] / s[i][i];
                for j in i..n {
                    s[k][j] -= factor * s[i][j];
                }
                v[k] -= factor * v[i];
            }
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|j| s[i][j] * v[j]).sum();
            v[i] = (v[i] - known) / s[i][i];
        }
        v
    }

    /// `|g - B nu|^2`.
    fn squared(&self, nu: &[f64]) -> f64 {
        let product = |i: usize| -> f64 { self.s[i].iter().zip(nu).map(|(s, nu)| s * nu).sum() };
        self.q + (0..nu.len()).map(|i| nu[i] * (product(i) - 2.0 * self.r[i])).sum::<f64>()
    }

    /// The minimum of the dual function, if it has one.
    fn multipliers(&self) -> Option<Vec<f64>> {
        let mut nu = vec![0.0; self.c.len()];
        let largest = UNBOUNDED * (1.0 + self.q.abs().sqrt());
        for _ in 0..SWEEPS {
            let mut moved: f64 = 0.0;
            for i in 0..nu.len() {
                let new = self.coordinate(&nu, i)?;
                moved = moved.max((new - nu[i]).abs() / (1.0 + new));
                nu[i] = new;
            }
            if nu.iter().any(|nu| nu.is_nan() || *nu > largest) {
                return None;
            }
            if moved < STILL {
                return Some(nu);
            }
        }
        None
    }

    /// The best `nu_i` while the others stand; none where the constraint alone cannot be met.
    fn coordinate(&self, nu: &[f64], i: usize) -> Option<f64> {
        let s = self.s[i][i];
        let slope = self.c[i] / (2.0 * self.delta * s).sqrt().max(TINY);
        if s < TINY {
            // Nothing that the policy could do about it.
            return Some(0.0);
        }
        if slope >= 1.0 {
            return None;
        }
        if slope <= -1.0 {
            return Some(0.0);
        }
        let others: f64 = (0..nu.len()).filter(|j| *j != i).map(|j| self.s[i][j] * nu[j]).sum();
        let along = self.r[i] - others;
        let mut without = nu.to_vec();
        without[i] = 0.0;
        let across = (self.squared(&without) - along * along / s).max(0.0);
        let y = slope * (across / (1.0 - slope * slope)).sqrt();
        Some(((along + s.sqrt() * y) / s).max(0.0))
    }

    /// Straight back from the limit that is farthest away.
    fn recovery(&self) -> Step {
        let distance = |i: usize| self.c[i] / (self.s[i][i] + TINY).sqrt();
        let worst = (0..self.c.len()).max_by(|i, j| distance(*i).total_cmp(&distance(*j))).unwrap_or(0);
        let mut costs = vec![0.0; self.c.len()];
        costs[worst] = (2.0 * self.delta / (self.s[worst][worst] + TINY)).sqrt();
        Step { reward: 0.0, costs, recovers: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: [f64; 2], b: [f64; 2]) -> f64 {
        a[0] * b[0] + a[1] * b[1]
    }

    /// F = I, so that the products are those of g and b.
    fn dual(g: [f64; 2], b: &[[f64; 2]], c: &[f64]) -> Dual {
        Dual {
            q: dot(g, g),
            r: b.iter().map(|b| dot(g, *b)).collect(),
            s: b.iter().map(|one| b.iter().map(|other| dot(*one, *other)).collect()).collect(),
            c: c.to_vec(),
            delta: 0.5,
        }
    }

    fn step(g: [f64; 2], b: &[[f64; 2]], c: &[f64]) -> ([f64; 2], bool) {
        let step = dual(g, b, c).solve();
        let x = [0, 1].map(|k| step.reward * g[k] - b.iter().zip(&step.costs).map(|(b, w)| w * b[k]).sum::<f64>());
        (x, step.recovers)
    }

    fn assert_close(got: [f64; 2], expected: [f64; 2]) {
        assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-6), "{got:?} {expected:?}");
    }

    #[test]
    fn the_step_agrees_with_geometry() {
        // The trust region is the unit disc; costs rise to the right and upwards.
        let b = [[1.0, 0.0], [0.0, 1.0]];
        let diagonal = 0.5f64.sqrt();
        assert_close(step([1.0, 1.0], &b, &[-2.0, -2.0]).0, [diagonal, diagonal]);
        // One of them binds, then both.
        assert_close(step([1.0, 1.0], &b, &[-0.5, -2.0]).0, [0.5, 0.75f64.sqrt()]);
        assert_close(step([1.0, 1.0], &b, &[-0.5, -0.25]).0, [0.5, 0.25]);
        // Beyond both limits: back to both.
        assert_close(step([1.0, 1.0], &b, &[0.5, 0.25]).0, [-0.5, -0.25]);
        // Both at once are out of reach, and so is one alone: straight back from the worse.
        for c in [[0.8, 0.9], [0.1, 2.0]] {
            let (x, recovers) = step([1.0, 1.0], &b, &c);
            assert!(recovers);
            assert_close(x, [0.0, -1.0]);
        }
        // A cost that the policy cannot change keeps nothing back.
        assert_close(step([1.0, 0.0], &[[0.0, 0.0], [0.0, 1.0]], &[1.0, -2.0]).0, [1.0, 0.0]);
    }

    /// `g = x / t + sum_i nu_i b_i` with the step `x` at the trust region's edge, every limit kept and `nu` positive only where a limit
    /// binds: then no allowed step is better.
    #[test]
    fn the_step_meets_the_conditions_of_an_optimum() {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
        };
        let mut vector = || -> [f64; 8] { std::array::from_fn(|_| random()) };
        let dot = |a: &[f64; 8], b: &[f64; 8]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (mut bound, mut recovered) = ([0; 4], 0);
        for _ in 0..500 {
            let (g, b) = (vector(), [vector(), vector(), vector()]);
            let c: Vec<f64> = vector()[..3].iter().map(|c| 0.8 * c).collect();
            let products = |one: &[f64; 8]| b.iter().map(|other| dot(one, other)).collect::<Vec<f64>>();
            let s = b.iter().map(products).collect();
            let problem = Dual { q: dot(&g, &g), r: products(&g), s, c: c.clone(), delta: 0.5 };
            let Step { reward, costs, recovers } = problem.solve();
            if recovers {
                recovered += 1;
                continue;
            }
            let x: [f64; 8] =
                std::array::from_fn(|k| reward * g[k] - b.iter().zip(&costs).map(|(b, cost)| cost * b[k]).sum::<f64>());
            assert!((dot(&x, &x) - 1.0).abs() < 1e-6, "{x:?}");
            let excess: Vec<f64> = b.iter().zip(&c).map(|(b, c)| c + dot(b, &x)).collect();
            for (excess, cost) in excess.iter().zip(&costs) {
                assert!(*excess < 1e-6 && *cost >= -1e-9 && (*cost < 1e-9 || excess.abs() < 1e-6), "{excess} {cost}");
            }
            bound[costs.iter().filter(|cost| **cost > 1e-9).count()] += 1;
        }
        assert!(bound.iter().all(|count| *count > 20) && recovered > 0, "{bound:?} {recovered}");
    }
}
