//! The table of backends for what is chosen on the command line: devices, FFmpeg where it is built
//! in, the CPU.

use std::fmt;
use std::str::FromStr;

use trickle_media::Backends;

/// What decodes, or encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// FFmpeg, and the CPU for what it does not take.
    Ffmpeg,
    /// A device, or the CPU; with `auto`, FFmpeg comes last.
    Device(trickle_gpu::Choice),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text != "ffmpeg" {
            let device = text.parse().map(Self::Device);
            return device.map_err(|_| {
                format!("{text:?} is no backend; write auto, cpu, cuda, cuda:N or ffmpeg")
            });
        }
        if cfg!(feature = "ffmpeg") {
            Ok(Self::Ffmpeg)
        } else {
            Err("this trickle was built without FFmpeg; build it with `--features ffmpeg`".into())
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ffmpeg => f.write_str("ffmpeg"),
            Self::Device(device) => device.fmt(f),
        }
    }
}

impl Choice {
    fn device(self) -> trickle_gpu::Choice {
        match self {
            Self::Ffmpeg => trickle_gpu::Choice::Cpu,
            Self::Device(device) => device,
        }
    }
}

/// The table, for decoding and encoding. Opening devices blocks.
///
/// # Errors
/// Why something that was asked for cannot be had.
pub(crate) fn open(decode: Choice, encode: Choice) -> Result<Backends, String> {
    let backends = trickle_gpu::backends(decode.device(), encode.device());
    let backends = backends.map_err(|refusal| refusal.to_string())?;
    #[cfg(feature = "ffmpeg")]
    return with_ffmpeg(backends, decode, encode);
    #[cfg(not(feature = "ffmpeg"))]
    Ok(backends)
}

#[cfg(feature = "ffmpeg")]
fn with_ffmpeg(mut backends: Backends, decode: Choice, encode: Choice) -> Result<Backends, String> {
    use std::sync::Arc;
    use trickle_media::backend::Direction;

    const AUTO: Choice = Choice::Device(trickle_gpu::Choice::Auto);
    let ffmpeg = trickle_ffmpeg::FfmpegBackend::new();
    let ffmpeg = Arc::new(ffmpeg.map_err(|error| format!("FFmpeg cannot be used: {error}"))?);
    for (choice, direction) in [(decode, Direction::Decode), (encode, Direction::Encode)] {
        if choice == Choice::Ffmpeg {
            backends.add_first(direction, ffmpeg.clone());
        } else if choice == AUTO {
            backends.add_last(direction, ffmpeg.clone());
        }
    }
    Ok(backends)
}

#[cfg(test)]
#[path = "backends_test.rs"]
mod tests;
