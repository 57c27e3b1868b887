//! PSI: sections over any packets, tables of FFmpeg, round trips, damage.

use proptest::prelude::*;

use super::*;
use crate::access_unit::Codec;

/// PMT of FFmpeg for H.264 and Opus stereo.
const FFMPEG_PMT: &str =
    "02b0270001c10000e100f0001be100f00006e101f01005044f7075737f0280020a04756e6400";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn with_crc(mut section: Vec<u8>) -> Vec<u8> {
    section.extend(crc32(&section).to_be_bytes());
    section
}

type Sections = Vec<Result<Vec<u8>, PsiError>>;

fn push(assembler: &mut SectionAssembler, start: bool, payload: &[u8]) -> Sections {
    let mut sections = Vec::new();
    assembler.push(start, payload, |section| {
        sections.push(section.map(<[u8]>::to_vec));
    });
    sections
}

#[test]
fn streams_of_a_program_with_opus() {
    let pmt = parse_pmt(&with_crc(hex(FFMPEG_PMT))).unwrap();
    assert_eq!(pmt.program, 1);
    assert_eq!(pmt.pcr_pid, Pid(0x100));
    let codecs: Vec<_> = pmt.streams.iter().map(|s| (s.pid.0, s.codec())).collect();
    assert_eq!(codecs, [(0x100, Codec::H264), (0x101, Codec::Opus)]);
    assert_eq!(pmt.streams[1].opus_channel_code(), Some(2));
    assert_eq!(pmt.streams[1].language().as_deref(), Some("und"));
}

#[test]
fn private_data_is_told_by_its_descriptors() {
    let codec = |descriptors: &[u8]| {
        PmtStream {
            stream_type: StreamType::PRIVATE_DATA,
            pid: Pid(0x100),
            descriptors: descriptors.to_vec(),
        }
        .codec()
    };
    assert_eq!(codec(&registration_descriptor(*b"HEVC")), Codec::Hevc);
    assert_eq!(codec(&registration_descriptor(*b"AC-3")), Codec::Ac3);
    assert_eq!(codec(&[0x7a, 1, 0]), Codec::Eac3);
    assert_eq!(codec(&[0x59, 1, 0]), Codec::Subtitles);
    // A descriptor longer than the list is passed over.
    assert_eq!(codec(&[0x05, 9, b'O']), Codec::Other);
}

#[test]
fn tables_written_here_are_read_here() {
    let streams = vec![
        PmtStream {
            stream_type: StreamType::H264,
            pid: Pid(0x100),
            descriptors: Vec::new(),
        },
        PmtStream {
            stream_type: StreamType::PRIVATE_DATA,
            pid: Pid(0x101),
            descriptors: opus_descriptors(2),
        },
    ];
    let pmt = parse_pmt(&write_pmt(0, Pid(0x100), &streams)).unwrap();
    assert_eq!(pmt.streams, streams);
    let programs = parse_pat(&write_pat(Pid(0x1000))).unwrap();
    assert_eq!(
        programs,
        [Program {
            number: 1,
            pmt: Pid(0x1000)
        }]
    );
    for section in [
        write_pat(Pid(0x1000)),
        write_pmt(0, Pid(0x100), &streams),
        write_sdt("ü"),
    ] {
        assert_eq!(crc32(&section), 0);
    }
}

#[test]
fn a_table_that_is_not_valid_yet_is_not_used() {
    let mut section = hex(FFMPEG_PMT);
    section[5] &= !1;
    assert_eq!(parse_pmt(&with_crc(section)), None);
}

#[test]
fn several_sections_in_one_packet() {
    let pat = write_pat(Pid(0x1000));
    let mut payload = vec![0];
    payload.extend(&pat);
    payload.extend(&pat);
    payload.resize(184, 0xff);
    let sections = push(&mut SectionAssembler::default(), true, &payload);
    assert_eq!(sections, [Ok(pat.clone()), Ok(pat)]);
}

#[test]
fn damage_is_named_and_passed_over() {
    let mut assembler = SectionAssembler::default();
    assert_eq!(
        push(&mut assembler, true, &[200, 0]),
        [Err(PsiError::Pointer(200))]
    );
    let mut damaged = write_pat(Pid(0x1000));
    damaged[9] ^= 1;
    damaged.insert(0, 0);
    assert_eq!(
        push(&mut assembler, true, &damaged),
        [Err(PsiError::Crc { table: 0 })]
    );
    assert_eq!(
        push(&mut assembler, true, &[0, 2, 0xb0, 3, 1, 1, 1, 1]),
        [Err(PsiError::Length {
            table: 2,
            length: 6
        })]
    );
    assert_eq!(
        push(&mut assembler, true, &[0, 2, 0xbf, 0xff]),
        [Err(PsiError::Length {
            table: 2,
            length: 4098
        })]
    );
    // A continuation without a start is nobody's.
    assert_eq!(push(&mut assembler, false, &[1, 2, 3]), []);
}

proptest! {
    #[test]
    fn a_section_survives_any_split(cuts in prop::collection::vec(1usize..30, 1..40)) {
        let streams: Vec<_> = (0..20).map(|at| PmtStream {
            stream_type: StreamType::H264,
            pid: Pid(0x100 + at),
            descriptors: vec![0x0a, 4, b'd', b'e', b'u', 0],
        }).collect();
        let pmt = write_pmt(0, Pid(0x100), &streams);
        let mut payload = vec![0];
        payload.extend(&pmt);
        let mut assembler = SectionAssembler::default();
        let mut got = Vec::new();
        let (mut at, mut cuts) = (0, cuts.iter().cycle());
        while at < payload.len() {
            let end = (at + cuts.next().unwrap()).min(payload.len());
            got.extend(push(&mut assembler, at == 0, &payload[at..end]));
            at = end;
        }
        prop_assert_eq!(got, [Ok(pmt)]);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        payloads in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..184)), 0..8),
    ) {
        let mut assembler = SectionAssembler::default();
        for (start, payload) in payloads {
            let _ = parse_pmt(&with_crc(payload.clone()));
            let _ = parse_pat(&with_crc(payload.clone()));
            push(&mut assembler, start, &payload);
        }
    }
}
