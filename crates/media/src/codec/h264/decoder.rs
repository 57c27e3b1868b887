//! H.264 decoding: access units in, frames in display order out.

use std::collections::VecDeque;
use std::time::Duration;

use super::engine::{Engine, SpsError};
use super::reorder::Reorder;
use super::unit::CleanUnit;
use crate::access_unit::{AccessUnit, Codec};
use crate::coder::Decoder;
use crate::error::{CodecError, Unsupported};
use crate::frame::{FramePool, Image, PlanarImage, VideoFrame};
use crate::h264::annexb::has_idr;
use crate::stream::{ColorDescription, VideoParams};
use crate::time::Timestamp;

/// Most units, and bytes of them, that are kept to be decoded again from the keyframe on. A
/// stream that goes longer without one does without.
const MAX_REPLAY_UNITS: usize = 300;
const MAX_REPLAY_BYTES: usize = 32 << 20;

/// How long, in the stream's time, an intact keyframe is waited for. It is that of a usual GOP, so
/// that on a line that loses some of every keyframe the stream is seen damaged rather than not.
const INTACT_WAIT: Duration = Duration::from_secs(2);

/// An H.264 decoder over a library.
///
/// Every frame comes out at the push of its unit, except for those that the stream itself shows
/// later than others, or says it would where its decoding times tell nothing. A damaged picture is
/// not shown, nor is one that refers to it: frames stop until the next keyframe. A damaged picture
/// that no other refers to is lost alone.
///
/// When no intact keyframe has come for 2 s, a damaged one is made do with where the library can:
/// what is missing of it, and of the pictures after it, is concealed until an intact IDR picture
/// comes.
///
/// A stream can begin at any keyframe, IDR picture or not: pictures that are shown earlier and
/// coded later, which refer to what came before, are left out then.
pub(in crate::codec) struct H264Decoder<E> {
    engine: E,
    pool: FramePool,
    color: ColorDescription,
    unit: CleanUnit,
    reorder: Reorder,
    ready: VecDeque<VideoFrame>,
    /// The parameter sets that came last, for a keyframe that brings none to a new engine.
    parameter_sets: Vec<u8>,
    /// Nothing can be decoded before the next keyframe: the engine is new then.
    waiting: bool,
    /// Since when no intact keyframe has come, where one is missing.
    broken_since: Option<Timestamp>,
    /// The engine fills what is missing, as there was no intact keyframe for too long.
    concealing: bool,
    /// The engine is the one for beginning at a keyframe that is no IDR picture.
    joined: bool,
    /// The units since the keyframe that others refer to; empty once they have become too many.
    replay: Vec<AccessUnit>,
    replay_bytes: usize,
    last: Last,
    /// Decoding began here, in an open group of pictures: pictures shown earlier cannot be decoded.
    began: Option<Timestamp>,
}

/// What became of the unit before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Its picture came out.
    Shown,
    /// It was damaged, and all was well before it.
    Broke,
    /// Neither: it held no picture, or the decoder was waiting for a keyframe.
    Nothing,
}

/// Why a unit gave no picture.
enum Failure {
    Damaged(String),
    Unsupported(Unsupported),
    /// The library does not even start.
    Broken(String),
}

impl From<SpsError> for Failure {
    fn from(error: SpsError) -> Self {
        match error {
            SpsError::Damaged(error) => Self::Damaged(error.to_string()),
            SpsError::Unsupported(unsupported) => Self::Unsupported(unsupported),
        }
    }
}

