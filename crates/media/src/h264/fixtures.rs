//! Bitstreams made for tests: parameter sets and slice headers with chosen fields.

use super::annexb::START_CODE;

/// Writes bits from the most significant one on, then emulation prevention bytes.
#[derive(Default)]
pub(crate) struct BitWriter {
    bits: Vec<bool>,
}

impl BitWriter {
    pub(crate) fn bits(&mut self, count: u32, value: u32) -> &mut Self {
        self.bits
            .extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    pub(crate) fn ue(&mut self, value: u32) -> &mut Self {
        let code = value + 1;
        let length = 32 - code.leading_zeros();
        self.bits(length - 1, 0).bits(length, code)
    }

    /// A NAL unit with this header byte: stop bit, alignment and emulation prevention added.
    pub(crate) fn nal(&mut self, header: u8) -> Vec<u8> {
        self.bits(1, 1);
        let mut nal = vec![header];
        let mut zeros = 0;
        for bits in self.bits.chunks(8) {
            let byte = (0..8).fold(0u8, |byte, bit| {
                byte << 1 | u8::from(bits.get(bit).copied().unwrap_or(false))
            });
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }
}

/// A baseline sequence parameter set of `16 · mbs` × `16 · mbs`, order count type 0 with 8 bits,
/// `frame_num` of 8 bits. Fields are allowed where `interlaced`.
pub(crate) fn sps(id: u32, mbs: u32, interlaced: bool) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.bits(8, 77).bits(8, 0).bits(8, 31).ue(id);
    bits.ue(4).ue(0).ue(4);
    bits.ue(1).bits(1, 0).ue(mbs - 1);
    let units = if interlaced { mbs / 2 } else { mbs };
    bits.ue(units - 1).bits(1, u32::from(!interlaced));
    if interlaced {
        bits.bits(1, 0);
    }
    bits.bits(1, 1).bits(1, 0).bits(1, 0);
    bits.nal(0x67)
}

/// A picture parameter set.
pub(crate) fn pps(id: u32, sps_id: u32) -> Vec<u8> {
    BitWriter::default().ue(id).ue(sps_id).bits(2, 0).nal(0x68)
}

/// A slice of a stream with the sets above.
#[derive(Clone, Copy, Default)]
pub(crate) struct Slice {
    pub(crate) idr: bool,
    /// It is an I slice although it is not of an IDR picture.
    pub(crate) intra: bool,
    pub(crate) unreferenced: bool,
    pub(crate) first_mb: u32,
    pub(crate) pps: u32,
    pub(crate) frame_num: u32,
    /// `None`: the stream has no fields. Else whether this is a frame, or which field.
    pub(crate) field: Option<Field>,
    pub(crate) order: u32,
}

#[derive(Clone, Copy)]
pub(crate) enum Field {
    Frame,
    Top,
    Bottom,
}

impl Slice {
    pub(crate) fn nal(self) -> Vec<u8> {
        let mut bits = BitWriter::default();
        bits.ue(self.first_mb)
            .ue(if self.idr || self.intra { 7 } else { 5 });
        bits.ue(self.pps).bits(8, self.frame_num);
        match self.field {
            None => &mut bits,
            Some(Field::Frame) => bits.bits(1, 0),
            Some(Field::Top) => bits.bits(2, 0b10),
            Some(Field::Bottom) => bits.bits(2, 0b11),
        };
        if self.idr {
            bits.ue(0);
        }
        bits.bits(8, self.order);
        // Stands for the macroblocks.
        bits.bits(32, 0xa5a5_a5a5).bits(32, 0x5a5a_5a5a);
        let ref_idc = if self.unreferenced { 0 } else { 0x60 };
        bits.nal(ref_idc | if self.idr { 5 } else { 1 })
    }
}

/// An access unit delimiter.
pub(crate) const AUD: [u8; 2] = [9, 0xf0];

/// An Annex B byte stream.
pub(crate) fn annexb<N: AsRef<[u8]>>(nals: impl IntoIterator<Item = N>) -> Vec<u8> {
    let mut stream = Vec::new();
    for nal in nals {
        stream.extend_from_slice(&START_CODE);
        stream.extend_from_slice(nal.as_ref());
    }
    stream
}
