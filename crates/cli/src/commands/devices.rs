//! `trickle devices`: what this machine decodes and encodes with.

use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;
use trickle_gpu::{Coding, DeviceReport, NvidiaHardware, Report};
use trickle_media::backend::BackendDescription;
use trickle_media::hardware::{DeviceLoad, HardwareProbe};

use crate::backends::{self, Choice};
use crate::error::CliError;
use crate::output;

/// Show what video is decoded and encoded with, and why something is not used
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  trickle devices
  trickle devices --json

`backends` is the order that a worker with --backend auto asks in.";

/// All that is known.
#[derive(Serialize)]
struct Devices {
    /// In order of preference, where the choice is `auto`.
    backends: Vec<BackendDescription>,
    /// NVIDIA's driver and devices.
    nvidia: Report,
    /// The devices' load.
    load: Vec<DeviceLoad>,
}

pub(crate) async fn run(args: DevicesArgs) -> Result<(), CliError> {
    // Asking the driver blocks.
    let devices = tokio::task::spawn_blocking(look)
        .await
        .map_err(|error| CliError::caused("looking for devices", &error))??;
    if args.json {
        return output::json(&devices);
    }
    for backend in &devices.backends {
        output::line(&format!(
            "{}\n  decode: {}\n  encode: {}",
            backend.name, backend.decoder, backend.encoder
        ))?;
        for warning in &backend.warnings {
            output::line(&format!("  warning: {warning}"))?;
        }
    }
    for device in &devices.nvidia.devices {
        output::line(&describe(device, &devices.nvidia))?;
    }
    Ok(())
}

fn look() -> Result<Devices, CliError> {
    let auto = Choice::Device(trickle_gpu::Choice::Auto);
    let backends = backends::open(auto, auto).map_err(CliError::new)?;
    Ok(Devices {
        backends: backends.describe(),
        nvidia: trickle_gpu::probe(),
        load: NvidiaHardware.devices(),
    })
}

/// A device in words.
fn describe(device: &DeviceReport, report: &Report) -> String {
    format!(
        "device {}\n  {}, {}, compute capability {}, at {}\n  driver {}, CUDA {}\n  \
         decodes: {}\n  encodes: {}",
        device.backend,
        device.name,
        HumanBytes(device.memory),
        device.compute,
        device.pci_bus_id,
        report.driver.as_deref().unwrap_or("unknown"),
        report.cuda.as_deref().unwrap_or("unknown"),
        coding(&device.decode),
        coding(&device.encode),
    )
}

fn coding(coding: &Coding) -> String {
    if let Some(reason) = &coding.reason {
        return reason.clone();
    }
    let codecs: Vec<String> = coding
        .codecs
        .iter()
        .map(|caps| {
            format!(
                "{} from {}×{} to {}×{}",
                caps.codec.name(),
                caps.min_width,
                caps.min_height,
                caps.max_width,
                caps.max_height
            )
        })
        .collect();
    codecs.join(", ")
}
