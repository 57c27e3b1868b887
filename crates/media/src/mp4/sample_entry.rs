//! What a track is coded in: the first entry of its `stsd` box.

use bytes::{BufMut, Bytes, BytesMut};

use super::Mp4Error;
use super::avc::NalConfig;
use super::boxes::{Fields, child, children};
use crate::access_unit::{Codec, MediaKind};
use crate::audio::aac_config::AudioSpecificConfig;
use crate::h264::sps::Sps;
use crate::stream::{AudioParams, StreamParams};

/// Bytes of a visual sample entry before its boxes (ISO/IEC 14496-12, 12.1.3).
const VISUAL_FIELDS: usize = 78;
/// Deepest nesting of descriptors in an `esds` box that means anything.
const MAX_DESCRIPTORS: usize = 8;

/// Coding of a track.
#[derive(Debug)]
pub(super) struct SampleEntry {
    pub(super) codec: Codec,
    pub(super) params: StreamParams,
    /// How samples of video are cut into NAL units.
    pub(super) nals: Option<NalConfig>,
}

impl SampleEntry {
    /// Reads `stsd`; `kind`: what the track is, where that is known.
    pub(super) fn parse(mut stsd: Fields<'_>, kind: Option<MediaKind>) -> Result<Self, Mp4Error> {
        // version and flags, entry_count
        stsd.take(8)?;
        let entry = children(stsd)
            .next()
            .ok_or(Mp4Error::malformed(stsd.kind, "it has no entry"))??;
        match &entry.kind.0 {
            b"avc1" | b"avc3" => Self::h264(entry),
            b"mp4a" | b"Opus" | b"ac-3" | b"ec-3" | b".mp3" => Self::audio(entry),
            b"hvc1" | b"hev1" => Self::hevc(entry),
            name => Ok(Self::opaque(match kind {
                Some(MediaKind::Video) => video_name(name),
                Some(MediaKind::Audio) => audio_name(name),
                _ => Codec::Other,
            })),
        }
    }

    /// A track that is listed but gives no units.
    fn opaque(codec: Codec) -> Self {
        Self {
            codec,
            params: StreamParams::Unknown,
            nals: None,
        }
    }

    /// Whether its samples are given out.
    pub(super) fn is_read(&self) -> bool {
        self.nals.is_some() || self.codec.kind() == MediaKind::Audio && self.codec.is_used()
    }

    fn hevc(mut entry: Fields<'_>) -> Result<Self, Mp4Error> {
        entry.take(VISUAL_FIELDS)?;
        let nals = NalConfig::parse_hevc(super::boxes::require(entry, b"hvcC")?)?;
        Ok(Self {
            codec: Codec::Hevc,
            params: nals
                .hevc_params()
                .map_or(StreamParams::Unknown, StreamParams::Video),
            nals: Some(nals),
        })
    }

    fn h264(mut entry: Fields<'_>) -> Result<Self, Mp4Error> {
        entry.take(VISUAL_FIELDS)?;
        let avcc = super::boxes::require(entry, b"avcC")?;
        let avc = NalConfig::parse(avcc)?;
        let params = avc
            .sps
            .as_ref()
            .and_then(|sps| Sps::parse(sps).ok())
            .map_or(StreamParams::Unknown, |sps| {
                StreamParams::Video(sps.video_params())
            });
        Ok(Self {
            codec: Codec::H264,
            params,
            nals: Some(avc),
        })
    }

    fn audio(mut entry: Fields<'_>) -> Result<Self, Mp4Error> {
        let format = entry.kind;
        // reserved, data_reference_index
        entry.take(8)?;
        // QuickTime's sound description has a version, and more fields from version 1 on.
        let version = entry.u16()?;
        entry.take(6)?;
        let channels = entry.u16()?;
        // samplesize, pre_defined, reserved
        entry.take(6)?;
        let sample_rate = entry.u32()? >> 16;
        entry.take(match version {
            1 => 16,
            2 => 36,
            _ => 0,
        })?;
        let mut params = AudioParams {
            codec: Codec::UNKNOWN_AUDIO,
            sample_rate,
            channels: u8::try_from(channels).unwrap_or(u8::MAX),
            config: Bytes::new(),
        };
        match &format.0 {
            b"Opus" => {
                let dops = super::boxes::require(entry, b"dOps")?;
                params = opus(dops)?;
            }
            b"ac-3" => params.codec = Codec::Ac3,
            b"ec-3" => params.codec = Codec::Eac3,
            b".mp3" => params.codec = Codec::Mpeg,
            _ => {
                // QuickTime wraps the box once more.
                let holder = child(entry, b"wave")?.unwrap_or(entry);
                let esds = super::boxes::require(holder, b"esds")?;
                mpeg4_audio(esds, &mut params)?;
            }
        }
        Ok(Self {
            codec: params.codec,
            params: StreamParams::Audio(params),
            nals: None,
        })
    }
}

