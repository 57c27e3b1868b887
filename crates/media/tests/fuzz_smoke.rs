//! The fuzz targets over parts of the clips and a thousand mutations of each.
#![allow(clippy::unwrap_used)]

use trickle_testkit::{clip, clip_bytes};

mod fuzz_drivers;

/// Mutations of each seed.
const MUTATIONS: usize = 1_000;

/// Packets of a clip that a seed has: enough for tables and some pictures.
const PACKETS: usize = 60;

fn run(seeds: impl IntoIterator<Item = Vec<u8>>, drive: fn(&[u8])) {
    let mut random = 1u64;
    let mut draw = move |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below.max(1)
    };
    for seed in seeds {
        drive(&seed);
        for _ in 0..MUTATIONS {
            let mut mutated = seed.clone();
            for _ in 0..=draw(8) {
                let at = draw(mutated.len());
                match draw(5) {
                    0 if !mutated.is_empty() => {
                        mutated.remove(at);
                    }
                    1 => mutated.insert(at, draw(256) as u8),
                    2 => mutated.truncate(at.max(16)),
                    3 => {
                        let part = mutated[at..].to_vec();
                        mutated.extend_from_slice(&part[..part.len().min(400)]);
                    }
                    _ if !mutated.is_empty() => mutated[at] = draw(256) as u8,
                    _ => {}
                }
            }
            drive(&mutated);
        }
    }
}

/// The beginning of a clip, behind a byte for the size of the pieces.
fn head(name: &str) -> Vec<u8> {
    let stream = clip_bytes(name);
    [&[90], &stream[..stream.len().min(188 * PACKETS)]].concat()
}

#[test]
fn demux() {
    let clips = [
        "aac_latm.ts",
        "audioonly_opus.ts",
        "bframes_360p30_high_aac.ts",
        "damaged_garbage_inside.ts",
        "hevc_240p25.ts",
        "interlaced_576i.ts",
    ];
    run(clips.map(head), fuzz_drivers::demux);
    // With a time in front of each packet.
    let spaced: Vec<u8> = clip_bytes("audioonly_opus.ts")
        .chunks(188)
        .take(PACKETS)
        .flat_map(|packet| [&[0; 4], packet].concat())
        .collect();
    run([spaced], fuzz_drivers::demux);
}

#[test]
fn tables() {
    let packets = |name| {
        let stream = clip_bytes(name);
        let sections = stream
            .chunks(188)
            .take(4)
            .map(|packet| packet[5..].to_vec());
        sections.collect::<Vec<_>>()
    };
    run(packets("bframes_360p30_high_aac.ts"), fuzz_drivers::tables);
    run(packets("audioonly_opus.ts"), fuzz_drivers::tables);
}

#[test]
fn h264() {
    // Slices stand where packets put them, which is as good a byte stream as any.
    let stream = |name| clip_bytes(name)[188 * 3..188 * 20].to_vec();
    let clips = [
        "interlaced_576i.ts",
        "h264_high422_8.ts",
        "reschange_360p_to_240p.ts",
    ];
    run(clips.map(stream), fuzz_drivers::h264);
}

#[test]
fn hevc() {
    let stream = |name| clip_bytes(name)[188 * 2..188 * 6].to_vec();
    let clips = ["hevc_240p25.ts", "hevc_main10.ts"];
    run(clips.map(stream), fuzz_drivers::hevc);
    // Payloads of sequence parameter sets alone.
    let sets = clips.map(|name| {
        let stream = clip_bytes(name);
        let at = stream
            .windows(5)
            .position(|bytes| bytes == [0, 0, 1, 0x42, 1]);
        stream[at.unwrap() + 5..][..60].to_vec()
    });
    run(sets, fuzz_drivers::hevc);
}

#[test]
fn audio() {
    let tones = |name: &str| {
        let file = std::fs::read(clip(&format!("../audio/{name}"))).unwrap();
        file[..600].to_vec()
    };
    run(
        ["tones_5.1.aac", "tones_7.1.aac"].map(tones),
        fuzz_drivers::audio,
    );
    let latm = clip_bytes("aac_latm.ts");
    let payload = latm
        .chunks(188)
        .skip(3)
        .take(3)
        .flat_map(|packet| packet[18..].to_vec());
    let opus_head = vec![
        1, 6, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5,
    ];
    let dolby = vec![0x0b, 0x77, 0x0d, 0xce, 0x5e, 0x40, 0xeb, 0xf8];
    run([payload.collect(), opus_head, dolby], fuzz_drivers::audio);
}

#[test]
fn mp4() {
    // Their media is cut off: boxes are what is read.
    let boxes = |name: &str| {
        let file = std::fs::read(clip(&format!("../mp4/{name}"))).unwrap();
        file[..file.len().min(8_000)].to_vec()
    };
    let files = ["bframes.mp4", "delayed.mp4", "fragments.mp4", "opus.mp4"];
    run(files.map(boxes), fuzz_drivers::mp4);
}
