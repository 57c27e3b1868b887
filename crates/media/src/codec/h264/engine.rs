//! What a library must do to be an H.264 decoder here.

use crate::bits::BitError;
use crate::error::Unsupported;
use crate::frame::{FramePool, PlanarImage};
use crate::h264::ParameterSetError;
use crate::h264::sps::Sps;
use crate::stream::VideoParams;

/// A library that decodes whole access units to pictures, in the order they are coded in.
pub(in crate::codec) trait Engine: Send + Sized {
    /// Name of the implementation in logs and status.
    const NAME: &'static str;

    /// Why it does not decode a stream of this kind, if it does not.
    fn refusal(params: &VideoParams) -> Option<String>;

    /// A decoder at the start of a stream.
    ///
    /// # Errors
    /// What the library said.
    fn start() -> Result<Self, String>;

    /// A decoder at the start of a stream that fills what is missing with what was shown there
    /// before; `None` where the library cannot.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    fn concealing() -> Result<Option<Self>, String> {
        Ok(None)
    }

    /// A decoder at the start of a stream that begins with a keyframe that is no IDR picture, in an
    /// open group of pictures; `None` where the one of [`start`](Self::start) does that.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    fn joining() -> Result<Option<Self>, String> {
        Ok(None)
    }

    /// Appends the sequence parameter set `nal` as the library is to see it to `out`, without
    /// start code, and gives what it says.
    ///
    /// # Errors
    /// When it is damaged, or of a stream that the library does not decode.
    fn adapt_sps(nal: &[u8], out: &mut Vec<u8>) -> Result<Sps, SpsError>;

    /// The unit that follows belongs to a sequence with this parameter set.
    fn sequence(&mut self, _sps: &Sps) {}

    /// Takes parameter sets, in Annex B, that came before the unit that follows.
    fn parameter_sets(&mut self, sets: &[u8]);

    /// An access unit, in Annex B, is left out on purpose: later ones do not refer to it.
    fn leave_out(&mut self, _unit: &[u8]) {}

    /// Decodes an access unit, in Annex B, and gives its picture; `None` when nothing of it could
    /// be made a picture.
    ///
    /// # Errors
    /// What is wrong with it. The engine is thrown away then.
    fn decode(&mut self, unit: &[u8], pool: &FramePool) -> Result<Option<PlanarImage>, String>;
}

/// A parameter set that cannot be used.
#[derive(Debug)]
pub(in crate::codec) enum SpsError {
    Damaged(ParameterSetError),
    /// It is of a kind that the library does not decode.
    Unsupported(Unsupported),
}

impl From<ParameterSetError> for SpsError {
    fn from(error: ParameterSetError) -> Self {
        Self::Damaged(error)
    }
}

impl From<BitError> for SpsError {
    fn from(error: BitError) -> Self {
        Self::Damaged(error.into())
    }
}