/// Video that is named only, by its sample entry (<https://mp4ra.org>).
fn video_name(entry: &[u8; 4]) -> Codec {
    Codec::OtherVideo(match entry {
        b"av01" => "av1",
        b"vp09" => "vp9",
        b"vp08" => "vp8",
        b"mp4v" => "mpeg4",
        b"vvc1" | b"vvi1" => "vvc",
        b"vc-1" => "vc1",
        b"s263" | b"h263" | b"H263" => "h263",
        b"jpeg" | b"mjpa" | b"mjpb" => "mjpeg",
        b"ap4h" | b"ap4x" | b"apch" | b"apcn" | b"apcs" | b"apco" => "prores",
        b"AVdn" | b"AVdh" => "dnxhd",
        b"dvh1" | b"dvhe" | b"dva1" | b"dvav" => "dolby vision",
        b"encv" => "encrypted video",
        _ => return Codec::UNKNOWN_VIDEO,
    })
}

/// Audio that is named only.
fn audio_name(entry: &[u8; 4]) -> Codec {
    Codec::OtherAudio(match entry {
        b"fLaC" => "flac",
        b"alac" => "alac",
        b"dtsc" | b"dtse" | b"dtsh" | b"dtsl" => "dts",
        b"mlpa" => "truehd",
        b"ac-4" => "ac4",
        b"samr" => "amr_nb",
        b"sawb" => "amr_wb",
        b"lpcm" | b"sowt" | b"twos" | b"in24" | b"in32" | b"fl32" | b"fl64" | b"raw " | b"ipcm"
        | b"fpcm" => "pcm",
        b"alaw" | b"ulaw" => "g711",
        b"enca" => "encrypted audio",
        _ => return Codec::UNKNOWN_AUDIO,
    })
}

/// `dOps` (Encapsulation of Opus in ISOBMFF, 4.3.2), whose numbers are big-endian, as an OpusHead
/// where one is needed.
fn opus(mut dops: Fields<'_>) -> Result<AudioParams, Mp4Error> {
    let _version = dops.u8()?;
    let channels = dops.u8()?;
    let (pre_skip, rate) = (dops.u16()?, dops.u32()?);
    let gain = dops.u16()?;
    let family = dops.u8()?;
    let mut config = BytesMut::new();
    if family != 0 || gain != 0 {
        config.put_slice(&[1, channels]);
        config.put_u16_le(pre_skip);
        config.put_u32_le(rate);
        config.put_u16_le(gain);
        config.put_u8(family);
        config.put_slice(dops.rest());
    }
    Ok(AudioParams {
        codec: Codec::Opus,
        sample_rate: crate::audio::OPUS_SAMPLE_RATE,
        channels,
        config: config.freeze(),
    })
}

/// The codec of an `mp4a` entry, and AAC's configuration (ISO/IEC 14496-1, 7.2.6).
fn mpeg4_audio(mut esds: Fields<'_>, params: &mut AudioParams) -> Result<(), Mp4Error> {
    /// Tags of descriptors (table 1).
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;

    let kind = esds.kind;
    esds.version_and_flags()?;
    for _ in 0..MAX_DESCRIPTORS {
        if esds.rest().is_empty() {
            break;
        }
        let tag = esds.u8()?;
        let mut length = 0usize;
        for _ in 0..4 {
            let byte = esds.u8()?;
            length = length << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = Fields::new(kind, esds.take(length.min(esds.rest().len()))?);
        match tag {
            ES => {
                body.u16()?;
                let flags = body.u8()?;
                if flags & 0x80 != 0 {
                    body.u16()?;
                }
                if flags & 0x40 != 0 {
                    let url = body.u8()?;
                    body.take(usize::from(url))?;
                }
                if flags & 0x20 != 0 {
                    body.u16()?;
                }
                // What follows is inside this descriptor.
                esds = body;
            }
            DECODER_CONFIG => {
                params.codec = match body.u8()? {
                    0x40 | 0x66..=0x68 => Codec::Aac,
                    0x69 | 0x6b => Codec::Mpeg,
                    0xa5 => Codec::Ac3,
                    0xa6 => Codec::Eac3,
                    0xa9..=0xac => Codec::OtherAudio("dts"),
                    0xdd => Codec::OtherAudio("vorbis"),
                    _ => Codec::UNKNOWN_AUDIO,
                };
                // streamType, bufferSizeDB, maxBitrate, avgBitrate
                body.take(12)?;
                esds = body;
            }
            DECODER_SPECIFIC if params.codec == Codec::Aac => {
                params.config = Bytes::copy_from_slice(body.rest());
                if let Ok(config) = AudioSpecificConfig::parse(&params.config) {
                    params.sample_rate = config.extended_rate.unwrap_or(config.sample_rate);
                    params.channels = config.channels().unwrap_or(params.channels);
                }
                break;
            }
            _ => {}
        }
    }
    Ok(())
}
