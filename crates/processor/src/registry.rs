//! Processors by name, for command lines and configuration.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::builtin;
use crate::model::{IntoModel, SharedModel, erase};

/// Named models. The name is what `--processor` takes. [`Registry::default`] holds the built-in
/// ones; a program of your own adds to them:
///
/// ```
/// use trickle_processor::{Registry, VideoFrame};
///
/// let registry = Registry::default().with(
///     "brighter",
///     "adds a tenth to every value",
///     |frame: VideoFrame| {
///         let frame = frame.map_tensor(|rgb, _| rgb.iter_mut().for_each(|v| *v += 0.1))?;
///         Ok(Some(frame))
///     },
/// );
/// assert!(registry.get("brighter").is_ok());
/// ```
#[derive(Clone)]
pub struct Registry {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    summary: String,
    model: SharedModel,
}

/// No processor has the name asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no processor {name:?}; known: {}", .known.join(", "))]
pub struct UnknownProcessor {
    /// The name asked for.
    pub name: String,
    /// Names that exist.
    pub known: Vec<String>,
}

impl Registry {
    /// No processors.
    pub fn empty() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }

    /// Adds a processor, with one line on what it does; a second of the same name takes its
    /// place.
    #[must_use]
    pub fn with<Kind>(
        mut self,
        name: impl Into<String>,
        summary: impl Into<String>,
        model: impl IntoModel<Kind>,
    ) -> Self {
        let entry = Entry {
            summary: summary.into(),
            model: erase(model),
        };
        self.entries.insert(name.into(), entry);
        self
    }

    /// The model of that name.
    ///
    /// # Errors
    /// [`UnknownProcessor`] lists the names that exist.
    pub fn get(&self, name: &str) -> Result<SharedModel, UnknownProcessor> {
        self.entries
            .get(name)
            .map(|entry| entry.model.clone())
            .ok_or_else(|| UnknownProcessor {
                name: name.to_owned(),
                known: self.entries.keys().cloned().collect(),
            })
    }

    /// Names and summaries, sorted by name.
    pub fn list(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.summary.as_str()))
    }
}

impl Default for Registry {
    /// The built-in processors.
    fn default() -> Self {
        builtin::register(Self::empty())
    }
}

#[cfg(test)]
#[path = "registry_test.rs"]
mod tests;
