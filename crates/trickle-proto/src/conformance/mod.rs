//! A conformance suite: every rule of the protocol as a check that can be run on any relay.
//!
//! ```no_run
//! # async fn check() -> Result<(), Box<dyn std::error::Error>> {
//! use trickle_proto::{Client, ClientConfig, conformance};
//!
//! let client = Client::new(ClientConfig::default())?;
//! let report = conformance::run(&client, &"http://127.0.0.1:9000/".parse()?, None).await;
//! for check in report.checks.iter().filter(|check| !check.is_good()) {
//!     println!("{}: {:?}", check.name, check.outcome);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The relay must let publishers make channels; where it does not, only the rules about missing
//! channels are checked and the rest is reported as skipped. Channels are named after the time,
//! so that a suite can run beside live traffic.

mod channels;
mod probe;
mod reading;
mod transport;
mod writing;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, future::BoxFuture, stream};
use serde::Serialize;
use url::Url;

use self::probe::Probe;
use crate::Client;

/// The check that must run alone, as it follows what all others do to the relay.
const ALONE: &str = "changefeed";
/// Checks that run at the same time.
const AT_ONCE: usize = 8;
/// Longest time for one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// One rule and how to check it.
struct Check {
    name: &'static str,
    /// The rule in words.
    rule: &'static str,
    /// Whether other relays are known not to have it.
    beyond: bool,
    needs: Needs,
    run: fn(Probe) -> BoxFuture<'static, Result<(), Failure>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Publishers may make channels.
    Autocreate,
    /// They may not.
    NoAutocreate,
    Nothing,
}

/// Why a check did not pass.
#[derive(Clone, Debug)]
enum Failure {
    Failed(String),
    Skipped(String),
}

impl<T: std::fmt::Display> From<T> for Failure {
    fn from(text: T) -> Self {
        Self::Failed(text.to_string())
    }
}

/// How a check went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "outcome", content = "reason")]
pub enum Outcome {
    /// The relay keeps the rule.
    Passed,
    /// It does not; the text says what was seen.
    Failed(String),
    /// It could not be checked; the text says why.
    Skipped(String),
}

/// One check and how it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// A short name, unique in the suite.
    pub name: &'static str,
    /// The rule in words.
    pub rule: &'static str,
    /// Whether the rule goes beyond what other relays do.
    pub beyond: bool,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Checked {
    /// Whether it passed or was skipped.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !matches!(self.outcome, Outcome::Failed(_))
    }
}

/// How a relay did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Every check, in the suite's order.
    pub checks: Vec<Checked>,
}

impl Report {
    /// How many passed, failed and were skipped.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        self.checks
            .iter()
            .fold((0, 0, 0), |(passed, failed, skipped), check| {
                match check.outcome {
                    Outcome::Passed => (passed + 1, failed, skipped),
                    Outcome::Failed(_) => (passed, failed + 1, skipped),
                    Outcome::Skipped(_) => (passed, failed, skipped + 1),
                }
            })
    }

    /// Whether no rule of the core was broken: rules that go beyond it do not count.
    #[must_use]
    pub fn is_conformant(&self) -> bool {
        self.checks
            .iter()
            .all(|check| check.is_good() || check.beyond)
    }
}

/// Checks the relay whose channels lie below `base`. With `only`, those checks alone whose name
/// contains it.
pub async fn run(client: &Client, base: &Url, only: Option<&str>) -> Report {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let prefix = format!("conformance-{:x}", seconds.as_nanos());
    let probe = Probe::new(client.clone(), base, prefix);
    let autocreate = probe.can_create().await;
    let chosen = all()
        .into_iter()
        .filter(|check| only.is_none_or(|o| check.name.contains(o)));
    let (alone, together): (Vec<_>, Vec<_>) = chosen.partition(|check| check.name == ALONE);
    let checking = |check: Check| {
        let probe = probe.named(check.name);
        run_one(check, probe, autocreate.clone())
    };
    let mut checks: Vec<_> = stream::iter(together.into_iter().map(checking))
        .buffered(AT_ONCE)
        .collect()
        .await;
    for check in alone {
        checks.push(checking(check).await);
    }
    Report { checks }
}

async fn run_one(check: Check, probe: Probe, autocreate: Result<bool, String>) -> Checked {
    let outcome = match (check.needs, &autocreate) {
        (_, Err(error)) => Outcome::Failed(error.clone()),
        (Needs::Autocreate, Ok(false)) => {
            Outcome::Skipped("publishers may not make channels on this relay".into())
        }
        (Needs::NoAutocreate, Ok(true)) => {
            Outcome::Skipped("publishers may make channels on this relay".into())
        }
        _ => match tokio::time::timeout(CHECK_TIMEOUT, (check.run)(probe)).await {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Failure::Failed(text))) => Outcome::Failed(text),
            Ok(Err(Failure::Skipped(text))) => Outcome::Skipped(text),
            Err(_) => Outcome::Failed(format!("not done within {CHECK_TIMEOUT:?}")),
        },
    };
    Checked {
        name: check.name,
        rule: check.rule,
        beyond: check.beyond,
        outcome,
    }
}

fn all() -> Vec<Check> {
    let mut all = channels::checks();
    all.extend(writing::checks());
    all.extend(reading::checks());
    all.extend(transport::checks());
    all
}

/// A table of checks: `core NAME: "RULE" => FUNCTION`.
macro_rules! checks {
    ($($level:ident $needs:ident $run:ident: $rule:literal;)*) => {
        vec![$(crate::conformance::Check {
            name: stringify!($run),
            rule: $rule,
            beyond: checks!(@beyond $level),
            needs: crate::conformance::Needs::$needs,
            run: |probe| Box::pin($run(probe)),
        }),*]
    };
    (@beyond core) => { false };
    (@beyond beyond) => { true };
}
use checks;

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(crate::conformance::Failure::Failed(format!($($message)+)));
        }
    };
}
use ensure;
