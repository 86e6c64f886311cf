//! A configuration as a list of settings, each by its path.

use std::collections::BTreeMap;

use serde_json::Value;

use super::TrainConfig;

/// Every setting by its path, `kfcpo.damping` for one; sections whose key is in `without` are left out.
pub fn leaves(config: &TrainConfig, without: &[&str]) -> BTreeMap<String, Value> {
    let mut tree = serde_json::to_value(config).unwrap_or_default();
    if let Value::Object(tree) = &mut tree {
        tree.retain(|key, _| !without.contains(&key.as_str()));
    }
    let mut found = BTreeMap::new();
    add("", tree, &mut found);
    found
}

fn add(path: &str, value: Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(section) => {
            for (key, value) in section {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                add(&path, value, found);
            }
        }
        value => drop(found.insert(path.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_is_found_by_its_path() {
        let all = leaves(&TrainConfig::default(), &[]);
        assert_eq!((&all["seed"], &all["policy.hidden"]), (&json!(0), &json!([64, 64])));
        assert!(all.contains_key("kfcpo.damping") && all.contains_key("checkpoint.keep"));
        let some = leaves(&TrainConfig::default(), &["seed", "checkpoint"]);
        assert!(!some.contains_key("seed") && !some.contains_key("checkpoint.keep") && some.len() + 3 == all.len());
    }
}
