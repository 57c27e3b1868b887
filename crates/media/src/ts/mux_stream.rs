//! One elementary stream of the output: its entry in the PMT, and what goes in front of its units.

use bytes::{BufMut, BytesMut};

use super::mux::MuxError;
use super::packet::Pid;
use super::pes::StreamId;
use super::psi::{self, PmtStream, StreamType};
use crate::access_unit::{AccessUnit, Codec, TrackId};
use crate::audio::aac_config::AudioSpecificConfig;
use crate::audio::adts::AdtsHeader;
use crate::audio::opus::{self, ControlHeader};
use crate::h264::annexb::nal_units;
use crate::h264::{NalKind, NalUnit, ParameterSets};
use crate::stream::{StreamInfo, StreamParams};

/// Access unit delimiter that allows for any slice type.
pub(super) const DELIMITER: [u8; 6] = [0, 0, 0, 1, 9, 0xf0];

/// An elementary stream being written.
#[derive(Debug)]
pub(super) struct MuxStream {
    pub(super) track: TrackId,
    pub(super) codec: Codec,
    pub(super) entry: PmtStream,
    pub(super) id: StreamId,
    pub(super) continuity: u8,
    pub(super) framing: Framing,
}

/// What goes in front of a unit's own bytes.
#[derive(Clone, Debug)]
pub(super) enum Framing {
    Plain,
    H264(Box<ParameterSets>),
    Adts(AdtsHeader),
    Opus,
}

impl MuxStream {
    pub(super) fn new(info: &StreamInfo, pid: Pid) -> Result<Self, MuxError> {
        let track = info.track;
        let params = |reason: String| MuxError::Params { track, reason };
        let audio = match &info.params {
            StreamParams::Audio(audio) => Some(audio),
            _ => None,
        };
        let mut descriptors = Vec::new();
        let (stream_type, id, framing) = match info.codec {
            Codec::H264 => (
                StreamType::H264,
                StreamId::VIDEO,
                Framing::H264(Box::default()),
            ),
            Codec::Hevc => (StreamType::HEVC, StreamId::VIDEO, Framing::Plain),
            Codec::Aac => {
                let audio = audio.ok_or_else(|| params("AAC needs its configuration".into()))?;
                let config = AudioSpecificConfig::parse(&audio.config)
                    .map_err(|error| params(error.to_string()))?;
                let header = AdtsHeader::of_config(&config)
                    .map_err(|error| MuxError::Adts { track, error })?;
                (StreamType::AAC_ADTS, StreamId::AUDIO, Framing::Adts(header))
            }
            Codec::Opus => {
                let audio = audio.ok_or_else(|| params("Opus needs its channels".into()))?;
                let code =
                    opus::code_of_params(audio).map_err(|error| params(error.to_string()))?;
                descriptors.extend(psi::opus_descriptors(code));
                (StreamType::PRIVATE_DATA, StreamId::PRIVATE_1, Framing::Opus)
            }
            Codec::Mpeg => (StreamType::MPEG1_AUDIO, StreamId::AUDIO, Framing::Plain),
            Codec::Ac3 => {
                descriptors.extend(psi::registration_descriptor(*b"AC-3"));
                (StreamType::AC3, StreamId::PRIVATE_1, Framing::Plain)
            }
            Codec::Eac3 => {
                descriptors.extend(psi::registration_descriptor(*b"EAC3"));
                (StreamType::EAC3, StreamId::PRIVATE_1, Framing::Plain)
            }
            codec => return Err(MuxError::Codec { track, codec }),
        };
        if let Some(language) = &info.language {
            descriptors.extend(psi::language_descriptor(language));
        }
        Ok(Self {
            track,
            codec: info.codec,
            entry: PmtStream {
                stream_type,
                pid,
                descriptors,
            },
            id,
            continuity: 0,
            framing,
        })
    }

    /// Takes other parameters, if its entry in the PMT stays as it is.
    pub(super) fn set_params(&mut self, info: &StreamInfo) -> Result<bool, MuxError> {
        let next = Self::new(info, self.entry.pid)?;
        let same = next.codec == self.codec && next.entry == self.entry;
        if same && self.codec != Codec::H264 {
            self.framing = next.framing;
        }
        Ok(same)
    }

    /// Writes what goes in front of the unit's own bytes; returns how many of those it replaces.
    pub(super) fn write_prefix(
        &mut self,
        unit: &AccessUnit,
        out: &mut BytesMut,
    ) -> Result<usize, MuxError> {
        match &mut self.framing {
            Framing::Plain => Ok(0),
            Framing::H264(sets) => {
                let delimiter = delimiter_len(&unit.data);
                let sets = if unit.keyframe {
                    missing_sets(sets, &unit.data)
                } else {
                    Vec::new()
                };
                if delimiter > 0 && sets.is_empty() {
                    return Ok(0);
                }
                out.put_slice(&DELIMITER);
                out.put_slice(&sets);
                Ok(delimiter)
            }
            Framing::Adts(header) => {
                let written = header.write(unit.data.len(), out);
                written.map_err(|error| MuxError::Adts {
                    track: self.track,
                    error,
                })?;
                Ok(0)
            }
            Framing::Opus => {
                ControlHeader::write(unit.data.len(), out);
                Ok(0)
            }
        }
    }
}

/// Bytes of the access unit delimiter that a byte stream begins with; 0 when it begins otherwise.
fn delimiter_len(data: &[u8]) -> usize {
    let zeros = data.iter().take_while(|&&byte| byte == 0).count();
    match data.get(zeros..) {
        Some([1, header, _, ..]) if zeros >= 2 && NalKind(header & 0x1f) == NalKind::AUD => {
            zeros + 3
        }
        _ => 0,
    }
}

/// The parameter sets that a keyframe lacks, of those that earlier ones brought.
fn missing_sets(known: &mut ParameterSets, data: &[u8]) -> Vec<u8> {
    let (mut sps, mut pps) = (false, false);
    let header = |nal: &NalUnit<'_>| !nal.kind().is_slice();
    for nal in nal_units(data).take_while(header) {
        sps |= nal.kind() == NalKind::SPS;
        pps |= nal.kind() == NalKind::PPS;
        // One that cannot be read goes out as it came, and is not kept.
        let _ = known.insert(nal);
    }
    if sps && pps {
        Vec::new()
    } else {
        known.to_annexb()
    }
}
