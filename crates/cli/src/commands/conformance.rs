//! `trickle conformance`: every rule of the trickle protocol, checked on any relay.

use clap::Args;
use trickle_proto::conformance::{self, Outcome, Report};
use url::Url;

use crate::channel::ConnectFlags;
use crate::error::CliError;
use crate::output;

/// Check whether a relay keeps the rules of the trickle protocol
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConformanceArgs {
    /// The path that the relay's channels lie below, http://HOST:PORT/ or http://HOST:PORT/BASE/
    #[arg(long, value_name = "URL", env = "TRICKLE_RELAY_URL")]
    url: Url,
    /// Only the checks whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectFlags,
}

const EXAMPLES: &str = "\
Examples:
  trickle conformance --url http://127.0.0.1:2939/
  trickle conformance --url https://orchestrator:8935/ai/trickle/ --insecure --json

The relay should let publishers create channels (--autocreate); where it does not, most checks are
skipped. Rules marked \"beyond\" are not kept by other relays and do not count as failures.";

pub(crate) async fn run(args: ConformanceArgs) -> Result<(), CliError> {
    let client = args.connect.client()?;
    let report = conformance::run(&client, &args.url, args.only.as_deref()).await;
    if report.checks.is_empty() {
        return Err(CliError::usage("no check has that text in its name"));
    }
    if args.json {
        output::json(&report)?;
    } else {
        output::line(&table(&report))?;
    }
    if report.is_conformant() {
        Ok(())
    } else {
        Err(CliError::new(format!(
            "{} breaks rules of the protocol",
            args.url
        )))
    }
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let beyond = if check.beyond { " (beyond)" } else { "" };
        let (mark, reason) = match &check.outcome {
            Outcome::Passed => ("passed ", None),
            Outcome::Failed(reason) => ("FAILED ", Some(reason)),
            Outcome::Skipped(reason) => ("skipped", Some(reason)),
        };
        text.push_str(&format!("{mark}  {}{beyond}\n", check.name));
        if let Some(reason) = reason {
            text.push_str(&format!(
                "         rule: {}\n         seen: {reason}\n",
                check.rule
            ));
        }
    }
    let (passed, failed, skipped) = report.counts();
    text + &format!("{passed} passed, {failed} failed, {skipped} skipped")
}
