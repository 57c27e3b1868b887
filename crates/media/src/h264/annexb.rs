//! Byte streams of NAL units behind start codes (ITU-T H.264, Annex B).

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{NalKind, NalUnit};

/// Start code with the zero byte that goes before the first NAL unit of an access unit and
/// before parameter sets (B.1.2).
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

static PREFIX: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));

/// The NAL units of an Annex B byte stream, in order. What stands before the first start code is
/// passed over, as are empty units.
///
/// ```
/// use trickle_media::h264::annexb::nal_units;
/// let stream = [0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 0x88, 0];
/// let units: Vec<_> = nal_units(&stream).map(|unit| (unit.offset, unit.bytes)).collect();
/// assert_eq!(units, [(0, &[9, 0xf0][..]), (6, &[0x65, 0x88][..])]);
/// ```
pub fn nal_units(stream: &[u8]) -> NalUnits<'_> {
    nal_units_from(stream, 0)
}

/// Whether the access unit holds an IDR picture: decoding can begin there and forget all before it.
pub fn has_idr(unit: &[u8]) -> bool {
    nal_units(unit).any(|nal| nal.kind() == NalKind::IDR)
}

/// The NAL units whose start codes stand at or after `from`; offsets count from the stream's
/// start all the same.
pub(crate) fn nal_units_from(stream: &[u8], from: usize) -> NalUnits<'_> {
    NalUnits {
        stream,
        next: find_prefix(stream, from),
    }
}

/// Iterator over NAL units; see [`nal_units`].
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    stream: &'a [u8],
    // Where the next 0, 0, 1 stands.
    next: Option<usize>,
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = NalUnit<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let prefix = self.next?;
            let start = prefix + 3;
            self.next = find_prefix(self.stream, start);
            let end = self.next.unwrap_or(self.stream.len());
            let bytes = trim_zeros(self.stream.get(start..end)?);
            if !bytes.is_empty() {
                let leading = prefix > 0 && self.stream.get(prefix - 1) == Some(&0);
                return Some(NalUnit {
                    offset: prefix - usize::from(leading),
                    bytes,
                });
            }
        }
    }
}

/// Where the first 0, 0, 1 at or after `from` stands.
fn find_prefix(stream: &[u8], from: usize) -> Option<usize> {
    PREFIX.find(stream.get(from..)?).map(|at| from + at)
}

/// A NAL unit never ends in a zero byte (7.4.1): zeros at its end belong to the byte stream.
fn trim_zeros(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0);
    bytes
        .get(..end.map_or(0, |end| end + 1))
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "annexb_test.rs"]
mod tests;
