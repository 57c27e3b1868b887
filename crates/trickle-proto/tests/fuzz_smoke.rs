//! The fuzz targets over what fuzzing has found (`corpus`), and over hand-written seeds with some
//! thousand mutations of each (`seeds`).
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

mod fuzz_drivers;

/// The inputs of a kind, in a fixed order.
fn inputs(kind: &str, target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz_drivers")
        .join(kind)
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn run(target: &str, drive: fn(&[u8])) {
    for input in inputs("corpus", target) {
        drive(&input);
    }
    let mut random = 1u64;
    let mut draw = move |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below.max(1)
    };
    for original in inputs("seeds", target) {
        drive(&original);
        for _ in 0..1000 {
            let mut mutated = original.clone();
            for _ in 0..=draw(8) {
                match draw(4) {
                    0 if !mutated.is_empty() => {
                        mutated.remove(draw(mutated.len()));
                    }
                    1 => mutated.insert(draw(mutated.len() + 1), draw(256) as u8),
                    2 => {
                        let from = draw(mutated.len() + 1);
                        let part = mutated[from..].to_vec();
                        mutated.extend_from_slice(&part[..part.len().min(64)]);
                    }
                    _ if !mutated.is_empty() => {
                        let at = draw(mutated.len());
                        mutated[at] = draw(256) as u8;
                    }
                    _ => {}
                }
            }
            drive(&mutated);
        }
    }
}

#[test]
fn channel() {
    run("channel", fuzz_drivers::channel);
}

#[test]
fn text() {
    run("text", fuzz_drivers::text);
}

#[test]
fn http() {
    run("http", fuzz_drivers::http);
}
