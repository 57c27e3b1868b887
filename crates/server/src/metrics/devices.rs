//! What video is coded with, and the machine's GPUs.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use trickle_media::backend::BackendDescription;
use trickle_media::hardware::DeviceLoad;

use super::Families;
use crate::app::App;
use crate::routes::hardware;

/// Backends and GPUs at the moment of a scrape.
#[derive(Debug)]
pub(super) struct Machine {
    backends: Vec<BackendDescription>,
    devices: Vec<DeviceLoad>,
    driver: Option<String>,
}

/// Which GPU, by its index and its lasting id.
type Labels = [(&'static str, String); 2];

impl Machine {
    pub(super) async fn of(app: &App) -> Self {
        let (devices, driver) = hardware::ask(app, |probe| (probe.devices(), probe.driver())).await;
        Self {
            backends: app.slots.backends().describe(),
            devices,
            driver,
        }
    }

    fn labelled(&self) -> impl Iterator<Item = (Labels, &DeviceLoad)> {
        let devices = self.devices.iter().enumerate();
        devices.map(|(index, device)| {
            let labels = [("gpu", index.to_string()), ("id", device.id.clone())];
            (labels, device)
        })
    }

    /// A figure that not every device has.
    fn figures(
        &self,
        out: &mut Families<'_>,
        name: &str,
        help: &str,
        read: impl Fn(&DeviceLoad) -> Vec<(&'static str, Option<f64>)>,
    ) -> fmt::Result {
        let values = self.labelled().flat_map(|(labels, device)| {
            let known = read(device).into_iter();
            known.filter_map(move |(of, value)| {
                let [gpu, id] = labels.clone();
                Some(([gpu, id, ("of", of.to_owned())], value?))
            })
        });
        out.gauges(name, help, values)
    }
}

impl Collector for Machine {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Families(encoder);
        let backends = self.backends.iter().map(|backend| {
            let labels = [
                ("backend", backend.name.as_str()),
                ("decoder", backend.decoder.as_str()),
                ("encoder", backend.encoder.as_str()),
            ];
            (labels, 1.0)
        });
        out.gauges(
            "trickle_backend",
            "1 for each backend in the table: what it decodes and encodes with, or why it does not",
            backends,
        )?;
        let mut family = out.family(
            "trickle_gpu",
            "A GPU that the driver shows",
            None,
            MetricType::Info,
        )?;
        for ([(_, gpu), (_, id)], device) in self.labelled() {
            family
                .encode_family(&[("gpu", gpu), ("id", id)])?
                .encode_info(&[
                    ("name", device.name.as_str()),
                    ("pci_bus_id", device.pci_bus_id.as_str()),
                    ("driver", self.driver.as_deref().unwrap_or_default()),
                ])?;
        }
        self.figures(
            &mut out,
            "trickle_gpu_memory_bytes",
            "Memory that a GPU has, and that nobody uses",
            |device| {
                vec![
                    ("total", Some(device.memory_total as f64)),
                    ("free", Some(device.memory_free as f64)),
                ]
            },
        )?;
        let share = |percent: Option<u32>| percent.map(|percent| f64::from(percent) / 100.0);
        self.figures(
            &mut out,
            "trickle_gpu_busy_ratio",
            "Share of time in which a part of a GPU was busy",
            |device| {
                vec![
                    ("compute", share(device.compute_percent)),
                    ("memory", share(device.memory_percent)),
                    ("decoder", share(device.decoder_percent)),
                    ("encoder", share(device.encoder_percent)),
                ]
            },
        )?;
        self.figures(
            &mut out,
            "trickle_gpu_temperature_celsius",
            "Temperature of a GPU",
            |device| vec![("core", device.temperature.map(f64::from))],
        )
    }
}
