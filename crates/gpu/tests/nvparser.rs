//! NVIDIA's own parser, which needs neither GPU nor driver, on our clips: it sees the sequences,
//! pictures and times that we do, and calls back as our decoder and the emulator take it to.
//!
//! `tools/check-nvparser` runs it where the library is, which is not free software: Debian's
//! `libnvcuvid1`, or the file that `TRICKLE_NVCUVID` names.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests may, like tests.

use std::ffi::{c_int, c_void};
use std::ptr;

use libloading::Library;
use nvidia_video_codec_sdk::sys::cuviddec::{CUVIDPICPARAMS, cudaVideoCodec};
use nvidia_video_codec_sdk::sys::nvcuvid::{
    CUVIDEOFORMAT, CUVIDPARSERDISPINFO, CUVIDPARSERPARAMS, CUVIDSOURCEDATAPACKET,
    CUvideopacketflags, CUvideoparser,
};
use trickle_media::h264::sps::Sps;
use trickle_media::h264::{NalKind, annexb};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{AccessUnit, Codec};
use trickle_testkit::clip_bytes;

/// What the parser called back with.
#[derive(Default)]
struct Seen {
    /// Columns and rows shown, and surfaces needed.
    sequences: Vec<(i32, i32, u8)>,
    /// Surfaces of pictures to be decoded.
    decoded: Vec<c_int>,
    /// Timestamps of pictures shown.
    shown: Vec<i64>,
    /// What the sequence callback answers; the surfaces where it is `None`.
    answer: Option<c_int>,
    /// Number of the picture whose decode callback fails.
    fails: Option<usize>,
    /// Sequences that are not progressive.
    interlaced: usize,
}

unsafe extern "C" fn on_sequence(user: *mut c_void, format: *mut CUVIDEOFORMAT) -> c_int {
    // SAFETY: the pointers given to the parser and by it.
    let (seen, format) = unsafe { (&mut *user.cast::<Seen>(), &*format) };
    let area = &format.display_area;
    let surfaces = format.min_num_decode_surfaces;
    seen.sequences
        .push((area.right - area.left, area.bottom - area.top, surfaces));
    seen.interlaced += usize::from(format.progressive_sequence == 0);
    seen.answer.unwrap_or_else(|| surfaces.into())
}

unsafe extern "C" fn on_decode(user: *mut c_void, params: *mut CUVIDPICPARAMS) -> c_int {
    // SAFETY: as above.
    let (seen, params) = unsafe { (&mut *user.cast::<Seen>(), &*params) };
    seen.decoded.push(params.CurrPicIdx);
    c_int::from(seen.fails != Some(seen.decoded.len() - 1))
}

unsafe extern "C" fn on_display(user: *mut c_void, shown: *mut CUVIDPARSERDISPINFO) -> c_int {
    // SAFETY: as above; null is the end of the stream.
    let (seen, shown) = unsafe { (&mut *user.cast::<Seen>(), shown.as_ref()) };
    seen.shown.extend(shown.map(|shown| shown.timestamp));
    1
}

/// NVIDIA's parser.
struct Parser {
    library: Library,
    handle: CUvideoparser,
    seen: Box<Seen>,
}

type Parse = unsafe extern "C" fn(CUvideoparser, *mut CUVIDSOURCEDATAPACKET) -> c_int;

impl Parser {
    /// As our decoder opens it.
    fn open(codec: cudaVideoCodec, answer: Option<c_int>) -> Self {
        let file = std::env::var("TRICKLE_NVCUVID").unwrap_or("libnvcuvid.so.1".into());
        // SAFETY: what the library runs on loading is its own.
        let library = unsafe { Library::new(&file) }
            .unwrap_or_else(|error| panic!("{file} cannot be opened: {error}"));
        let mut seen = Box::new(Seen {
            answer,
            ..Seen::default()
        });
        // SAFETY: integers, pointers, optional functions and an enum that has a zero.
        let mut params: CUVIDPARSERPARAMS = unsafe { std::mem::zeroed() };
        params.CodecType = codec;
        params.ulMaxNumDecodeSurfaces = 1;
        params.ulMaxDisplayDelay = 0;
        params.pUserData = ptr::from_mut(&mut *seen).cast();
        params.pfnSequenceCallback = Some(on_sequence);
        params.pfnDecodePicture = Some(on_decode);
        params.pfnDisplayPicture = Some(on_display);
        let mut handle = ptr::null_mut();
        type Create = unsafe extern "C" fn(*mut CUvideoparser, *mut CUVIDPARSERPARAMS) -> c_int;
        // SAFETY: the function's signature; everything is ours.
        let created = unsafe {
            let create = library.get::<Create>(b"cuvidCreateVideoParser").unwrap();
            create(&raw mut handle, &raw mut params)
        };
        assert_eq!(created, 0);
        Self {
            library,
            handle,
            seen,
        }
    }

