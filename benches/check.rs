//! Guards speed on noisy machines: counts the instructions that each stage takes per frame, under
//! valgrind, and compares them with those in `instructions.json`.
//!
//! `just bench-check` fails when a stage takes more than it should, and says so when one takes
//! less; `just bench-check --update` writes the counts anew. They depend on compiler, libraries and
//! instruction set (x86-64 with AVX2, all that valgrind knows), and on nothing else.

// What cannot be set up cannot be measured: it stops here.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use trickle_benches::{Stage, Stages};

/// Counts that are compared with, by stage; small, so that valgrind is done soon.
const CLIP: &str = "ptswrap_180p30.ts";
/// Share by which a count may differ: an update of the compiler's patch version is within it.
const TOLERANCE: f64 = 0.03;
/// Argument with which this program runs a stage instead, for valgrind to watch.
const RUN: &str = "--run-stage";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [run, stage, rounds] = args.as_slice()
        && run == RUN
    {
        let found = Stage::ALL.into_iter().find(|known| known.name() == stage);
        let rounds = rounds.parse().expect("a number of rounds");
        Stages::new(CLIP).run(found.expect("a stage"), rounds);
        return ExitCode::SUCCESS;
    }
    let frames = Stages::new(CLIP).frames() as u64;
    let counted: BTreeMap<&str, u64> = Stage::ALL
        .into_iter()
        .map(|stage| (stage.name(), per_frame(stage, frames)))
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    if args.iter().any(|arg| arg == "--update") {
        let text = serde_json::to_string_pretty(&counted).expect("numbers") + "\n";
        std::fs::write(&path, text).expect("a file that can be written");
        return ExitCode::SUCCESS;
    }
    let text = std::fs::read_to_string(&path).expect("instructions.json");
    let wanted: BTreeMap<String, u64> = serde_json::from_str(&text).expect("counts by stage");
    println!("instructions per frame of {CLIP}, and the share that they should be of");
    let mut slower = false;
    for (stage, count) in counted {
        let Some(&wanted) = wanted.get(stage) else {
            println!("  {stage:<12} {count:>12}  not in instructions.json: --update adds it");
            slower = true;
            continue;
        };
        let share = count as f64 / wanted as f64;
        let verdict = if share > 1.0 + TOLERANCE {
            slower = true;
            "MORE than before"
        } else if share < 1.0 - TOLERANCE {
            "less than before: keep it with --update"
        } else {
            ""
        };
        println!("  {stage:<12} {count:>12}  {share:.3}  {verdict}");
    }
    ExitCode::from(u8::from(slower))
}

/// Instructions of a stage per frame: what one round more of the clip takes.
fn per_frame(stage: Stage, frames: u64) -> u64 {
    (instructions(stage, 2) - instructions(stage, 1)) / frames
}

/// Instructions of this program with so many rounds of a stage.
fn instructions(stage: Stage, rounds: usize) -> u64 {
    let program = std::env::current_exe().expect("the path of this program");
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([RUN, stage.name(), &rounds.to_string()])
        .output()
        .expect("valgrind, to be installed from the system's packages");
    let report = String::from_utf8_lossy(&done.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    match collected.and_then(|(_, count)| count.trim().parse().ok()) {
        Some(count) if done.status.success() => count,
        _ => panic!("valgrind: {report}"),
    }
}
