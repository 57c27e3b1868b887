//! Rate and channels of MPEG audio, AC-3 and E-AC-3, from a frame's header. Their frames are passed
//! on as they are, never decoded.

use bytes::Bytes;

use crate::access_unit::Codec;
use crate::stream::AudioParams;

/// Parameters of a stream of this codec whose frame begins at the start of `bytes`; `None` where no
/// header of its kind stands there.
pub fn params(codec: Codec, bytes: &[u8]) -> Option<AudioParams> {
    let (sample_rate, channels) = match codec {
        Codec::Mpeg => mpeg(bytes),
        Codec::Ac3 | Codec::Eac3 => dolby(bytes),
        _ => None,
    }?;
    Some(AudioParams {
        codec,
        sample_rate,
        channels,
        config: Bytes::new(),
    })
}

/// ISO/IEC 11172-3, 2.4.1.3, and ISO/IEC 13818-3, 2.4.1.2.
fn mpeg(bytes: &[u8]) -> Option<(u32, u8)> {
    const MONO: u8 = 3;
    let &[b0, b1, b2, b3] = bytes.first_chunk::<4>()?;
    let (version, layer) = (b1 >> 3 & 3, b1 >> 1 & 3);
    if b0 != 0xff || b1 & 0xe0 != 0xe0 || version == 1 || layer == 0 || b2 >> 4 == 0xf {
        return None;
    }
    let rate = [44_100, 48_000, 32_000].get(usize::from(b2 >> 2 & 3))?;
    let divisor = match version {
        // MPEG-1, MPEG-2, MPEG 2.5
        3 => 1,
        2 => 2,
        _ => 4,
    };
    let channels = if b3 >> 6 == MONO { 1 } else { 2 };
    Some((rate / divisor, channels))
}

/// ETSI TS 102 366, 4.4.1 and E.1.2: the two are told apart by `bsid`.
fn dolby(bytes: &[u8]) -> Option<(u32, u8)> {
    const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
    const RATES: [u32; 3] = [48_000, 44_100, 32_000];
    let &[0x0b, 0x77, _, _, b4, b5, b6] = bytes.first_chunk::<7>()? else {
        return None;
    };
    if b5 >> 3 > 10 {
        // fscod, fscod2 or numblkscod, acmod, lfeon
        let (rate, reduced) = (b4 >> 6, b4 >> 4 & 3);
        let rate = match RATES.get(usize::from(rate)) {
            Some(rate) => *rate,
            None => RATES.get(usize::from(reduced))? / 2,
        };
        let channels = CHANNELS[usize::from(b4 >> 1 & 7)] + (b4 & 1);
        return Some((rate, channels));
    }
    let rate = *RATES.get(usize::from(b4 >> 6))?;
    let mode = b6 >> 5;
    // Mix levels stand between acmod and lfeon where there are channels to mix.
    let mut skipped = 0;
    skipped += if mode & 1 != 0 && mode != 1 { 2 } else { 0 };
    skipped += if mode & 4 != 0 { 2 } else { 0 };
    skipped += if mode == 2 { 2 } else { 0 };
    let lfe = b6 >> (4 - skipped) & 1;
    Some((rate, CHANNELS[usize::from(mode)] + lfe))
}

#[cfg(test)]
#[path = "frame_header_test.rs"]
mod tests;
