//! Parameters of a session: a JSON object, read by name and type.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ParamsError;

/// A JSON object of parameters. The getters give `None` for a name that is absent or `null`, and
/// an error that names the field for a value of another type. Numbers may arrive as strings, as
/// gateways send them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(pub Map<String, Value>);

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `name` as it came, `null` included.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// There are no parameters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number, finite.
    ///
    /// # Errors
    /// When the value is not a number nor a string that holds one.
    pub fn number(&self, name: &str) -> Result<Option<f64>, ParamsError> {
        self.read(name, "a number", |value| match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        })
    }

    /// A number of a range.
    ///
    /// # Errors
    /// As for [`number`](Self::number), and when it lies outside `range`.
    pub fn number_in(
        &self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, ParamsError> {
        match self.number(name)? {
            Some(number) if !range.contains(&number) => Err(ParamsError::new(
                name,
                format!(
                    "must be from {} to {}, got {number}",
                    range.start(),
                    range.end()
                ),
            )),
            number => Ok(number),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// When the value is not a whole number nor a string that holds one.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ParamsError> {
        self.read(name, "a whole number", |value| match value {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        })
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// When the value is neither, nor a string that says so.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ParamsError> {
        self.read(name, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
            _ => None,
        })
    }

    /// A text.
    ///
    /// # Errors
    /// When the value is not a string.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ParamsError> {
        self.read(name, "a string", Value::as_str)
    }

    fn read<'a, T>(
        &'a self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ParamsError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| {
                ParamsError::new(name, format!("must be {wanted}, got {}", excerpt(value)))
            }),
        }
    }
}

impl FromIterator<(String, Value)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// `number` when it is whole and exact in an `f64`.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// Enough of a value to recognise it in a message.
pub(crate) fn excerpt(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
#[path = "params_test.rs"]
mod tests;
