//! Rate, channels and length of frames of MPEG audio, AC-3 and E-AC-3, from their headers. They are
//! passed on as they are, never decoded.

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

/// Bytes of the frame at the start of `bytes`; `None` where no header of this codec stands there.
/// DTS is known, too, as an other codec of that name.
pub fn length(codec: Codec, bytes: &[u8]) -> Option<usize> {
    match codec {
        Codec::Mpeg => mpeg_length(bytes),
        Codec::Ac3 => ac3_length(bytes),
        Codec::Eac3 => eac3_length(bytes),
        Codec::OtherAudio("dts") => dts_length(bytes),
        _ => None,
    }
}

/// ISO/IEC 11172-3, 2.4.2.3 and 2.4.3.1; half the bit rates and, in layer III, half the samples in
/// ISO/IEC 13818-3.
fn mpeg_length(bytes: &[u8]) -> Option<usize> {
    const LAYER_1: [u32; 14] = [
        32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
    ];
    const LAYER_2: [u32; 14] = [
        32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ];
    const LAYER_3: [u32; 14] = [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ];
    const LAYER_1_OF_2: [u32; 14] = [
        32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
    ];
    const LAYERS_2_3_OF_2: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let (rate, _) = mpeg(bytes)?;
    let &[_, b1, b2, _] = bytes.first_chunk::<4>()?;
    let (first, layer) = (b1 >> 3 & 3 == 3, 4 - (b1 >> 1 & 3));
    let rates = match (first, layer) {
        (true, 1) => LAYER_1,
        (true, 2) => LAYER_2,
        (true, _) => LAYER_3,
        (false, 1) => LAYER_1_OF_2,
        (false, _) => LAYERS_2_3_OF_2,
    };
    // A free bit rate, 0, tells no length.
    let bits = 1000 * rates.get(usize::from(b2 >> 4).checked_sub(1)?)?;
    let padding = u32::from(b2 >> 1 & 1);
    let length = match layer {
        1 => (12 * bits / rate + padding) * 4,
        3 if !first => 72 * bits / rate + padding,
        _ => 144 * bits / rate + padding,
    };
    usize::try_from(length).ok()
}

/// ETSI TS 102 366, table 4.13.
fn ac3_length(bytes: &[u8]) -> Option<usize> {
    const KILOBITS: [usize; 19] = [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
    ];
    let &[0x0b, 0x77, _, _, b4, b5, _] = bytes.first_chunk::<7>()? else {
        return None;
    };
    if b5 >> 3 > 10 {
        return None;
    }
    let code = usize::from(b4 & 0x3f);
    let kilobits = KILOBITS.get(code >> 1)?;
    Some(match b4 >> 6 {
        0 => 4 * kilobits,
        1 => 2 * (320 * kilobits / 147 + (code & 1)),
        2 => 6 * kilobits,
        _ => return None,
    })
}

/// ETSI TS 102 366, E.1.3.1.3.
fn eac3_length(bytes: &[u8]) -> Option<usize> {
    let &[0x0b, 0x77, b2, b3, _, b5, _] = bytes.first_chunk::<7>()? else {
        return None;
    };
    (b5 >> 3 > 10).then(|| 2 * ((usize::from(b2 & 7) << 8 | usize::from(b3)) + 1))
}

/// ETSI TS 102 114, 5.3: the core's frames of 16-bit words, most significant byte first.
fn dts_length(bytes: &[u8]) -> Option<usize> {
    let &[0x7f, 0xfe, 0x80, 0x01, _, b5, b6, b7] = bytes.first_chunk::<8>()? else {
        return None;
    };
    Some((usize::from(b5 & 3) << 12 | usize::from(b6) << 4 | usize::from(b7 >> 4)) + 1)
}

#[cfg(test)]
#[path = "frame_header_test.rs"]
mod tests;
