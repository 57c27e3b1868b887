//! What is made of two snapshots.

use super::*;

fn snapshot(bytes_in: u64, frames_out: u64) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.facts.input.bytes = bytes_in;
    snapshot.frames.out = frames_out;
    snapshot
}

#[test]
fn the_state_follows_input_and_output() {
    let mut watch = Watch::new(0);
    let mut state = |bytes, frames, now| {
        let snapshot = snapshot(bytes, frames);
        watch.look(&snapshot, now);
        watch.condition(&snapshot, now, Params::new).state
    };
    assert_eq!(state(0, 0, 1_000), "OFFLINE");
    assert_eq!(state(100, 0, 2_000), "DEGRADED_INFERENCE");
    assert_eq!(state(200, 5, 3_000), "ONLINE");
    assert_eq!(state(200, 5, 5_000), "ONLINE", "a pause of 2 s is no stall");
    assert_eq!(state(300, 5, 6_000), "DEGRADED_INFERENCE");
    assert_eq!(state(300, 9, 8_001), "DEGRADED_INPUT");
}

/// It has no input that could be away.
#[test]
fn the_state_of_a_generative_session_follows_its_output_alone() {
    let mut watch = Watch::new(0);
    let mut state = |frames, now| {
        let mut snapshot = snapshot(0, frames);
        snapshot.facts.input.generative = true;
        watch.look(&snapshot, now);
        watch.condition(&snapshot, now, Params::new).state
    };
    assert_eq!(state(0, 1_000), "OFFLINE");
    assert_eq!(state(0, 2_001), "DEGRADED_INFERENCE");
    assert_eq!(state(5, 3_000), "ONLINE");
    assert_eq!(state(5, 5_000), "ONLINE");
    assert_eq!(state(5, 5_001), "DEGRADED_INFERENCE");
}

#[test]
fn each_kind_of_error_is_told_once_a_look() {
    let mut watch = Watch::new(0);
    let mut now = snapshot(0, 0);
    assert_eq!(watch.look(&now, 1_000), []);
    now.facts.processor.errors = 30;
    now.facts.processor.last_error = Some("out of memory".into());
    now.faults.decoder_restarts = 1;
    now.faults.input_gaps = 2;
    let error = |source, message: &str, count| Event::Error {
        source,
        message: message.into(),
        count,
    };
    assert_eq!(
        watch.look(&now, 2_000),
        [
            error("processor", "out of memory", 30),
            error("decoder", "it broke and was opened anew", 1),
            error("input", "segments were missed", 2),
        ]
    );
    assert_eq!(watch.look(&now, 3_000), []);
    now.facts.processor.errors = 31;
    now.faults.encoder_restarts = 1;
    now.faults.output_segments_lost = 4;
    assert_eq!(
        watch.look(&now, 4_000),
        [
            error("processor", "out of memory", 1),
            error("encoder", "it broke and was opened anew", 1),
            error("output", "segments could not be finished", 4),
        ]
    );
    let condition = watch.condition(&now, 5_000, Params::new);
    assert_eq!(
        condition.last_error.as_deref(),
        Some("output: segments could not be finished")
    );
    assert_eq!(condition.last_error_time, Some(4_000));
    assert_eq!(condition.last_restart_time, Some(4_000));
    assert_eq!(condition.restart_count, 2);
}

#[test]
fn parameters_are_told_once_after_each_change() {
    let mut watch = Watch::new(7);
    let snapshot = snapshot(0, 0);
    let params =
        |strength: u64| move || Params::from_iter([("strength".to_owned(), strength.into())]);
    let first = watch.condition(&snapshot, 10, params(1));
    assert_eq!(first.last_params, Some(params(1)()));
    assert_eq!(first.last_params_update_time, 7);
    let second = watch.condition(&snapshot, 20, params(1));
    assert_eq!(second.last_params, None);
    watch.params_updated(25);
    let third = watch.condition(&snapshot, 30, params(2));
    assert_eq!(third.last_params, Some(params(2)()));
    assert_eq!(third.last_params_update_time, 25);
}

#[test]
fn the_heartbeat_has_the_outputs_size_else_the_inputs() {
    let watch = Watch::new(0);
    let mut snapshot = snapshot(0, 0);
    let size = |snapshot: &Snapshot| {
        let pulse = watch.pulse(snapshot);
        (pulse.width, pulse.height)
    };
    assert_eq!(size(&snapshot), (0, 0));
    (snapshot.facts.input.width, snapshot.facts.input.height) = (Some(1920), Some(1080));
    assert_eq!(size(&snapshot), (1920, 1080));
    (snapshot.facts.output.width, snapshot.facts.output.height) = (Some(512), Some(512));
    assert_eq!(size(&snapshot), (512, 512));
}
