//! Our own relay keeps every rule of the conformance suite.
#![allow(clippy::unwrap_used)]

use trickle_proto::{
    RelayConfig,
    conformance::{self, Outcome, Report},
};

mod support;
use support::{Server, client};

async fn check(config: RelayConfig) -> Report {
    let server = Server::start(config).await;
    let report = conformance::run(&client(), &server.url.parse().unwrap(), None).await;
    for check in &report.checks {
        if let Outcome::Failed(reason) = &check.outcome {
            println!("{}: {reason}\n    rule: {}", check.name, check.rule);
        }
    }
    report
}

fn skipped(report: &Report) -> Vec<&str> {
    let skipped = |check: &&conformance::Checked| matches!(check.outcome, Outcome::Skipped(_));
    report
        .checks
        .iter()
        .filter(skipped)
        .map(|check| check.name)
        .collect()
}

#[tokio::test]
async fn a_relay_that_lets_publishers_make_channels() {
    let config = RelayConfig {
        base_path: "/ai/trickle/".into(),
        autocreate: true,
        changefeed: true,
        ..RelayConfig::default()
    };
    let report = check(config).await;
    assert!(report.checks.iter().all(conformance::Checked::is_good));
    assert_eq!(skipped(&report), ["missing_channel_takes_no_post"]);
}

#[tokio::test]
async fn a_relay_whose_channels_are_made_for_it() {
    let report = check(RelayConfig::default()).await;
    assert!(report.checks.iter().all(conformance::Checked::is_good));
    let passed = |name| {
        report
            .checks
            .iter()
            .any(|check| check.name == name && check.outcome == Outcome::Passed)
    };
    assert!(passed("missing_channel_takes_no_post") && passed("missing_channel_is_404"));
}

#[tokio::test]
async fn names_are_unique_so_that_one_check_can_be_chosen() {
    let server = Server::open().await;
    let base = server.url.parse().unwrap();
    let all = conformance::run(&client(), &base, Some("no such check")).await;
    assert!(all.checks.is_empty());
    let one = conformance::run(&client(), &base, Some("minus_two")).await;
    assert_eq!(one.counts(), (1, 0, 0));
}