impl<E: Engine> H264Decoder<E> {
    /// A decoder for a stream with these parameters.
    ///
    /// # Errors
    /// [`Unsupported`] for what the library does not decode.
    pub(in crate::codec) fn open(
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<Self, Unsupported> {
        if params.codec != Codec::H264 {
            return Err(Unsupported::new(
                params.codec,
                format!("{} decodes H.264 only", E::NAME),
            ));
        }
        let refused = |reason: String| Unsupported::new(Codec::H264, reason);
        if let Some(reason) = E::refusal(params) {
            return Err(refused(reason));
        }
        let engine = E::start().map_err(refused)?;
        Ok(Self {
            engine,
            pool: pool.clone(),
            color: params.color,
            unit: CleanUnit::default(),
            reorder: Reorder::new(depth(params)),
            ready: VecDeque::new(),
            parameter_sets: Vec::new(),
            waiting: true,
            broken_since: None,
            concealing: false,
            joined: false,
            replay: Vec::new(),
            replay_bytes: 0,
            last: Last::Nothing,
            began: None,
        })
    }

    /// Decodes `unit` and returns its picture; `None` when it holds none.
    fn decode(&mut self, unit: &AccessUnit) -> Result<Option<PlanarImage>, Failure> {
        self.unit.fill::<E>(&unit.data)?;
        if let Some(sps) = self.unit.sps() {
            let params = sps.video_params();
            self.color = params.color;
            self.reorder.set_depth(depth(&params));
            self.engine.sequence(sps);
        } else if self.waiting && !self.parameter_sets.is_empty() {
            self.engine.parameter_sets(&self.parameter_sets);
        }
        self.unit.keep_parameter_sets(&mut self.parameter_sets);
        if unit.flags.damaged && !self.concealing {
            return Err(Failure::Damaged("bytes of it are missing".into()));
        }
        if self.unit.bytes().is_empty() {
            return Ok(None);
        }
        let image = self
            .engine
            .decode(self.unit.bytes(), &self.pool)
            .map_err(Failure::Damaged)?;
        if image.is_none() && self.unit.has_picture() {
            return Err(Failure::Damaged("slices are missing".into()));
        }
        Ok(image)
    }

    /// Brings the decoder back to where it was before the unit that broke it: decodes again from
    /// the keyframe on. True on success.
    fn rewind(&mut self) -> Result<bool, String> {
        let units = std::mem::take(&mut self.replay);
        let mut well = !units.is_empty();
        for unit in &units {
            let decoded = match self.waiting {
                true => self.begin(unit),
                false => self.decode(unit),
            };
            well = well && decoded.is_ok();
            self.waiting = !well;
        }
        self.replay = units;
        if !well {
            self.start_over()?;
        }
        Ok(well)
    }

    /// Decodes the first unit after a start; with an engine that begins there, where that is another
    /// one.
    fn begin(&mut self, unit: &AccessUnit) -> Result<Option<PlanarImage>, Failure> {
        self.joined = false;
        if unit.keyframe
            && !has_idr(&unit.data)
            && let Some(engine) = E::joining().map_err(Failure::Broken)?
        {
            self.engine = engine;
            self.joined = true;
        }
        self.decode(unit)
    }

    /// Whether a keyframe that is damaged is to be made do with, as there has been no other for
    /// long.
    fn must_conceal(&mut self, unit: &AccessUnit) -> bool {
        let waited = self.broken_since.and_then(|since| unit.dts.since(since));
        if waited.is_none() {
            // The clock has jumped back.
            self.broken_since = Some(unit.dts);
        }
        unit.keyframe && waited.is_some_and(|waited| waited >= INTACT_WAIT)
    }

    /// Decodes a damaged keyframe, what is missing filled; `why` is what is wrong with it.
    fn conceal(&mut self, unit: &AccessUnit, why: String) -> Result<Option<PlanarImage>, Failure> {
        let Some(engine) = E::concealing().map_err(Failure::Broken)? else {
            return Err(Failure::Damaged(why));
        };
        self.engine = engine;
        self.waiting = true;
        self.concealing = true;
        self.joined = false;
        let image = self.decode(unit);
        if !matches!(image, Ok(Some(_))) {
            self.start_over().map_err(Failure::Broken)?;
        }
        image
    }

    /// Forgets everything but parameter sets, and waits for a keyframe.
    ///
    /// # Errors
    /// What the library said.
    fn start_over(&mut self) -> Result<(), String> {
        self.waiting = true;
        self.concealing = false;
        self.joined = false;
        self.engine = E::start()?;
        Ok(())
    }

    fn remember(&mut self, unit: &AccessUnit) {
        if self.concealing {
            // There is no intact keyframe to begin from.
            self.replay = Vec::new();
            return;
        }
        if self.unit.is_idr() || (unit.keyframe && self.replay.is_empty()) {
            self.replay.clear();
            self.replay_bytes = 0;
            self.broken_since = None;
        } else if self.replay.is_empty() || !self.unit.is_reference() {
            return;
        }
        self.replay_bytes += unit.data.len();
        self.replay.push(unit.clone());
        if self.replay.len() > MAX_REPLAY_UNITS || self.replay_bytes > MAX_REPLAY_BYTES {
            // The memory stays: the next keyframe begins again.
            self.replay.clear();
        }
    }

    fn show(&mut self, image: PlanarImage, unit: &AccessUnit) -> Result<(), Failure> {
        if self.unit.is_idr() || unit.flags.discontinuity {
            self.reorder.drain(&mut self.ready);
        }
        let mut frame = VideoFrame::new(
            Image::Planar(image),
            unit.pts,
            self.color,
            self.pool.clone(),
        );
        frame.times_mut().received = unit.received;
        self.reorder
            .push(frame, unit.dts, &mut self.ready)
            .map_err(|_| Failure::Damaged("it comes after its time to be shown".into()))
    }

    fn error(&self, failure: Failure, unit: &AccessUnit) -> CodecError {
        match failure {
            Failure::Damaged(detail) => CodecError::Damaged {
                codec: Codec::H264,
                pts: unit.pts.to_string(),
                detail,
            },
            Failure::Unsupported(unsupported) => CodecError::Unsupported(unsupported),
            Failure::Broken(detail) => broken::<E>(detail),
        }
    }
}

impl<E: Engine> Decoder for H264Decoder<E> {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        E::NAME
    }

