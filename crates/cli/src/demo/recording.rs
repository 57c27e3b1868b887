//! The worker's output: written down as it arrives, and read again afterwards.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use trickle_media::access_unit::{Codec, MediaKind};
use trickle_media::stream::{StreamParams, VideoParams};
use trickle_media::{StreamInfo, TimeBase};
use trickle_proto::{Client, Start};
use trickle_session::feed::MediaEvent;
use url::Url;

use crate::error::CliError;
use crate::input::ReadFlags;
use crate::{channel, input};

/// Writes a channel to a file until it ends.
pub(super) async fn record(client: &Client, url: &Url, path: &Path) -> Result<(), CliError> {
    let failed = |error| channel::subscribe_error(url, &error);
    let write_failed = |error: std::io::Error| {
        CliError::caused(format!("cannot write to {}", path.display()), &error)
    };
    let mut file = File::create(path).map_err(write_failed)?;
    let mut subscriber = client
        .subscribe(url, Start::Current)
        .map_err(|error| failed(error.into()))?;
    while let Some(mut segment) = subscriber.next_segment().await.map_err(failed)? {
        while let Some(chunk) = segment.chunk().await.map_err(failed)? {
            file.write_all(&chunk).map_err(write_failed)?;
        }
    }
    Ok(())
}

/// What a recording holds.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// Presentation times of pictures, in ticks of 90 kHz and decode order.
    pub(super) video: Vec<i64>,
    pub(super) video_params: Option<VideoParams>,
    pub(super) audio: Option<Codec>,
    pub(super) audio_units: u64,
    /// No unit of a stream is decoded before the one ahead of it.
    pub(super) monotonic: bool,
    /// What is wrong with its transport stream.
    pub(super) faults: Vec<String>,
}

impl Recording {
    /// Demuxes a recording. Blocks.
    pub(super) fn inspect(path: &Path) -> Result<Self, CliError> {
        let mut found = Self {
            monotonic: true,
            ..Self::default()
        };
        if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            return Ok(found);
        }
        let mut reader = input::open(path, ReadFlags::default())?;
        let (mut last_video, mut last_audio) = (None, None);
        let failed = |error| CliError::caused(format!("cannot read {}", path.display()), &error);
        while let Some(event) = reader.next_event().map_err(failed)? {
            let unit = match event {
                MediaEvent::Streams(streams) => {
                    found.note(&streams);
                    continue;
                }
                MediaEvent::Unit(unit) => unit,
                MediaEvent::Fault(fault) => {
                    found.faults.push(fault.to_string());
                    continue;
                }
            };
            let last = match unit.codec.kind() {
                MediaKind::Video => {
                    found.video.push(unit.pts.in_base(TimeBase::MPEG));
                    &mut last_video
                }
                MediaKind::Audio => {
                    found.audio_units += 1;
                    &mut last_audio
                }
                MediaKind::Data => continue,
            };
            found.monotonic &= last.is_none_or(|last| unit.dts > last);
            *last = Some(unit.dts);
        }
        Ok(found)
    }

    fn note(&mut self, streams: &[StreamInfo]) {
        for stream in streams {
            match &stream.params {
                StreamParams::Video(params) => self.video_params = Some(params.clone()),
                StreamParams::Audio(params) => self.audio = Some(params.codec),
                StreamParams::Unknown => {}
            }
        }
    }
}
