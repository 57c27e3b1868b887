//! H.264 in MP4 (ISO/IEC 14496-15, 5.3.3): the `avcC` box, and samples to Annex B.

use bytes::{BufMut, Bytes, BytesMut};

use super::Mp4Error;
use super::boxes::Fields;
use crate::h264::NalKind;
use crate::h264::annexb::START_CODE;

/// AVCDecoderConfigurationRecord.
#[derive(Clone, Debug)]
pub(super) struct AvcConfig {
    /// Bytes of the length in front of each NAL unit: 1, 2 or 4.
    length_size: usize,
    /// The first sequence parameter set, without a start code.
    pub(super) sps: Option<Bytes>,
    /// All parameter sets in Annex B.
    sets: Bytes,
}

/// One sample as an Annex B access unit.
pub(super) struct AnnexB {
    pub(super) data: Bytes,
    /// It holds an IDR picture.
    pub(super) idr: bool,
    /// Its last NAL unit was cut.
    pub(super) damaged: bool,
}

impl AvcConfig {
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
            length_size,
            sps,
            sets: sets.freeze(),
        })
    }

    /// Puts start codes in place of lengths, and the parameter sets before an IDR picture that
    /// does not bring its own. `None` when there is no NAL unit in the sample.
    pub(super) fn annexb(&self, sample: &[u8]) -> Option<AnnexB> {
        let (nals, damaged) = self.split(sample);
        let kind = |nal: &&[u8]| NalKind(nal.first().copied().unwrap_or(0) & 0x1f);
        let has = |wanted: NalKind| nals.iter().any(|nal| kind(nal) == wanted);
        let idr = has(NalKind::IDR);
        let insert = idr && !has(NalKind::SPS);
        let length: usize = nals.iter().map(|nal| START_CODE.len() + nal.len()).sum();
        let mut data = BytesMut::with_capacity(length + if insert { self.sets.len() } else { 0 });
        // A delimiter stays first in its access unit (ITU-T H.264, 7.4.1.2.3).
        let delimiters = nals
            .iter()
            .take_while(|nal| kind(nal) == NalKind::AUD)
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