    fn push(&mut self, unit: &AccessUnit) -> Result<(), CodecError> {
        if unit.codec != Codec::H264 {
            let unsupported = Unsupported::new(unit.codec, "this decoder is open for H.264");
            return Err(CodecError::Unsupported(unsupported));
        }
        let last = std::mem::replace(&mut self.last, Last::Nothing);
        if unit.flags.replaces_previous {
            match last {
                // The bytes that came late were not needed.
                Last::Shown => {
                    self.last = last;
                    return Ok(());
                }
                Last::Broke if !unit.keyframe => {
                    self.rewind().map_err(broken::<E>)?;
                }
                Last::Broke | Last::Nothing => {}
            }
        }
        if self.waiting && !unit.keyframe {
            let why = Failure::Damaged("skipped until the next keyframe".into());
            // Parameter sets may come in a unit of their own.
            return match self.unit.fill::<E>(&unit.data) {
                Ok(()) if !self.unit.has_picture() => {
                    self.unit.keep_parameter_sets(&mut self.parameter_sets);
                    Ok(())
                }
                _ => Err(self.error(why, unit)),
            };
        }
        if !unit.keyframe && self.began.is_some_and(|began| unit.pts < began) {
            self.engine.leave_out(&unit.data);
            let why = "it refers to pictures of before the one that decoding began with";
            return Err(self.error(Failure::Damaged(why.into()), unit));
        }
        if (self.concealing || self.joined) && unit.keyframe && has_idr(&unit.data) {
            self.start_over().map_err(broken::<E>)?;
        }
        let was_well = !self.waiting && !self.concealing;
        let first = match self.waiting {
            true => self.begin(unit),
            false => self.decode(unit),
        };
        let decoded = match first {
            Err(Failure::Damaged(why)) if self.must_conceal(unit) => self.conceal(unit, why),
            decoded => decoded,
        };
        match decoded {
            Ok(image) => {
                self.waiting = false;
                if self.unit.is_idr() {
                    self.began = None;
                } else if !was_well && unit.keyframe {
                    self.began = Some(unit.pts);
                }
                self.remember(unit);
                if let Some(image) = image {
                    self.last = Last::Shown;
                    self.show(image, unit)
                        .map_err(|failure| self.error(failure, unit))?;
                }
                Ok(())
            }
            Err(failure) => {
                let alone =
                    self.concealing || unit.flags.damaged && !self.unit.is_reference() && was_well;
                if !alone {
                    self.last = if was_well { Last::Broke } else { Last::Nothing };
                    self.start_over().map_err(broken::<E>)?;
                }
                Err(self.error(failure, unit))
            }
        }
    }

    fn pull(&mut self) -> Option<VideoFrame> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.reorder.drain(&mut self.ready);
        self.last = Last::Nothing;
        self.replay = Vec::new();
        self.broken_since = None;
        self.start_over().map_err(broken::<E>)
    }
}

fn broken<E: Engine>(detail: String) -> CodecError {
    CodecError::Broken {
        backend: E::NAME,
        detail,
    }
}

/// How many pictures the stream reorders by at most, where that is known.
fn depth(params: &VideoParams) -> Option<u32> {
    match params.profile {
        // Baseline has no B slices, and nothing else is reordered by anybody.
        66 => Some(0),
        _ => params.reorder,
    }
}

#[cfg(test)]
#[path = "decoder_test.rs"]
mod tests;
