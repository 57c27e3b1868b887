//! Sequence parameter sets on their way into the decoder and out of the encoder
//! (ITU-T H.264, 7.3.2.1.1).

use super::bits::{BitReader, BitWriter, escape, unescape};
use crate::access_unit::Codec;
use crate::error::Unsupported;

/// `profile_idc` of scalable baseline, whose parameter set has the syntax of High.
const SCALABLE_BASELINE: u8 = 83;
/// Macroblocks are 16 × 16 luma samples.
const MACROBLOCK: u64 = 16;

/// A parameter set that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SpsError {
    /// It ends early, or a value in it is out of range.
    Damaged(&'static str),
    /// It is of a kind that OpenH264 does not decode.
    Unsupported(Unsupported),
}

/// Where in a parameter set what lies.
#[derive(Debug)]
struct Outline {
    profile: u8,
    /// Position of the first bit after `seq_parameter_set_id`.
    after_id: usize,
    /// `chroma_format_idc` and what goes with it follow there.
    has_chroma_format: bool,
    /// Position of `vui_parameters_present_flag`.
    vui_flag: usize,
    /// Position of the stop bit.
    stop: usize,
}

/// Whether a parameter set of this profile states its chroma format.
fn states_chroma_format(profile: u8) -> bool {
    matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    )
}

fn unsupported(reason: impl Into<String>) -> SpsError {
    SpsError::Unsupported(Unsupported::new(Codec::H264, reason))
}

/// Why OpenH264 does not decode a stream of this kind, if it does not.
pub(super) fn refusal(
    profile: u8,
    bit_depth: u8,
    chroma_format: u8,
    interlaced: bool,
) -> Option<String> {
    let chroma = match chroma_format {
        1 => None,
        0 => Some("monochrome"),
        2 => Some("4:2:2 chroma"),
        _ => Some("4:4:4 chroma"),
    };
    if bit_depth != 8 {
        return Some(format!(
            "the stream has {bit_depth} bits per sample, OpenH264 decodes 8"
        ));
    }
    if let Some(chroma) = chroma {
        return Some(format!("the stream has {chroma}, OpenH264 decodes 4:2:0"));
    }
    if interlaced {
        return Some(
            "the stream is interlaced (frame_mbs_only_flag is 0), OpenH264 decodes progressive \
             pictures only"
                .into(),
        );
    }
    match profile {
        66 | 77 | 100 => None,
        88 => Some("the stream is of the Extended profile, OpenH264 decodes up to High".into()),
        _ => Some(format!(
            "the stream is of profile {profile}, OpenH264 decodes Baseline, Main and High"
        )),
    }
}

impl Outline {
    /// Walks over `nal`, header byte first, up to the VUI, and checks what the decoder does not.
    fn of(nal: &[u8]) -> Result<Self, SpsError> {
        let end = nal.iter().rposition(|&byte| byte != 0);
        let last = end.and_then(|at| nal.get(at).map(|byte| (at, byte)));
        let Some((at, byte)) = last else {
            return Err(SpsError::Damaged("it is empty"));
        };
        let stop = 8 * at + 7 - byte.trailing_zeros() as usize;
        let mut bits = BitReader::new(nal);
        let outline = Self::walk(&mut bits, stop)?;
        match outline {
            Some(outline) if outline.vui_flag < stop => Ok(outline),
            _ => Err(SpsError::Damaged("it ends early")),
        }
    }

