//! Sections of the configuration that belong to an algorithm: typed, checked and listed, yet unknown to the rest.

use std::any::Any;
use std::fmt::{self, Debug};

use anyhow::Result;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::single;
use crate::algorithm::ALGORITHMS;

/// Settings that are a section of the configuration.
///
/// Derive serde's traits with `#[serde(default)]`: a file may then leave keys out. A misspelt one is refused, whether the
/// section is one struct or has those of a library flattened into it.
///
/// ```
/// use anyhow::{Result, ensure};
/// use serde::{Deserialize, Serialize};
/// use trainer::config::{Section, TrainConfig};
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[serde(default)]
/// struct MineConfig {
///     caution: f64,
/// }
///
/// impl Default for MineConfig {
///     fn default() -> Self {
///         Self { caution: 0.5 }
///     }
/// }
///
/// impl Section for MineConfig {
///     const NAME: &'static str = "mine";
///
///     fn validate(&self) -> Result<()> {
///         ensure!(self.caution >= 0.0, "mine.caution = {}: must not be negative", self.caution);
///         Ok(())
///     }
/// }
///
/// let mut config = TrainConfig::default();
/// config.section_mut::<MineConfig>().caution = 2.0;
/// assert_eq!(config.section::<MineConfig>().caution, 2.0);
/// ```
pub trait Section: Serialize + DeserializeOwned + Default + Clone + PartialEq + Debug + Send + Sync + 'static {
    /// The section's key.
    const NAME: &'static str;

    /// Checks every value; an error names the key and what is allowed. That numbers fit a float32 is checked besides.
    ///
    /// # Errors
    /// The first value out of its range.
    fn validate(&self) -> Result<()>;
}

/// How to make a section without knowing its type: what an algorithm's row of the table lists.
#[derive(Clone, Copy)]
pub struct SectionInfo {
    /// The section's key.
    pub name: &'static str,
    default: fn() -> Box<dyn AnySection>,
    read: fn(Value) -> serde_json::Result<Box<dyn AnySection>>,
}

impl SectionInfo {
    /// The information on a type of section.
    pub const fn of<T: Section>() -> Self {
        Self {
            name: T::NAME,
            default: || Box::new(T::default()),
            read: |value| Ok(Box::new(read_section::<T>(value)?)),
        }
    }
}

/// A section whose every key has been read: serde cannot refuse unknown ones beside flattened structs.
fn read_section<T: Section>(value: Value) -> serde_json::Result<T> {
    let section: T = serde_json::from_value(value.clone())?;
    let known = AnySection::value(&section)?;
    let unknown = value.as_object().into_iter().flatten().find(|(key, _)| known.get(key).is_none());
    match unknown {
        Some((key, _)) => Err(serde::de::Error::custom(format!("unknown key `{key}`"))),
        None => Ok(section),
    }
}

/// [`Section`] without its type.
trait AnySection: Any + Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn value(&self) -> serde_json::Result<Value>;
    fn validate(&self) -> Result<()>;
    fn cloned(&self) -> Box<dyn AnySection>;
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<T: Section> AnySection for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn validate(&self) -> Result<()> {
        Section::validate(self)?;
        let value = self.value()?;
        let numbers = value.as_object().into_iter().flatten();
        let numbers = numbers.filter_map(|(key, value)| value.as_f64().map(|number| (key, number)));
        numbers.into_iter().try_for_each(|(key, number)| single(&format!("{}.{key}", T::NAME), number))
    }

    fn cloned(&self) -> Box<dyn AnySection> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>() == Some(self)
    }
}

/// One section per type that the table of algorithms names, in its order.
#[derive(Debug)]
pub struct Sections(Vec<Box<dyn AnySection>>);

impl Sections {
    /// A copy of the section of this type; its defaults where the table does not name it.
    pub fn get<T: Section>(&self) -> T {
        let found = self.0.iter().find_map(|section| (section.as_ref() as &dyn Any).downcast_ref::<T>());
        found.cloned().unwrap_or_default()
    }

    /// The section of this type, to be changed; it is added where the table does not name it.
    pub fn get_mut<T: Section>(&mut self) -> &mut T {
        let found = self.0.iter().position(|section| (section.as_ref() as &dyn Any).is::<T>());
        let position = found.unwrap_or_else(|| {
            self.0.push(Box::new(T::default()));
            self.0.len() - 1
        });
        (self.0[position].as_mut() as &mut dyn Any).downcast_mut().expect("found by its type")
    }

    /// Checks every section.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn validate(&self) -> Result<()> {
        self.0.iter().try_for_each(|section| section.validate())
    }
}

/// The sections that the algorithms name, each once.
fn known() -> Vec<SectionInfo> {
    let mut known: Vec<SectionInfo> = Vec::new();
    for section in ALGORITHMS.iter().flat_map(|algorithm| algorithm.sections) {
        if !known.iter().any(|other| other.name == section.name) {
            known.push(*section);
        }
    }
    known
}

impl Default for Sections {
    fn default() -> Self {
        Self(known().into_iter().map(|section| (section.default)()).collect())
    }
}

impl Clone for Sections {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(|section| section.cloned()).collect())
    }
}

impl PartialEq for Sections {
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&other.0);
        self.0.len() == other.0.len() && pairs.all(|(a, b)| a.equals(b.as_ref() as &dyn Any))
    }
}

impl Serialize for Sections {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for section in &self.0 {
            map.serialize_entry(section.name(), &section.value().map_err(S::Error::custom)?)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Sections {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SectionsVisitor)
    }
}

struct SectionsVisitor;

impl<'de> Visitor<'de> for SectionsVisitor {
    type Value = Sections;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the algorithms' sections")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sections, A::Error> {
        let (known, mut sections) = (known(), Sections::default());
        while let Some(key) = map.next_key::<String>()? {
            let Some(position) = known.iter().position(|section| section.name == key) else {
                return Err(A::Error::custom(format!("unknown key `{key}`")));
            };
            let section = (known[position].read)(map.next_value()?);
            sections.0[position] = section.map_err(|error| A::Error::custom(format!("`{key}`: {error}")))?;
        }
        Ok(sections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::kfcpo::KfcpoConfig;
    use crate::algorithm::ppo::PpoConfig;
    use serde_json::json;

    #[test]
    fn sections_are_typed_and_make_the_round_trip() {
        let mut sections = Sections::default();
        sections.get_mut::<KfcpoConfig>().damping = 0.5;
        let value = serde_json::to_value(&sections).unwrap();
        assert_eq!(value["kfcpo"]["damping"], 0.5);
        let again: Sections = serde_json::from_value(value).unwrap();
        assert_eq!(again, sections);
        assert_ne!(again, Sections::default());
        assert_eq!(again.get::<KfcpoConfig>().damping, 0.5);
        assert_eq!(again.get::<PpoConfig>(), PpoConfig::default());
    }

    #[test]
    fn unknown_sections_and_keys_are_refused_by_name() {
        for (wrong, name) in [(json!({"kfpco": {}}), "`kfpco`"), (json!({"ppo": {"clop": 1}}), "clop")] {
            let error = serde_json::from_value::<Sections>(wrong).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let partial: Sections = serde_json::from_value(json!({"ppo": {"clip": 0.1}})).unwrap();
        assert_eq!(partial.get::<PpoConfig>(), PpoConfig { clip: 0.1, ..PpoConfig::default() });
    }
}
