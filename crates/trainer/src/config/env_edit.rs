//! Changes of a level by keys: `hazards.count=4` laid over an environment, and the name that a changed level gets.

use envs::{Level, NavigationSpec, ObjectGroup, ObjectKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::load::{fitted, nearest};

/// Digits of the number behind the name of a changed level.
const DIGITS: usize = 6;

/// Whether `value` changes an environment instead of being one: an object that is no agent in a level.
pub fn is_edit(value: &Value) -> bool {
    value.as_object().is_some_and(|keys| !(keys.contains_key("agent") && keys.contains_key("level")))
}

/// `spec` with the changes `edits` laid over it: `agent`, fields of the level (also below `level`), and groups by their kind,
/// such as `{"half_extent": 2, "hazards": {"count": 4}}`. A count of 0 takes a group out, and a kind that the level lacks
/// is added with the measures of the suite. The level gets a name of its own unless `edits` names it or what happens in it is
/// the same.
///
/// # Errors
/// An unknown key, or a level that cannot be simulated; the message names the key or group and what is allowed.
pub fn edited(spec: &NavigationSpec, edits: &Map<String, Value>) -> Result<NavigationSpec, String> {
    let mut value = serde_json::to_value(spec).map_err(|error| error.to_string())?;
    lay(&mut value, edits)?;
    let changed = NavigationSpec::deserialize(value).map_err(|error| error.to_string())?;
    let named = changed.level.name != spec.level.name;
    if named || is_same_task(&changed, spec) { Ok(changed) } else { Ok(renamed(&changed)) }
}

/// Whether two environments differ at most in what of their costs is limited.
pub fn is_same_task(one: &NavigationSpec, other: &NavigationSpec) -> bool {
    let unlimited = |spec: &NavigationSpec| Level { constraints: Vec::new(), ..Level::clone(&spec.level) };
    one.agent == other.agent && unlimited(one) == unlimited(other)
}

/// `spec` under a name of its own: its level's, and a number that follows from everything in the level.
pub fn renamed(spec: &NavigationSpec) -> NavigationSpec {
    let mut level = Level::clone(&spec.level);
    let base = match level.name.rsplit_once('-') {
        Some((base, number)) if number.len() == DIGITS && number.chars().all(|c| c.is_ascii_hexdigit()) => base,
        _ => &level.name,
    };
    level.name = base.to_owned();
    let content = serde_json::to_string(&level).unwrap_or_default();
    let number = format!("{:08x}", crc32c::crc32c(content.as_bytes()));
    level.name = format!("{}-{}", level.name, &number[..DIGITS]);
    spec.with_level_named(&level.name)
}

fn lay(value: &mut Value, edits: &Map<String, Value>) -> Result<(), String> {
    for (key, entry) in edits {
        match (key.as_str(), entry) {
            ("agent", _) => value["agent"] = entry.clone(),
            ("level", Value::Object(fields)) => lay(value, fields)?,
            (field, _) if value["level"].get(field).is_some() => {
                let old = &mut value["level"][field];
                *old = fitted(old, entry);
            }
            (kind, _) => match kind_named(kind) {
                Some(kind) => lay_group(&mut value["level"]["groups"], key, kind, entry)?,
                None => return Err(unknown(key, &value["level"])),
            },
        }
    }
    Ok(())
}

/// Changes the group of this kind, adds it or takes it out.
fn lay_group(groups: &mut Value, key: &str, kind: ObjectKind, entry: &Value) -> Result<(), String> {
    let Some(groups) = groups.as_array_mut() else { return Err("`groups` must be a list".to_owned()) };
    let Some(changes) = entry.as_object() else {
        return Err(format!("`{key}` is a group of objects: set one of its keys, for example `{key}.count`"));
    };
    let name = json!(kind.object_name());
    let mut found = (0..groups.len()).filter(|i| groups[*i]["kind"] == name);
    let at = match (found.next(), found.next()) {
        (Some(at), None) => at,
        (None, _) => {
            groups.push(serde_json::to_value(ObjectGroup::of(kind)).map_err(|error| error.to_string())?);
            groups.len() - 1
        }
        (Some(_), Some(_)) => {
            return Err(format!("`{key}`: the level has several such groups; set `groups` as a whole"));
        }
    };
    for (field, value) in changes {
        let Some(old) = groups[at].get_mut(field).filter(|_| field != "kind") else {
            let fields: Vec<&str> = ["count", "keepout", "size", "constrained"].to_vec();
            return Err(format!("unknown key `{key}.{field}`; valid keys: {}", fields.join(", ")));
        };
        *old = fitted(old, value);
    }
    if groups[at]["count"] == json!(0) {
        groups.remove(at);
    }
    Ok(())
}

/// The kind that `name` names, in the singular or in the plural.
fn kind_named(name: &str) -> Option<ObjectKind> {
    let singular = name.strip_suffix('s').unwrap_or(name);
    ObjectKind::ALL.iter().copied().find(|kind| kind.object_name() == singular)
}

fn unknown(key: &str, level: &Value) -> String {
    let kinds = ObjectKind::ALL.iter().map(|kind| kind.plural());
    let fields = level.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
    let valid: Vec<&str> = std::iter::once("agent").chain(fields).chain(kinds).collect();
    let hint = nearest(key, valid.iter().copied());
    let hint = hint.map_or_else(String::new, |near| format!(" Did you mean `{near}`?"));
    format!("unknown key `{key}`.{hint}\nvalid keys: {}", valid.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(id: &str, edits: Value) -> Result<NavigationSpec, String> {
        edited(&envs::find(id).unwrap(), edits.as_object().unwrap())
    }

    #[test]
    fn keys_of_a_level_change_it_and_give_it_a_name_of_its_own() {
        let spec = edit("PointGoal1", json!({"hazards": {"count": 4, "size": 0.3}, "half_extent": 2})).unwrap();
        assert_eq!((spec.level.groups[1].count, spec.level.groups[1].size, spec.level.half_extent), (4, 0.3, 2.0));
        assert!(spec.level.name.starts_with("Goal1-") && spec.level.name.len() == "Goal1-".len() + DIGITS);
        // The name follows from the content, whatever way led there.
        let once = edited(&spec, json!({"hazards": {"count": 5}}).as_object().unwrap()).unwrap();
        let back = edited(&once, json!({"hazard": {"count": 4.0}}).as_object().unwrap()).unwrap();
        assert_ne!(once.level.name, spec.level.name);
        assert_eq!(back, spec);
        let named = edit("PointGoal1", json!({"name": "Sparse", "level": {"hazards": {"count": 4}}})).unwrap();
        assert_eq!(named.env.id, "SafetyPointSparse-v0");
        let same = edit("CarGoal1", json!({"hazards": {"count": 8}})).unwrap();
        assert_eq!(same, envs::find("CarGoal1").unwrap());
        assert_eq!(edit("PointGoal1", json!({"agent": "Car"})).unwrap().env.obs_dim, 72);
    }

    #[test]
    fn groups_come_and_go() {
        let spec = edit("PointGoal1", json!({"vases": {"count": 0}, "pillars": {"count": 3}})).unwrap();
        let kinds: Vec<&str> = spec.level.groups.iter().map(|group| group.kind.object_name()).collect();
        assert_eq!(kinds, ["goal", "hazard", "pillar"]);
        assert_eq!(spec.level.groups[2], ObjectGroup { count: 3, ..ObjectGroup::of(ObjectKind::Pillar) });
    }

    #[test]
    fn a_refusal_names_the_key_and_what_is_allowed() {
        for (edits, parts) in [
            (json!({"hazrds": {"count": 4}}), vec!["`hazrds`", "Did you mean `hazards`", "lidar_range"]),
            (json!({"hazards": {"cuont": 4}}), vec!["`hazards.cuont`", "count, keepout"]),
            (json!({"hazards": 4}), vec!["`hazards.count`"]),
            (json!({"hazards": {"count": 1000}}), vec!["groups[1] (hazard)", "from 1 to 39"]),
            (json!({"hazards": {"size": -1}}), vec!["groups[1] (hazard)", "`size`"]),
            (json!({"agent": "Doggo"}), vec!["Doggo", "Point"]),
            (json!({"lidar_range": "far"}), vec!["far"]),
        ] {
            let message = edit("PointGoal1", edits.clone()).unwrap_err();
            assert!(parts.iter().all(|part| message.contains(part)), "{edits}: {message}");
        }
    }
}
