//! One subcommand per file.

use trickle_processor::Registry;

use crate::args::Command;
use crate::config::file::ConfigFile;
use crate::error::CliError;
use crate::ui::Ui;

pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod conformance;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod health;
pub(crate) mod init;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod publish;
pub(crate) mod relay;
pub(crate) mod serve;
pub(crate) mod subscribe;

pub(crate) async fn run(
    command: Command,
    registry: &Registry,
    file: Option<&ConfigFile>,
    ui: &Ui,
) -> Result<(), CliError> {
    match command {
        Command::Demo(args) => demo::run(args, registry, ui).await,
        Command::Serve(args) => serve::run(*args, registry, ui).await,
        Command::Relay(args) => relay::run(args, ui).await,
        Command::Health(args) => health::run(args).await,
        Command::Init(args) => init::run(args),
        Command::Publish(args) => publish::run(args, ui).await,
        Command::Subscribe(args) => subscribe::run(args, ui).await,
        Command::Process(args) => process::run(args, registry, ui).await,
        Command::Probe(args) => probe::run(args, ui).await,
        Command::Devices(args) => devices::run(args).await,
        Command::Config(args) => config::run(args, registry, file),
        Command::Conformance(args) => conformance::run(args).await,
        Command::Bench(args) => bench::run(args, ui).await,
    }
}
