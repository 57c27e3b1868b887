//! Which backends a worker uses: what was asked for, beside what the machine has.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use trickle_media::backend::{Backend, Backends, Unavailable};
use trickle_media::codec::CpuBackend;

#[cfg(target_os = "linux")]
use crate::backend::CudaBackend;
#[cfg(target_os = "linux")]
use crate::probe::{Coding, Report, probe_for};

/// What decodes, or encodes: as given on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// `auto`: the first device that can, and the CPU for what it does not take; the CPU alone
    /// where no device can.
    #[default]
    Auto,
    /// `cpu`: the CPU alone.
    Cpu,
    /// `cuda` or `cuda:N`: as `auto`, with a device that must be there; the first that can, or
    /// that of CUDA's number.
    Cuda(Option<u32>),
}

/// A text that is no [`Choice`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no backend; write auto, cpu, cuda or cuda:N")]
pub struct ChoiceError(String);

impl FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(None)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(|index| Self::Cuda(Some(index)))
                .ok_or_else(|| ChoiceError(other.to_owned())),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(index)) => write!(f, "cuda:{index}"),
        }
    }
}

/// A device that must be there is not, or cannot do what it is wanted for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{wanted} cannot {action}: {reason}")]
pub struct Refusal {
    /// The choice, as text.
    pub wanted: String,
    /// `decode` or `encode`.
    pub action: &'static str,
    /// Why not, for a person.
    pub reason: String,
}

/// The table of backends for these choices, to be handed to a server or session. Why a device is
/// not in it stands in its place there.
///
/// Makes a context on each device, which takes some 100 ms, and blocks, unless both are
/// [`Choice::Cpu`].
///
/// # Errors
/// [`Refusal`] for a device that was asked for and cannot be had.
pub fn backends(decode: Choice, encode: Choice) -> Result<Backends, Refusal> {
    let mut devices = Devices::default();
    Ok(Backends::split(
        order(decode, "decode", &mut devices)?,
        order(encode, "encode", &mut devices)?,
    ))
}

fn order(
    choice: Choice,
    action: &'static str,
    devices: &mut Devices,
) -> Result<Vec<Arc<dyn Backend>>, Refusal> {
    let cpu: Arc<dyn Backend> = Arc::new(CpuBackend::new());
    let found = match choice {
        Choice::Cpu => return Ok(vec![cpu]),
        Choice::Auto => devices.first(None, action),
        Choice::Cuda(index) => devices.first(index, action),
    };
    match found {
        Ok(device) => Ok(vec![device, cpu]),
        Err((name, reason)) if choice == Choice::Auto => {
            Ok(vec![Arc::new(Unavailable::new(name, reason)), cpu])
        }
        Err((_, reason)) => Err(Refusal {
            wanted: choice.to_string(),
            action,
            reason,
        }),
    }
}

/// The machine's devices, looked for when first asked for, by their number or all, each opened once.
#[derive(Default)]
struct Devices {
    #[cfg(target_os = "linux")]
    reports: Vec<(Option<u32>, Report)>,
    #[cfg(target_os = "linux")]
    open: Vec<Arc<CudaBackend>>,
}

#[cfg(not(target_os = "linux"))]
impl Devices {
    fn first(&mut self, _: Option<u32>, _: &str) -> Result<Arc<dyn Backend>, (String, String)> {
        Err((
            "cuda".to_owned(),
            "the GPU path exists on Linux only".to_owned(),
        ))
    }
}

#[cfg(target_os = "linux")]
impl Devices {
    fn report(&mut self, index: Option<u32>) -> Report {
        if let Some((_, known)) = self.reports.iter().find(|(asked, _)| *asked == index) {
            return known.clone();
        }
        let report = probe_for(index);
        self.reports.push((index, report.clone()));
        report
    }

    /// The first device, of those asked for, that can do it; else the name under which it is
    /// missing, and why.
    fn first(
        &mut self,
        index: Option<u32>,
        action: &str,
    ) -> Result<Arc<dyn Backend>, (String, String)> {
        let report = self.report(index);
        let mut reasons = Vec::new();
        for device in report.devices {
            let name = device.backend.clone();
            let coding: &Coding = match action {
                "decode" => &device.decode,
                _ => &device.encode,
            };
            if coding.codecs.is_empty() {
                let reason = coding.reason.as_deref().unwrap_or("it has no codec");
                reasons.push((name, reason.to_owned()));
                continue;
            }
            let open = self.open.iter().find(|open| open.name() == name);
            let opened = match open {
                Some(open) => Ok(Arc::clone(open)),
                None => CudaBackend::of_report(device).map(Arc::new),
            };
            match opened {
                Ok(backend) => {
                    self.open.push(Arc::clone(&backend));
                    return Ok(backend);
                }
                Err(error) => reasons.push((name, error.to_string())),
            }
        }
        let none = || "there is no such device".to_owned();
        Err(match reasons.len() {
            0 => ("cuda".to_owned(), report.reason.unwrap_or_else(none)),
            1 => reasons.remove(0),
            _ => {
                let told = reasons
                    .iter()
                    .map(|(name, reason)| format!("{name}: {reason}"));
                ("cuda".to_owned(), told.collect::<Vec<_>>().join("; "))
            }
        })
    }
}

#[cfg(test)]
#[path = "select_test.rs"]
mod tests;