    fn packet(&mut self, data: &[u8], timestamp: i64, flags: u64) -> c_int {
        let mut packet = CUVIDSOURCEDATAPACKET {
            flags: flags as _,
            payload_size: data.len() as _,
            payload: if data.is_empty() {
                ptr::null()
            } else {
                data.as_ptr()
            },
            timestamp,
        };
        // SAFETY: the function's signature; the bytes outlive the call.
        unsafe {
            let parse = self.library.get::<Parse>(b"cuvidParseVideoData").unwrap();
            parse(self.handle, &raw mut packet)
        }
    }

    /// One whole access unit, as our decoder gives it.
    fn unit(&mut self, data: &[u8], timestamp: i64) -> c_int {
        let flags = CUvideopacketflags::CUVID_PKT_TIMESTAMP as u64
            | CUvideopacketflags::CUVID_PKT_ENDOFPICTURE as u64;
        self.packet(data, timestamp, flags)
    }

    fn end(&mut self) {
        let ended = self.packet(&[], 0, CUvideopacketflags::CUVID_PKT_ENDOFSTREAM as u64);
        assert_eq!(ended, 0);
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        type Destroy = unsafe extern "C" fn(CUvideoparser) -> c_int;
        // SAFETY: the function's signature; opened by `open`.
        unsafe {
            let destroy = self.library.get::<Destroy>(b"cuvidDestroyVideoParser");
            destroy.unwrap()(self.handle);
        }
    }
}

fn units(clip: &str, codec: Codec) -> Vec<AccessUnit> {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&clip_bytes(clip), None);
    demuxer.finish();
    let mut units = Vec::new();
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Unit(unit) if unit.codec == codec => units.push(unit),
            _ => {}
        }
    }
    units
}

/// Parses a clip whole; how many pictures came out at the push of their own unit.
fn parse(clip: &str, codec: Codec) -> (Box<Seen>, usize) {
    let kind = match codec {
        Codec::Hevc => cudaVideoCodec::cudaVideoCodec_HEVC,
        _ => cudaVideoCodec::cudaVideoCodec_H264,
    };
    let mut parser = Parser::open(kind, None);
    let mut at_once = 0;
    let units = units(clip, codec);
    for unit in &units {
        assert_eq!(parser.unit(&unit.data, unit.pts.ticks), 0);
        at_once += usize::from(parser.seen.shown.last() == Some(&unit.pts.ticks));
    }
    parser.end();
    let mut expected: Vec<i64> = units.iter().map(|unit| unit.pts.ticks).collect();
    expected.sort_unstable();
    assert_eq!(
        parser.seen.shown, expected,
        "{clip}: every picture once, in order of display"
    );
    assert_eq!(parser.seen.decoded.len(), units.len(), "{clip}");
    (std::mem::take(&mut parser.seen), at_once)
}

/// Sizes of the sequences as our parser reads them.
fn sizes(clip: &str) -> Vec<(i32, i32)> {
    let mut sizes = Vec::new();
    for unit in units(clip, Codec::H264) {
        for nal in annexb::nal_units(&unit.data) {
            if nal.kind() == NalKind::SPS {
                let params = Sps::parse(nal.bytes).unwrap().video_params();
                sizes.push((params.width as i32, params.height as i32));
            }
        }
    }
    sizes.dedup();
    sizes
}

#[test]
#[ignore = "needs NVIDIA's libnvcuvid.so.1: tools/check-nvparser"]
fn sequences_pictures_and_times_of_h264_are_those_that_we_see() {
    for clip in [
        "ptswrap_180p30.ts",
        "bframes_360p30_high_aac.ts",
        "crop_854x482_videoonly.ts",
        "reschange_360p_to_240p.ts",
        "live_720p25_baseline_opus.ts",
        "portrait_360x640_aac44k_mono.ts",
    ] {
        let (seen, at_once) = parse(clip, Codec::H264);
        let shown: Vec<(i32, i32)> = seen.sequences.iter().map(|seen| (seen.0, seen.1)).collect();
        assert_eq!(shown, sizes(clip), "{clip}");
        assert!(
            seen.sequences.iter().all(|seen| (1..=17).contains(&seen.2)),
            "{clip}"
        );
        println!(
            "{clip}: {} of {} pictures at once",
            at_once,
            seen.shown.len()
        );
    }
}

#[test]
#[ignore = "needs NVIDIA's libnvcuvid.so.1: tools/check-nvparser"]
fn without_reordering_each_picture_comes_out_at_the_push_of_its_unit() {
    for clip in ["ptswrap_180p30.ts", "live_720p25_baseline_opus.ts"] {
        let (seen, at_once) = parse(clip, Codec::H264);
        assert_eq!(at_once, seen.shown.len(), "{clip}");
    }
}

