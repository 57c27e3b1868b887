//! Which part of the relay a path means.

use crate::{
    seq::{BadIndex, SegmentRef},
    wire,
};

/// A path below the relay's base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The channel's name, percent-decoded.
    pub(crate) channel: String,
    pub(crate) target: Target,
}

/// What of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Channel,
    Segment(SegmentRef),
    /// The index of the next write.
    Next,
    BadIndex(BadIndex),
}

/// Why a path means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// Not below the base, or of no known form.
    NotFound,
    /// The name is no UTF-8 after decoding.
    BadName,
}

impl Route {
    /// `base` starts and ends with a slash.
    pub(crate) fn parse(base: &str, path: &str) -> Result<Self, NoRoute> {
        let rest = path.strip_prefix(base).ok_or(NoRoute::NotFound)?;
        let (name, target) = match rest.split_once('/') {
            None => (rest, Target::Channel),
            Some((_, wanted)) if wanted.is_empty() || wanted.contains('/') => {
                return Err(NoRoute::NotFound);
            }
            Some((name, wire::NEXT_PATH)) => (name, Target::Next),
            Some((name, wanted)) => (
                name,
                wanted
                    .parse()
                    .map_or_else(Target::BadIndex, Target::Segment),
            ),
        };
        if name.is_empty() {
            return Err(NoRoute::NotFound);
        }
        let channel = percent_decode(name).ok_or(NoRoute::BadName)?;
        Ok(Self { channel, target })
    }
}

/// A base path in the form that [`Route::parse`] takes.
pub(crate) fn normal_base(base: &str) -> String {
    let inner = base.trim_matches('/');
    if inner.is_empty() {
        "/".to_owned()
    } else {
        format!("/{inner}/")
    }
}

fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
#[path = "routes_test.rs"]
mod tests;
