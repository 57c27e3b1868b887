//! Writing boxes, and the boxes that stand before the first fragment.

use bytes::{BufMut, BytesMut};

use crate::stream::AudioParams;

/// Samples that an Opus encoder of this project puts before the sound (RFC 7845, 4.2).
const OPUS_PRE_SKIP: u16 = 312;
/// ISO 639-2 `und`, packed.
const UNDETERMINED: [u8; 3] = *b"und";

/// Appends a box whose content `fill` appends.
pub(super) fn boxed(out: &mut BytesMut, kind: &[u8; 4], fill: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    fill(out);
    let size = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    patch(out, start, size);
}

/// Appends a full box of this version and these flags.
pub(super) fn full(
    out: &mut BytesMut,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    fill: impl FnOnce(&mut BytesMut),
) {
    boxed(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        fill(out);
    });
}

/// Overwrites four bytes that were appended before.
pub(super) fn patch(out: &mut BytesMut, at: usize, value: u32) {
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// What the sample description of a track says.
pub(super) enum Description<'a> {
    /// H.264, from the first keyframe's parameter sets.
    Avc {
        width: u32,
        height: u32,
        sps: &'a [u8],
        pps: &'a [u8],
    },
    Aac(&'a AudioParams),
    Opus(&'a AudioParams),
}

/// A track of the file.
pub(super) struct TrackBoxes<'a> {
    pub(super) id: u32,
    pub(super) timescale: u32,
    pub(super) language: Option<&'a str>,
    pub(super) description: Description<'a>,
}

/// `ftyp` and `moov` of a file whose samples are all in fragments.
pub(super) fn head(out: &mut BytesMut, tracks: &[TrackBoxes<'_>]) {
    boxed(out, b"ftyp", |out| {
        out.put_slice(b"iso6");
        out.put_u32(0);
        out.put_slice(b"iso6isommp41");
    });
    boxed(out, b"moov", |out| {
        full(out, b"mvhd", 0, 0, |out| {
            // creation and modification time, timescale, duration
            out.put_slice(&[0; 8]);
            out.put_u32(1000);
            out.put_u32(0);
            // rate 1.0, volume 1.0, reserved
            out.put_u32(0x1_0000);
            out.put_u16(0x100);
            out.put_slice(&[0; 10]);
            identity_matrix(out);
            out.put_slice(&[0; 24]);
            out.put_u32(tracks.iter().map(|track| track.id).max().unwrap_or(0) + 1);
        });
        for track in tracks {
            trak(out, track);
        }
        boxed(out, b"mvex", |out| {
            for track in tracks {
                full(out, b"trex", 0, 0, |out| {
                    out.put_u32(track.id);
                    // sample description 1; duration, size and flags are in each run
                    out.put_u32(1);
                    out.put_slice(&[0; 12]);
                });
            }
        });
    });
}

fn identity_matrix(out: &mut BytesMut) {
    for value in [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000] {
        out.put_u32(value);
    }
}

fn trak(out: &mut BytesMut, track: &TrackBoxes<'_>) {
    let size = match &track.description {
        Description::Avc { width, height, .. } => Some((*width, *height)),
        _ => None,
    };
    boxed(out, b"trak", |out| {
        const ENABLED_IN_MOVIE: u32 = 3;
        full(out, b"tkhd", 0, ENABLED_IN_MOVIE, |out| {
            out.put_slice(&[0; 8]);
            out.put_u32(track.id);
            // reserved, duration, reserved, layer, alternate group
            out.put_slice(&[0; 20]);
            out.put_u16(if size.is_some() { 0 } else { 0x100 });
            out.put_u16(0);
            identity_matrix(out);
            let (width, height) = size.unwrap_or((0, 0));
            out.put_u32(width << 16);
            out.put_u32(height << 16);
        });
        boxed(out, b"mdia", |out| {
            full(out, b"mdhd", 0, 0, |out| {
                out.put_slice(&[0; 8]);
                out.put_u32(track.timescale);
                out.put_u32(0);
                out.put_u16(packed_language(track.language));
                out.put_u16(0);
            });
            full(out, b"hdlr", 0, 0, |out| {
                out.put_u32(0);
                out.put_slice(if size.is_some() { b"vide" } else { b"soun" });
                out.put_slice(&[0; 12]);
                out.put_u8(0);
            });
            boxed(out, b"minf", |out| {
                match size {
                    Some(_) => full(out, b"vmhd", 0, 1, |out| out.put_slice(&[0; 8])),
                    None => full(out, b"smhd", 0, 0, |out| out.put_slice(&[0; 4])),
                }
                boxed(out, b"dinf", |out| {
                    full(out, b"dref", 0, 0, |out| {
                        const IN_THIS_FILE: u32 = 1;
                        out.put_u32(1);
                        full(out, b"url ", 0, IN_THIS_FILE, |_| {});
                    });
                });
                boxed(out, b"stbl", |out| {
                    full(out, b"stsd", 0, 0, |out| {
                        out.put_u32(1);
                        sample_entry(out, &track.description);
                    });
                    for table in [b"stts", b"stsc", b"stco"] {
                        full(out, table, 0, 0, |out| out.put_u32(0));
                    }
                    full(out, b"stsz", 0, 0, |out| out.put_u64(0));
                });
            });
        });
    });
}

fn packed_language(language: Option<&str>) -> u16 {
    let letters = language
        .and_then(|code| <[u8; 3]>::try_from(code.as_bytes()).ok())
        .filter(|code| code.iter().all(u8::is_ascii_lowercase))
        .unwrap_or(UNDETERMINED);
    letters
        .iter()
        .fold(0, |packed, letter| packed << 5 | u16::from(letter & 0x1f))
}

fn sample_entry(out: &mut BytesMut, description: &Description<'_>) {
    match description {
        Description::Avc {
            width,
            height,
            sps,
            pps,
        } => boxed(out, b"avc1", |out| {
            data_reference(out);
            out.put_slice(&[0; 16]);
            out.put_u16(u16::try_from(*width).unwrap_or(u16::MAX));
            out.put_u16(u16::try_from(*height).unwrap_or(u16::MAX));
            // 72 dpi twice, reserved, one frame per sample, no name, depth 24, no colour table
            out.put_u32(0x48_0000);
            out.put_u32(0x48_0000);
            out.put_u32(0);
            out.put_u16(1);
            out.put_slice(&[0; 32]);
            out.put_u16(24);
            out.put_i16(-1);
            boxed(out, b"avcC", |out| avcc(out, sps, pps));
        }),
        Description::Aac(params) => boxed(out, b"mp4a", |out| {
            audio_fields(out, params);
            full(out, b"esds", 0, 0, |out| esds(out, &params.config));
        }),
        Description::Opus(params) => boxed(out, b"Opus", |out| {
            audio_fields(out, params);
            boxed(out, b"dOps", |out| dops(out, params));
        }),
    }
}

/// reserved, data_reference_index
fn data_reference(out: &mut BytesMut) {
    out.put_slice(&[0; 6]);
    out.put_u16(1);
}

fn audio_fields(out: &mut BytesMut, params: &AudioParams) {
    data_reference(out);
    out.put_u64(0);
    out.put_u16(u16::from(params.channels));
    out.put_u16(16);
    out.put_u32(0);
    // 16.16: rates from 65,536 Hz on do not fit, and stand in the decoder's configuration only.
    out.put_u32(u16::try_from(params.sample_rate).map_or(0, |rate| u32::from(rate) << 16));
}

/// AVCDecoderConfigurationRecord with one set of each kind (ISO/IEC 14496-15, 5.3.3.1).
fn avcc(out: &mut BytesMut, sps: &[u8], pps: &[u8]) {
    out.put_u8(1);
    out.put_slice(sps.get(1..4).unwrap_or(&[0; 3]));
    // reserved bits, lengths of four bytes; reserved bits, one SPS
    out.put_u8(0xff);
    out.put_u8(0xe1);
    for set in [sps, pps] {
        out.put_u16(u16::try_from(set.len()).unwrap_or(u16::MAX));
        out.put_slice(set);
        if std::ptr::eq(set, sps) {
            out.put_u8(1);
        }
    }
}

/// The descriptors of an AAC stream (ISO/IEC 14496-1, 7.2.6).
fn esds(out: &mut BytesMut, config: &[u8]) {
    /// A descriptor whose length fits one byte, as all here do.
    fn descriptor(out: &mut BytesMut, tag: u8, fill: impl FnOnce(&mut BytesMut)) {
        out.put_u8(tag);
        let at = out.len();
        out.put_u8(0);
        fill(out);
        let length = out.len() - at - 1;
        if let Some(place) = out.get_mut(at) {
            *place = u8::try_from(length).unwrap_or(0x7f) & 0x7f;
        }
    }
    descriptor(out, 3, |out| {
        // ES_ID, flags
        out.put_slice(&[0; 3]);
        descriptor(out, 4, |out| {
            // AAC, an audio stream; buffer size, greatest and average bit rate unknown
            out.put_slice(&[0x40, 0x15]);
            out.put_slice(&[0; 11]);
            descriptor(out, 5, |out| out.put_slice(config));
        });
        descriptor(out, 6, |out| out.put_u8(2));
    });
}

/// OpusSpecificBox (Encapsulation of Opus in ISOBMFF, 4.3.2): an OpusHead with big-endian
/// numbers.
fn dops(out: &mut BytesMut, params: &AudioParams) {
    out.put_u8(0);
    let config = params.config.as_ref();
    match config {
        [_, channels, p0, p1, r0, r1, r2, r3, g0, g1, mapping @ ..] => {
            out.put_slice(&[*channels, *p1, *p0, *r3, *r2, *r1, *r0, *g1, *g0]);
            out.put_slice(mapping);
        }
        _ => {
            out.put_u8(params.channels);
            out.put_u16(OPUS_PRE_SKIP);
            out.put_u32(crate::audio::OPUS_SAMPLE_RATE);
            // no gain, mapping family 0
            out.put_slice(&[0; 3]);
        }
    }
}
