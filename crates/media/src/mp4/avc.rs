//! H.264 and H.265 in MP4 (ISO/IEC 14496-15, 5.3.3 and 8.3.3): the boxes `avcC` and `hvcC`, and
//! samples to Annex B.

use bytes::{BufMut, Bytes, BytesMut};

use super::Mp4Error;
use super::boxes::Fields;
use crate::h264::annexb::START_CODE;
use crate::h264::{AccessUnitDetector, NalKind, NalUnit};
use crate::hevc;
use crate::stream::VideoParams;

/// AVCDecoderConfigurationRecord, or HEVCDecoderConfigurationRecord.
#[derive(Clone, Debug)]
pub(super) struct NalConfig {
    /// It is H.265.
    hevc: bool,
    /// Bytes of the length in front of each NAL unit: 1, 2 or 4.
    length_size: usize,
    /// The first sequence parameter set, without a start code.
    pub(super) sps: Option<Bytes>,
    /// All parameter sets in Annex B.
    sets: Bytes,
}

/// What a NAL unit is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    RandomAccess,
    Sps,
    Delimiter,
    Other,
}

/// One sample as an Annex B access unit.
pub(super) struct AnnexB {
    pub(super) data: Bytes,
    /// It holds a picture that decoding can start with.
    pub(super) idr: bool,
    /// Its last NAL unit was cut.
    pub(super) damaged: bool,
}

impl NalConfig {
    /// `hvcC`.
    pub(super) fn parse_hevc(mut hvcc: Fields<'_>) -> Result<Self, Mp4Error> {
        if hvcc.u8()? != 1 {
            return Err(Mp4Error::malformed(hvcc.kind, "its version is not 1"));
        }
        // Profile, level, formats and rates, which the SPS repeats.
        hvcc.take(20)?;
        let length_size = usize::from(hvcc.u8()? & 3) + 1;
        let mut sets = BytesMut::new();
        for _ in 0..hvcc.u8()? {
            // Type of the NAL units of this array.
            hvcc.u8()?;
            for _ in 0..hvcc.u16()? {
                let length = hvcc.u16()?;
                sets.put_slice(&START_CODE);
                sets.put_slice(hvcc.take(usize::from(length))?);
            }
        }
        Ok(Self {
            hevc: true,
            length_size,
            sps: None,
            sets: sets.freeze(),
        })
    }

    /// Parameters of an H.265 stream.
    pub(super) fn hevc_params(&self) -> Option<VideoParams> {
        hevc::video_params(&self.sets)
    }

    /// `avcC`.
    pub(super) fn parse(mut avcc: Fields<'_>) -> Result<Self, Mp4Error> {
        // configurationVersion, then profile, constraints and level, which the SPS repeats.
        if avcc.u8()? != 1 {
            return Err(Mp4Error::malformed(avcc.kind, "its version is not 1"));
        }
        avcc.take(3)?;
        let length_size = usize::from(avcc.u8()? & 3) + 1;
        if length_size == 3 {
            return Err(Mp4Error::malformed(
                avcc.kind,
                "NAL unit lengths of 3 bytes",
            ));
        }
        let mut sets = BytesMut::new();
        let mut sps = None;
        for count_mask in [0x1f, 0xff] {
            let count = avcc.u8()? & count_mask;
            for _ in 0..count {
                let length = avcc.u16()?;
                let set = avcc.take(usize::from(length))?;
                if sps.is_none() && !set.is_empty() {
                    sps = Some(Bytes::copy_from_slice(set));
                }
                sets.put_slice(&START_CODE);
                sets.put_slice(set);
            }
        }
        Ok(Self {
            hevc: false,
            length_size,
            sps,
            sets: sets.freeze(),
        })
    }

    /// Puts start codes in place of lengths, and the parameter sets before a picture that decoding
    /// can start with and that does not bring its own. `None` when there is no NAL unit in the sample.
    pub(super) fn annexb(&self, sample: &[u8]) -> Option<AnnexB> {
        let (nals, damaged) = self.split(sample);
        let role = |nal: &&[u8]| self.role(nal);
        let has = |wanted: Role| nals.iter().any(|nal| role(nal) == wanted);
        let idr = has(Role::RandomAccess) || self.is_recovery_point(&nals);
        let insert = idr && !has(Role::Sps);
        let length: usize = nals.iter().map(|nal| START_CODE.len() + nal.len()).sum();
        let mut data = BytesMut::with_capacity(length + if insert { self.sets.len() } else { 0 });
        // A delimiter stays first in its access unit (ITU-T H.264, 7.4.1.2.3).
        let delimiters = nals
            .iter()
            .take_while(|nal| role(nal) == Role::Delimiter)
            .count();
        for (index, nal) in nals.iter().enumerate() {
            if insert && index == delimiters {
                data.put_slice(&self.sets);
            }
            data.put_slice(&START_CODE);
            data.put_slice(nal);
        }
        (!data.is_empty()).then(|| AnnexB {
            data: data.freeze(),
            idr,
            damaged,
        })
    }

    /// Whether it is an H.264 picture of an open group of pictures that decoding can start with.
    fn is_recovery_point(&self, nals: &[&[u8]]) -> bool {
        let sei = |nal: &&[u8]| NalKind(nal.first().copied().unwrap_or(0) & 0x1f) == NalKind::SEI;
        if self.hevc || !nals.iter().any(sei) {
            return false;
        }
        let mut detector = AccessUnitDetector::new();
        for bytes in nals {
            // What a slice is can be read without parameter sets.
            let _ = detector.push(NalUnit { offset: 0, bytes });
        }
        detector.unit().is_random_access()
    }

    fn role(&self, nal: &[u8]) -> Role {
        if self.hevc {
            return match hevc::kind(nal) {
                Some(16..=23) => Role::RandomAccess,
                Some(33) => Role::Sps,
                Some(35) => Role::Delimiter,
                _ => Role::Other,
            };
        }
        match NalKind(nal.first().copied().unwrap_or(0) & 0x1f) {
            NalKind::IDR => Role::RandomAccess,
            NalKind::SPS => Role::Sps,
            NalKind::AUD => Role::Delimiter,
            _ => Role::Other,
        }
    }

    /// The NAL units of a sample, and whether the last was cut.
    fn split<'a>(&self, sample: &'a [u8]) -> (Vec<&'a [u8]>, bool) {
        let (mut nals, mut rest) = (Vec::new(), sample);
        while !rest.is_empty() {
            let Some((prefix, after)) = rest.split_at_checked(self.length_size) else {
                return (nals, true);
            };
            let length = prefix
                .iter()
                .fold(0usize, |length, byte| length << 8 | usize::from(*byte));
            let Some((nal, after)) = after.split_at_checked(length) else {
                return (nals, true);
            };
            if !nal.is_empty() {
                nals.push(nal);
            }
            rest = after;
        }
        (nals, false)
    }
}