#[test]
#[ignore = "needs NVIDIA's libnvcuvid.so.1: tools/check-nvparser"]
fn hevc_is_parsed_unit_by_unit() {
    let (seen, at_once) = parse("hevc_240p25.ts", Codec::Hevc);
    assert_eq!(seen.sequences.len(), 1);
    assert_eq!(seen.sequences[0].1, 240);
    println!("hevc: {} of {} pictures at once", at_once, seen.shown.len());
}

#[test]
#[ignore = "needs NVIDIA's libnvcuvid.so.1: tools/check-nvparser"]
fn neither_garbage_nor_a_refused_sequence_is_an_error_of_the_parser() {
    let mut parser = Parser::open(cudaVideoCodec::cudaVideoCodec_H264, Some(0));
    let garbage: Vec<u8> = (0..997u32).map(|at| ((at * 151) >> 3) as u8).collect();
    assert_eq!(parser.unit(&garbage, 7), 0);
    for unit in &units("ptswrap_180p30.ts", Codec::H264)[..5] {
        // The callback says no: that is why errors are kept beside.
        assert_eq!(parser.unit(&unit.data, unit.pts.ticks), 0);
    }
    assert!(!parser.seen.sequences.is_empty());
    parser.end();
}

#[test]
#[ignore = "needs NVIDIA's libnvcuvid.so.1: tools/check-nvparser"]
fn a_picture_that_the_decoder_refuses_is_not_shown() {
    let mut parser = Parser::open(cudaVideoCodec::cudaVideoCodec_H264, None);
    parser.seen.fails = Some(3);
    let units = &units("ptswrap_180p30.ts", Codec::H264)[..8];
    for unit in units {
        assert_eq!(parser.unit(&unit.data, unit.pts.ticks), 0);
    }
    parser.end();
    let mut expected: Vec<i64> = units.iter().map(|unit| unit.pts.ticks).collect();
    expected.remove(3);
    assert_eq!(parser.seen.shown, expected);
}

#[test]
#[ignore = "needs NVIDIA's libnvcuvid.so.1: tools/check-nvparser"]
fn after_the_end_of_a_stream_the_next_begins_with_its_sequence() {
    let h264 = cudaVideoCodec::cudaVideoCodec_H264;
    let hevc = cudaVideoCodec::cudaVideoCodec_HEVC;
    for (clip, codec, kind) in [
        ("ptswrap_180p30.ts", Codec::H264, h264),
        ("hevc_240p25.ts", Codec::Hevc, hevc),
    ] {
        let mut parser = Parser::open(kind, None);
        let units = &units(clip, codec)[..5];
        for begun in 1..=2 {
            for unit in units {
                assert_eq!(parser.unit(&unit.data, unit.pts.ticks), 0);
            }
            parser.end();
            assert_eq!(parser.seen.sequences.len(), begun, "{clip}");
            assert_eq!(parser.seen.shown.len(), begun * units.len(), "{clip}");
        }
    }
}

#[test]
#[ignore = "needs NVIDIA's libnvcuvid.so.1: tools/check-nvparser"]
fn pictures_before_an_open_groups_keyframe_are_left_out_at_the_start_only() {
    let units = units("h264_open_gop.ts", Codec::H264);
    let open = |unit: &AccessUnit| unit.keyframe && !annexb::has_idr(&unit.data);
    let start = units.iter().position(open).unwrap();
    let (began, group) = (units[start].pts.ticks, &units[start..start + 12]);
    let early = |shown: &[i64]| shown.iter().filter(|&&shown| shown < began).count();

    let mut parser = Parser::open(cudaVideoCodec::cudaVideoCodec_H264, None);
    for unit in group {
        parser.unit(&unit.data, unit.pts.ticks);
    }
    parser.end();
    assert_eq!(early(&parser.seen.shown), 0);

    // After a gap they are decoded from what is not there: why our decoder leaves them out itself.
    let mut parser = Parser::open(cudaVideoCodec::cudaVideoCodec_H264, None);
    for unit in units[..6].iter().chain(group) {
        parser.unit(&unit.data, unit.pts.ticks);
    }
    parser.end();
    assert_eq!(early(&parser.seen.shown), 6 + 2);
}

#[test]
#[ignore = "needs NVIDIA's libnvcuvid.so.1: tools/check-nvparser"]
fn interlaced_pictures_are_shown_once_at_the_time_of_their_unit() {
    for clip in ["interlaced_576i.ts", "h264_mbaff_bframes.ts"] {
        let (seen, _) = parse(clip, Codec::H264);
        assert_eq!((seen.sequences.len(), seen.interlaced), (1, 1), "{clip}");
    }
}
