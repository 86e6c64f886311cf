//! What an iteration of KFCPO came to, as numbers.

use super::{Iteration, Kfcpo};
use crate::algorithm::{Number, Update};
use crate::policy::Policy;
use burn::tensor::Tensor;
use kfac::InverseSet;
use safe_rl::{Blend, KlGuard, MarginWeights};
use std::sync::Arc;

impl Kfcpo {
    /// What the iteration came to.
    pub(super) fn report(
        &self,
        policy: &Policy,
        iteration: &Iteration,
        kl: Tensor<1>,
        last: Option<Blend>,
        inverse: Option<InverseSet>,
    ) -> Update {
        let guard = Arc::new(self.guard.counters());
        let counted = |of: fn(&[f32]) -> f64| Number::of(&guard, of);
        let kl = Number::from(kl);
        let accepted = counted(|values| KlGuard::report_of(values).accepted as f64);
        let rejected = counted(|values| {
            let report = KlGuard::report_of(values);
            (report.rejected + report.restored) as f64
        });
        let skipped = counted(|values| {
            let report = KlGuard::report_of(values);
            (report.skipped + report.ignored) as f64
        });
        let mut update = Update {
            kl: Some(kl.clone()),
            accepted: Some(accepted.clone()),
            rejected: Some(rejected.clone()),
            skipped: Some(skipped.clone()),
            numbers: Vec::new(),
        };
        update.push("Train/KL", kl);
        update.push("Train/LogStd", policy.log_std().clone().mean());
        update.push("KFCPO/Accepted", accepted);
        update.push("KFCPO/Rollbacks", rejected);
        update.push("KFCPO/Skipped", skipped);
        update.push("KFCPO/StepKL", counted(|values| KlGuard::report_of(values).step_limit));
        let weights = MarginWeights::tightest(&iteration.weights);
        update.push("KFCPO/Margin", weights.margin);
        update.push("KFCPO/MarginOffset", weights.offset);
        update.push("KFCPO/SafetyWeight", weights.safety_weight);
        update.push("KFCPO/ProjectionStrength", weights.projection_strength);
        update.push("KFCPO/CostDecay", self.constraints.iter().map(|watch| watch.cost.decay()).fold(0.0, f64::max));
        if self.config.price.price_bound > 0.0 {
            update.push("KFCPO/HighestPrice", iteration.highest_price.unwrap_or(f64::NAN));
        }
        if let Some(blend) = last {
            let summary = Arc::new(blend.summary());
            update.push("KFCPO/Alpha", Number::of(&summary, |values| f64::from(values[0])));
            update.push("KFCPO/Beta", Number::of(&summary, |values| f64::from(values[1])));
            update.push("KFCPO/Q", Number::of(&summary, |values| f64::from(values[2])));
            update.push("KFCPO/S", Number::of(&summary, |values| f64::from(values[3])));
            update.push("KFCPO/Kappa", Number::of(&summary, |values| f64::from(values[4])));
            update.push("KFCPO/BoundedWeight", Number::of(&summary, |values| f64::from(values[6])));
        }
        if let Some(inverse) = inverse {
            update.push("KFCPO/InverseFallbacks", inverse.fallbacks());
        }
        update
    }
}