    /// `Ok(None)` when the bits run out.
    fn walk(bits: &mut BitReader<'_>, stop: usize) -> Result<Option<Self>, SpsError> {
        macro_rules! read {
            ($value:expr) => {
                match $value {
                    Some(value) => value,
                    None => return Ok(None),
                }
            };
        }
        read!(bits.bits(8));
        let profile = read!(bits.bits(8)) as u8;
        // constraint flags, level_idc
        read!(bits.bits(16));
        read!(bits.ue());
        let after_id = bits.position();
        let has_chroma_format = states_chroma_format(profile);
        let (mut chroma_format, mut bit_depth) = (1, 8);
        if has_chroma_format {
            chroma_format = read!(bits.ue());
            if chroma_format == 3 {
                read!(bits.bit());
            }
            let (luma, chroma) = (read!(bits.ue()), read!(bits.ue()));
            bit_depth = 8 + luma.max(chroma).min(6);
            // qpprime_y_zero_transform_bypass_flag
            read!(bits.bit());
            if read!(bits.bit()) {
                for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if read!(bits.bit()) {
                        read!(skip_scaling_list(bits, if list < 6 { 16 } else { 64 }));
                    }
                }
            }
        }
        // log2_max_frame_num_minus4
        read!(bits.ue());
        match read!(bits.ue()) {
            0 => {
                read!(bits.ue());
            }
            1 => {
                read!(bits.bit());
                read!(bits.se());
                read!(bits.se());
                let cycle = read!(bits.ue());
                if cycle > 255 {
                    return Err(SpsError::Damaged(
                        "its picture order count cycle is too long",
                    ));
                }
                for _ in 0..cycle {
                    read!(bits.se());
                }
            }
            _ => {}
        }
        // max_num_ref_frames, gaps_in_frame_num_value_allowed_flag
        read!(bits.ue());
        read!(bits.bit());
        let (columns, rows) = (read!(bits.ue()), read!(bits.ue()));
        let interlaced = !read!(bits.bit());
        if let Some(reason) = refusal(
            profile,
            bit_depth as u8,
            chroma_format.min(3) as u8,
            interlaced,
        ) {
            return Err(unsupported(reason));
        }
        // direct_8x8_inference_flag
        read!(bits.bit());
        if read!(bits.bit()) {
            for macroblocks in [columns, rows] {
                let cropped = u64::from(read!(bits.ue())) + u64::from(read!(bits.ue()));
                // In units of two luma samples for 4:2:0 frames (7.4.2.1.1).
                if 2 * cropped >= MACROBLOCK * (u64::from(macroblocks) + 1) {
                    return Err(SpsError::Damaged("it crops all of the picture away"));
                }
            }
        }
        Ok(Some(Self {
            profile,
            after_id,
            has_chroma_format,
            vui_flag: bits.position(),
            stop,
        }))
    }
}

/// 7.3.2.1.1.1; values are of no interest.
fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            let code = i64::from(bits.ue()?);
            let delta = if code % 2 == 1 {
                (code + 1) / 2
            } else {
                -code / 2
            };
            next = (last + delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// The parameter set `nal` as the decoder is to see it, appended to `out` without start code.
///
/// OpenH264 sorts the pictures of every profile but the baseline ones by itself, and by rules
/// that hold one picture back even where nothing is reordered. Here every picture leaves the
/// decoder at once and `reorder` sorts by time stamps; so the profile is changed to the one with
/// which OpenH264 does not sort, and nothing else about decoding changes: scalable baseline. (Not
/// baseline itself: with that, reference lists are modified by code that knows no B slices.)
pub(super) fn for_decoder(nal: &[u8], out: &mut Vec<u8>) -> Result<(), SpsError> {
    let nal = unescape(nal);
    let outline = Outline::of(&nal)?;
    if outline.profile == 66 {
        escape(&nal, out);
        return Ok(());
    }
    let mut bits = BitWriter::default();
    bits.copy(&nal, 0, 8);
    bits.bits(u32::from(SCALABLE_BASELINE), 8);
    bits.copy(&nal, 16, outline.after_id);
    if !outline.has_chroma_format {
        // 4:2:0, 8 bits, no transform bypass, no scaling lists: what Main implies.
        bits.ue(1);
        bits.ue(0);
        bits.ue(0);
        bits.bits(0, 2);
    }
    bits.copy(&nal, outline.after_id, outline.stop);
    escape(&bits.finish(), out);
    Ok(())
}

#[cfg(test)]
#[path = "sps_test.rs"]
mod tests;
