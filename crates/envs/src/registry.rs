//! Every environment that has a name: agents times levels.

use std::sync::OnceLock;

use crate::agent::AgentKind;
use crate::error::EnvError;
use crate::level::levels;
use crate::spec::NavigationSpec;

/// All environments of Safety-Gymnasium's navigation suite that this crate has.
pub fn registry() -> &'static [NavigationSpec] {
    static REGISTRY: OnceLock<Vec<NavigationSpec>> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let levels_of = |agent: &AgentKind| {
            let agent = *agent;
            levels().iter().map(move |level| NavigationSpec::of(agent, level.clone()))
        };
        AgentKind::ALL.iter().flat_map(levels_of).collect()
    })
}

/// The environment called `id`: Safety-Gymnasium's id or the short one.
///
/// # Errors
/// [`EnvError::UnknownEnv`], which lists the valid ids.
pub fn find(id: &str) -> Result<NavigationSpec, EnvError> {
    let found = registry().iter().find(|spec| spec.env.id == id || spec.short_id() == id);
    found.cloned().ok_or_else(|| EnvError::UnknownEnv {
        id: id.to_owned(),
        valid: registry().iter().map(|spec| spec.env.id.clone()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_find_the_same_environment() {
        assert_eq!(find("SafetyPointGoal1-v0").unwrap(), find("PointGoal1").unwrap());
    }

    #[test]
    fn an_unknown_id_lists_the_valid_ones() {
        let message = find("PointGoal9").unwrap_err().to_string();
        assert!(message.contains("PointGoal9") && message.contains("SafetyPointGoal1-v0"), "{message}");
    }

    #[test]
    fn observation_lengths_are_those_of_the_original() {
        let dims = [
            ("Goal0", 28),
            ("Goal1", 60),
            ("Goal2", 60),
            ("Button0", 44),
            ("Button1", 76),
            ("Button2", 76),
            ("Push0", 44),
            ("Push1", 76),
            ("Push2", 76),
            ("Circle0", 28),
            ("Circle1", 28),
            ("Circle2", 28),
            ("Run0", 12),
        ];
        assert_eq!(registry().len(), 3 * dims.len());
        for (id, dim) in dims
            .iter()
            .flat_map(|(level, dim)| ["Point", "Car", "Racecar"].map(|agent| (format!("{agent}{level}"), *dim)))
        {
            let id = id.as_str();
            let spec = find(id).unwrap();
            // The Car's ball besides.
            let dim = if spec.agent == AgentKind::Car { dim + 12 } else { dim };
            assert_eq!(spec.env.obs_dim, dim, "{id}");
            assert_eq!(spec.obs_parts().iter().map(|part| part.1).sum::<usize>(), dim, "{id}");
        }
    }
}
