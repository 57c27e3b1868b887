//! AAC decoding (ISO/IEC 14496-3): LC and HE, 1 to 8 channels.

use std::collections::VecDeque;

use bytes::Bytes;
use syom::{AacError, Channel, DecodeOptions};

use crate::access_unit::{AccessUnit, Codec};
use crate::coder::Decoder;
use crate::error::{CodecError, Unsupported};
use crate::frame::{AudioFrame, FramePool, Pool};
use crate::stream::AudioParams;
use crate::time::Timestamp;

const NAME: &str = "syom";

/// Decodes raw AAC frames: AAC-LC, and HE-AAC v1 and v2 at their full rate.
///
/// Frames say their own rate and channels: those of HE-AAC can differ from what the container
/// states, when spectral band replication or parametric stereo is found only in the frames.
pub struct AacDecoder {
    decoder: syom::Decoder,
    /// AudioSpecificConfig.
    config: Bytes,
    pool: Pool<f32>,
    ready: VecDeque<AudioFrame>,
}

impl AacDecoder {
    /// A decoder for a stream with these parameters.
    ///
    /// # Errors
    /// [`Unsupported`] when the AudioSpecificConfig is missing, malformed or of an object type or
    /// channel configuration that cannot be decoded.
    pub fn new(params: &AudioParams, pool: &FramePool) -> Result<Self, Unsupported> {
        let refuse = |reason: String| Unsupported::new(Codec::Aac, reason);
        if params.config.is_empty() {
            return Err(refuse("it comes without an AudioSpecificConfig".into()));
        }
        let decoder = syom::Decoder::from_asc(&params.config, DecodeOptions::unbounded())
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            decoder,
            config: params.config.clone(),
            pool: pool.floats.clone(),
            ready: VecDeque::new(),
        })
    }

    /// Forgets everything but the configuration. A failed decoder takes nothing until then.
    fn restart(&mut self) -> Result<(), CodecError> {
        self.decoder.reset();
        self.decoder
            .set_asc(&self.config)
            .map_err(|error| CodecError::Broken {
                backend: NAME,
                detail: error.to_string(),
            })
    }
}

impl Decoder for AacDecoder {
    type Frame = AudioFrame;

    fn name(&self) -> &'static str {
        NAME
    }

    fn push(&mut self, unit: &AccessUnit) -> Result<(), CodecError> {
        let mut frame = None;
        let pool = &self.pool;
        let decoded = self.decoder.decode_au(&unit.data, |output| {
            frame = Some(arrange(&output, unit.pts, pool));
            Ok(())
        });
        let damaged = |detail: String| CodecError::Damaged {
            codec: Codec::Aac,
            pts: unit.pts.to_string(),
            detail,
        };
        if let Err(error) = decoded {
            self.restart()?;
            return Err(match error {
                AacError::Unsupported(_) => {
                    CodecError::Unsupported(Unsupported::new(Codec::Aac, error.to_string()))
                }
                error => damaged(error.to_string()),
            });
        }
        match frame {
            Some(frame) => self.ready.push_back(frame?),
            None => return Err(damaged("no samples".into())),
        }
        Ok(())
    }

    fn pull(&mut self) -> Option<AudioFrame> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.restart()
    }
}

/// One output channel: input channels and their weights.
type Source = Vec<(usize, f32)>;

/// Copies a decoded frame into an [`AudioFrame`]'s channel order.
fn arrange(
    output: &syom::Frame<'_>,
    pts: Timestamp,
    pool: &Pool<f32>,
) -> Result<AudioFrame, CodecError> {
    let labels: Vec<Channel> = output.meta.labels().take(output.planar.len()).collect();
    let sources = sources(&labels)
        .ok_or_else(|| Unsupported::new(Codec::Aac, format!("a channel layout of {labels:?}")))?;
    let samples = output.samples;
    let mut planes = pool.take(sources.len() * samples);
    if samples > 0 {
        for (plane, source) in planes.make_mut().chunks_exact_mut(samples).zip(&sources) {
            plane.fill(0.0);
            for (index, weight) in source {
                let input = output.planar.get(*index).copied().unwrap_or_default();
                for (to, from) in plane.iter_mut().zip(input) {
                    *to += weight * from;
                }
            }
        }
    }
    Ok(AudioFrame::new(
        sources.len(),
        output.sample_rate,
        pts,
        planes,
    )?)
}

/// Where each channel of the frame comes from; `None` for layouts that have no such order.
///
/// Layouts that [`AudioFrame`] does not name are widened to 5.1: missing channels are silent, a
/// back centre goes to both surrounds at −3 dB.
fn sources(labels: &[Channel]) -> Option<Vec<Source>> {
    use Channel::{
        BackCenter, BackLeft, BackRight, FrontCenter, FrontLeft, FrontRight, Lfe, Other, SideLeft,
        SideRight,
    };
    if labels == [FrontCenter, Other] {
        // Parametric stereo made two channels of a mono core, whose label is still there.
        return Some(vec![vec![(0, 1.0)], vec![(1, 1.0)]]);
    }
    let find = |label: Channel| labels.iter().position(|have| *have == label);
    let first = |choices: &[Channel]| choices.iter().find_map(|label| find(*label));
    let plain = |order: &[&[Channel]]| -> Option<Vec<Source>> {
        if order.len() != labels.len() {
            return None;
        }
        order
            .iter()
            .map(|choices| first(choices).map(|index| vec![(index, 1.0)]))
            .collect()
    };
    let left: &[Channel] = &[BackLeft, SideLeft];
    let right: &[Channel] = &[BackRight, SideRight];
    let (l, r, c): (&[Channel], &[Channel], &[Channel]) =
        (&[FrontLeft], &[FrontRight], &[FrontCenter]);
    let layouts: [&[&[Channel]]; 8] = [
        &[&[FrontCenter, FrontLeft]],
        &[l, r],
        &[l, r, c],
        &[l, r, left, right],
        &[l, r, c, left, right],
        &[l, r, c, &[Lfe], left, right],
        &[l, r, c, &[Lfe], &[BackCenter], left, right],
        &[
            l,
            r,
            c,
            &[Lfe],
            &[BackLeft],
            &[BackRight],
            &[SideLeft],
            &[SideRight],
        ],
    ];
    if let Some(found) = layouts.iter().find_map(|order| plain(order)) {
        return Some(found);
    }
    let order: [&[Channel]; 6] = [l, r, c, &[Lfe], left, right];
    let mut wide: Vec<Source> = order
        .iter()
        .map(|choices| {
            first(choices)
                .map(|index| (index, 1.0))
                .into_iter()
                .collect()
        })
        .collect();
    if let Some(back) = find(BackCenter) {
        for surround in wide.iter_mut().skip(4) {
            surround.push((back, std::f32::consts::FRAC_1_SQRT_2));
        }
    }
    // Every input must have gone somewhere, once (the back centre twice).
    let used = wide.iter().flatten().count() - usize::from(find(BackCenter).is_some());
    (used == labels.len()).then_some(wide)
}

#[cfg(test)]
#[path = "aac_test.rs"]
mod tests;
