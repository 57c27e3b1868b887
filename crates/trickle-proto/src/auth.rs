//! Bearer tokens: who may publish and who may subscribe.

use std::fmt;

use http::{HeaderMap, HeaderValue, header};
use subtle::{Choice, ConstantTimeEq};

use crate::error::ConfigError;

/// A secret that is sent as `Authorization: Bearer TOKEN`. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(HeaderValue);

impl Token {
    /// Takes a token of visible ASCII characters without spaces.
    ///
    /// # Errors
    /// [`ConfigError::Token`] for an empty one, or one that a header cannot carry.
    pub fn new(token: &str) -> Result<Self, ConfigError> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::Token);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ConfigError::Token)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// Whether a request with these headers carries this token. The time that this takes depends
    /// on the lengths alone, not on how much of the token the request got right.
    #[must_use]
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let offered = bearer(headers).unwrap_or_default();
        self.bytes().ct_eq(offered).into()
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }

    fn bytes(&self) -> &[u8] {
        self.0
            .as_bytes()
            .strip_prefix(b"Bearer ")
            .unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Write, create or delete.
    Publish,
    /// Read.
    Subscribe,
    /// Ask for the next index, which both kinds of client do.
    Ask,
}

/// The tokens that open something. A right without tokens is open to everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Any of these may publish.
    pub publish: Vec<Token>,
    /// Any of these may subscribe.
    pub subscribe: Vec<Token>,
}

impl Access {
    fn tokens(&self, right: Right) -> (&[Token], &[Token]) {
        match right {
            Right::Publish => (&self.publish, &[]),
            Right::Subscribe => (&self.subscribe, &[]),
            Right::Ask => (&self.publish, &self.subscribe),
        }
    }
}

/// Whether a request with these headers may do it. `rules` are the relay's own and the
/// channel's: where any of them has tokens for the right, one of those tokens is needed.
///
/// The time that this takes depends on how many tokens there are and how long they are, not on
/// how much of one the request got right.
#[must_use]
pub fn is_allowed(right: Right, rules: &[&Access], headers: &HeaderMap) -> bool {
    let offered = bearer(headers).unwrap_or_default();
    let open = match right {
        Right::Publish => rules.iter().all(|access| access.publish.is_empty()),
        Right::Subscribe => rules.iter().all(|access| access.subscribe.is_empty()),
        Right::Ask => {
            rules.iter().all(|access| access.publish.is_empty())
                || rules.iter().all(|access| access.subscribe.is_empty())
        }
    };
    let mut matches = Choice::from(0);
    for access in rules {
        let (one, other) = access.tokens(right);
        for token in one.iter().chain(other) {
            matches |= token.bytes().ct_eq(offered);
        }
    }
    open || bool::from(matches)
}

/// The token of `Authorization: Bearer TOKEN`; the scheme's case does not matter.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
#[path = "auth_test.rs"]
mod tests;
