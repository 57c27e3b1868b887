//! Any bytes are read as packets, PES headers, sections and tables without panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trickle_media::ts::crc::crc32;
use trickle_media::ts::packet::Packet;
use trickle_media::ts::pes::PesHeader;
use trickle_media::ts::psi::{SectionAssembler, parse_pat, parse_pmt};

fuzz_target!(|data: &[u8]| {
    if let Some(packet) = data.first_chunk() {
        let _ = Packet::parse(packet);
    }
    let _ = PesHeader::parse(data);
    let mut sections = SectionAssembler::default();
    for payload in data.chunks(184) {
        sections.push(payload.first().is_some_and(|byte| byte % 2 == 0), payload, |section| {
            if let Ok(section) = section {
                let _ = (parse_pat(section), parse_pmt(section));
            }
        });
    }
    // With a CRC that is right.
    let mut section = data.to_vec();
    section.extend(crc32(data).to_be_bytes());
    if let Some(pmt) = parse_pmt(&section) {
        for stream in pmt.streams {
            let _ = (stream.codec(), stream.language(), stream.opus_channel_code());
        }
    }
    let _ = parse_pat(&section);
});
