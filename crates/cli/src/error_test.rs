//! What a person reads when a command fails.

use super::*;
use thiserror::Error;

#[derive(Debug, Error)]
#[error("cannot connect")]
struct Outer(#[source] Inner);

#[derive(Debug, Error)]
#[error("connection refused")]
struct Inner;

#[derive(Debug, Error)]
#[error("cannot connect: {0}")]
struct Telling(#[source] Inner);

#[test]
fn an_error_tells_its_causes_once() {
    let told = CliError::caused("cannot publish", &Outer(Inner)).to_string();
    assert_eq!(
        told,
        "error: cannot publish: cannot connect: connection refused"
    );
    let told = CliError::caused("cannot publish", &Telling(Inner)).hint("start a relay");
    assert_eq!(
        told.to_string(),
        "error: cannot publish: cannot connect: connection refused\n  hint: start a relay"
    );
}
