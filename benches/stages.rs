//! The stages of a stream, each alone, and the same work in a session: CPU time per frame, and what
//! the session takes beyond the sum of its stages. Everything is measured in one run, in turns; then
//! the stages again at a live stream's pace, which is what a live worker's CPU is to be held against.

// What cannot be set up cannot be measured: it stops here.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::time::Duration;

use tokio::runtime::Runtime;
use trickle_benches::{CLIP, Stage, Stages};
use trickle_media::Backends;
use trickle_processor::Registry;
use trickle_proto::load::process::Usage;
use trickle_session::feed::{MediaReader, ReadOptions};
use trickle_session::offline::{OfflineConfig, process};

/// Times that everything is measured. The least is taken: whatever else the machine does can only
/// add to it.
const ROUNDS: usize = 5;

/// Times that a session gets the clip: its start, which stages that are run alone again and again
/// have behind them, is to weigh little.
const CLIPS: usize = 4;

/// Time from one frame to the next of a live stream.
const LIVE: Duration = Duration::from_nanos(33_333_333);

/// CPU milliseconds per frame of `work`, which handles `frames` frames.
fn cpu_ms(frames: usize, work: impl FnOnce()) -> f64 {
    let used = || Usage::of(std::process::id()).unwrap().cpu_s;
    let before = used();
    work();
    (used() - before) * 1e3 / frames as f64
}

/// The clip, several times, through a session's stages, as a file.
fn session(processor: &str, clip: &[u8], runtime: &Runtime) {
    let file = Cursor::new(clip.to_vec());
    let open = MediaReader::open(ReadOptions::default(), move || Ok(file.clone()));
    let summary = process(
        &OfflineConfig::default(),
        &Registry::default().get(processor).unwrap(),
        &Backends::default(),
        runtime.handle(),
        open.unwrap(),
        std::io::sink(),
        |_| {},
    );
    summary.unwrap();
}

fn main() {
    let clip = trickle_testkit::clip_bytes(CLIP).repeat(CLIPS);
    let mut stages = Stages::new(CLIP);
    let runtime = Runtime::new().unwrap();
    let sessions = ["passthrough", "invert"];
    let mut alone = [f64::INFINITY; Stage::ALL.len()];
    let mut whole = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (least, stage) in alone.iter_mut().zip(Stage::ALL) {
            // The kernel counts in ticks of 10 ms: short stages are repeated.
            let rounds = if stage.is_codec() { 1 } else { 8 };
            let took = cpu_ms(rounds * stages.frames(), || stages.run(stage, rounds));
            *least = least.min(took);
        }
        for (least, processor) in whole.iter_mut().zip(sessions) {
            let frames = CLIPS * stages.frames();
            let took = cpu_ms(frames, || session(processor, &clip, &runtime));
            *least = least.min(took);
        }
    }
    let live: Vec<_> = Stage::ALL
        .into_iter()
        .map(|stage| {
            let measured = stage.is_for_tensors();
            measured.then(|| cpu_ms(stages.frames(), || stages.run_live(stage, LIVE)))
        })
        .collect();
    println!("CPU per frame, ms ({CLIP}, least of {ROUNDS} rounds; one round at 30 fps)");
    for ((stage, took), live) in Stage::ALL.iter().zip(alone).zip(&live) {
        let live = live.map_or(String::new(), |live| format!("{live:6.2} at 30 fps"));
        println!("  {:<12} {took:6.2} {live}", stage.name());
    }
    let parts: [fn(Stage) -> bool; 2] = [Stage::is_codec, Stage::is_for_tensors];
    for ((processor, whole), with) in sessions.into_iter().zip(whole).zip(parts) {
        let of = |took: &dyn Fn(usize) -> f64| -> f64 {
            let stages = Stage::ALL.into_iter().enumerate();
            let stages = stages.filter(|(_, stage)| with(*stage));
            stages.map(|(at, _)| took(at)).sum()
        };
        let sum = of(&|at| alone[at]);
        let at_pace = of(&|at| live[at].unwrap_or(0.0));
        println!(
            "  session with {processor}: {whole:.2}, its stages alone {sum:.2}, ratio {:.2}; its \
             stages at 30 fps {at_pace:.2}",
            whole / sum
        );
    }
}
