//! Registration with an orchestrator on the command line, by PyTrickle's names in the environment.

use clap::{Args, ValueEnum};
use trickle_server::{ByocConfig, LiveRunnerConfig, Price, StreamServerBuilder};
use url::Url;

use crate::error::CliError;

/// With which orchestrator the worker registers, and as what.
#[derive(Args, Debug)]
#[command(next_help_heading = "Registration")]
pub(crate) struct RegistrationFlags {
    /// Orchestrator to register with; none: nobody is asked
    #[arg(long, value_name = "URL", env = "ORCH_URL", value_parser = orchestrator)]
    orch_url: Option<Url>,
    /// The orchestrator's secret
    #[arg(
        long,
        value_name = "SECRET",
        env = "ORCH_SECRET",
        hide_env_values = true
    )]
    orch_secret: Option<String>,
    /// What to be there: a byoc capability, or a live-runner (go-livepeer 0.9 and later)
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        env = "TRICKLE_REGISTER_AS",
        default_value = "byoc"
    )]
    register_as: Kind,
    /// URL that the orchestrator calls the worker by [default: http(s)://localhost:PORT]
    #[arg(long, value_name = "URL", env = "CAPABILITY_URL")]
    capability_url: Option<Url>,
    /// What the capability does, for people
    #[arg(
        long,
        value_name = "TEXT",
        env = "CAPABILITY_DESCRIPTION",
        default_value = "",
        hide_default_value = true
    )]
    capability_description: String,
    /// Streams at once that are offered [default: as many as may run]
    #[arg(long, value_name = "N", env = "CAPABILITY_CAPACITY", value_parser = clap::value_parser!(u32).range(1..))]
    capability_capacity: Option<u32>,
    /// byoc: price of --price-scaling units
    #[arg(
        long,
        value_name = "N",
        env = "CAPABILITY_PRICE_PER_UNIT",
        default_value_t = 0
    )]
    price_per_unit: u64,
    /// byoc: units that the price is for
    #[arg(long, value_name = "N", env = "CAPABILITY_PRICE_SCALING", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    price_scaling: u64,
    /// Currency of the price [default: the orchestrator's (byoc), usd (live-runner)]
    #[arg(long, value_name = "NAME", env = "CAPABILITY_PRICE_CURRENCY")]
    price_currency: Option<String>,
    /// live-runner: price of one unit, such as 0.5
    #[arg(long, value_name = "PRICE", env = "TRICKLE_RUNNER_PRICE")]
    runner_price: Option<f64>,
    /// live-runner: what the price is for
    #[arg(
        long,
        value_name = "UNIT",
        env = "TRICKLE_RUNNER_UNIT",
        default_value = "hour"
    )]
    runner_unit: String,
    /// live-runner: told in discovery, at most 1024 bytes
    #[arg(long, value_name = "TEXT", env = "TRICKLE_RUNNER_METADATA")]
    runner_metadata: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Byoc,
    LiveRunner,
}

impl RegistrationFlags {
    /// Adds the registration that was asked for.
    pub(crate) fn add(self, builder: StreamServerBuilder) -> Result<StreamServerBuilder, CliError> {
        let (url, secret) = match (self.orch_url, self.orch_secret) {
            (Some(url), Some(secret)) => (url, secret),
            (Some(_), None) => {
                return Err(
                    CliError::usage("--orch-url also needs the orchestrator's secret")
                        .hint("give --orch-secret, or ORCH_SECRET in the environment"),
                );
            }
            (None, _) => return Ok(builder),
        };
        let wrong = |error: trickle_server::BuildError| CliError::usage(error.to_string());
        Ok(match self.register_as {
            Kind::Byoc => {
                let mut config = ByocConfig::new(url, &secret).map_err(wrong)?;
                config.url = self.capability_url;
                config.description = self.capability_description;
                config.capacity = self.capability_capacity.map(|count| count as usize);
                config.price_per_unit = self.price_per_unit;
                config.price_scaling = self.price_scaling;
                config.currency = self.price_currency;
                builder.byoc(config)
            }
            Kind::LiveRunner => {
                let mut config = LiveRunnerConfig::new(url, &secret).map_err(wrong)?;
                config.url = self.capability_url;
                config.capacity = self.capability_capacity.map(|count| count as usize);
                config.metadata = self.runner_metadata;
                config.price = self.runner_price.map(|price| Price {
                    price,
                    currency: self.price_currency.unwrap_or_else(|| "usd".into()),
                    unit: self.runner_unit,
                });
                builder.live_runner(config)
            }
        })
    }
}

/// An orchestrator's address; without a scheme it is https, as orchestrators are.
fn orchestrator(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let url = if text.contains("://") {
        Url::parse(text)
    } else {
        Url::parse(&format!("https://{text}"))
    };
    url.map_err(|error| format!("{error}; write https://HOST:PORT"))
}
