//! Live sessions and what befalls their input, output and clocks. Time passes at once where a test
//! says so.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use trickle_media::access_unit::AccessUnit;
use trickle_session::{EndReason, SessionState};
use trickle_testkit::clip_bytes;

use crate::common::{
    Bench, LIMIT, Piece, Read, Reader, Source, decode, jump, model, moved, pieces, read, until,
};
use crate::side::{Messages, config};
use crate::{ended, params};

/// Small pictures with AAC, a keyframe every second; its timestamps wrap two seconds in.
const SMALL: &str = "ptswrap_180p30.ts";
/// Ticks of 90 kHz from picture to picture of it.
const STEP: i64 = 3_000;
const MINUTE: Duration = Duration::from_secs(60);

/// The seconds of [`SMALL`], each beginning with a keyframe.
fn seconds() -> Vec<Vec<Piece>> {
    let pieces = pieces(&Bytes::from(clip_bytes(SMALL)));
    pieces.chunks(30).map(<[Piece]>::to_vec).collect()
}

/// Times from picture to picture, in ticks of 90 kHz.
fn steps(units: &[AccessUnit]) -> Vec<i64> {
    units
        .windows(2)
        .map(|pair| pair[1].pts.ticks - pair[0].pts.ticks)
        .collect()
}

/// Five minutes without a byte cost nothing but the time; the events channel is never silent.
#[tokio::test]
async fn a_pause_of_minutes_is_sat_out() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(config(&bench, "pause"), &model("passthrough"))
        .await;
    let mut events = Messages::of(&bench, "events");
    let seconds = seconds();
    let mut reader = bench.reader();
    let mut source = Source::new(&bench).await;
    source.play(&seconds[0], &mut reader).await;
    for minute in 0..5 {
        for _ in 0..6 {
            jump(Duration::from_secs(10)).await;
            events.event("heartbeat").await;
        }
        let status = events.event("status").await;
        assert_eq!(status["state"], "DEGRADED_INPUT", "minute {minute}");
    }
    let status = session.status();
    assert_eq!(status.state, SessionState::Running);
    assert_eq!(status.faults.input_stalls, 1);
    assert_eq!(status.fps.ingress_video_fps, 0.0);

    source.play(&seconds[1], &mut reader).await;
    source.end().await;
    reader.rest().await;
    assert_eq!(ended(&session).await, EndReason::InputEnded);
    let status = session.stop().await.status;
    assert_eq!((status.frames.received, status.frames.out), (60, 60));
    assert_eq!(status.faults.timeline_rebases, 0);
    assert!(steps(&reader.read.video).iter().all(|step| *step == STEP));
    assert_eq!(decode(&reader.read.video).len(), 60);
    bench.close().await;
}

/// With nothing on any of its channels for the time of its lease, it ends by itself.
#[tokio::test]
async fn a_session_that_nobody_cares_for_gives_its_place_back() {
    let bench = Bench::new(true).await;
    let mut config = config(&bench, "abandoned");
    config.idle_timeout = Some(10 * MINUTE);
    let session = bench.start(config, &model("passthrough")).await;
    let mut events = Messages::of(&bench, "events");
    let seconds = seconds();
    let mut reader = bench.reader();
    let mut source = Source::new(&bench).await;
    source.play(&seconds[0], &mut reader).await;
    jump(9 * MINUTE).await;
    session
        .update(params(serde_json::json!({})))
        .await
        .expect("it is taken");
    jump(9 * MINUTE).await;
    assert_eq!(session.status().state, SessionState::Running);
    jump(MINUTE).await;
    let reason = ended(&session).await;
    assert!(matches!(reason, EndReason::Abandoned(_)), "{reason}");
    let stopped = events.event("stream_stopped").await;
    assert_eq!(stopped["reason"], reason.to_string());
    assert!(!session.stop().await.draining);
    bench.close().await;
}

/// A front of a relay, which passes everything on, or answers 503 to everything.
struct Front {
    address: SocketAddr,
    fails: watch::Sender<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Front {
    async fn of(bench: &Bench) -> Self {
        let relay = bench.url("").socket_addrs(|| None).expect("an address")[0];
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (fails, told) = watch::channel(false);
        let task = async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(serve(client, relay, told.clone()));
            }
        };
        Self {
            address,
            fails,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }

    fn url(&self, channel: &str) -> url::Url {
        let url = format!("http://{}/{channel}", self.address);
        url.parse().expect("a URL")
    }
}

/// One connection; it breaks when the front begins to fail.
async fn serve(mut client: TcpStream, relay: SocketAddr, mut fails: watch::Receiver<bool>) {
    if *fails.borrow_and_update() {
        let _ = client.read(&mut [0; 1024]).await;
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        let _ = client.write_all(answer).await;
        return;
    }
    let Ok(mut server) = TcpStream::connect(relay).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = fails.changed() => {}
    }
}

/// Of the output only what the relay refused is lost; it goes on at a keyframe.
#[tokio::test]
async fn an_output_that_is_refused_for_a_while_goes_on_at_a_keyframe() {
    let bench = Bench::new(true).await;
    let front = Front::of(&bench).await;
    let mut config = bench.config("503");
    config.publish_url = Some(front.url("out"));
    let session = bench.start(config, &model("passthrough")).await;
    let seconds = seconds();
    let mut reader = bench.reader();
    let mut source = Source::new(&bench).await;
    source.play(&seconds[0], &mut reader).await;

    front.fails.send_replace(true);
    let lost = || session.status().faults.output_segments_lost;
    source.pour(&seconds[1]).await;
    until(|| lost() > 0).await;
    // The publisher asks again and again, for up to 30 s.
    for _ in 0..5 {
        jump(Duration::from_secs(2)).await;
    }
    assert_eq!(session.status().state, SessionState::Running);
    front.fails.send_replace(false);
    let before = session.status().frames.out;
    for second in &seconds[2..5] {
        source.pour(second).await;
        jump(Duration::from_secs(2)).await;
    }
    until(|| session.status().frames.out > before + 5).await;
    source.end().await;
    reader.rest().await;
    assert_eq!(ended(&session).await, EndReason::InputEnded);
    let status = session.stop().await.status;
    assert!(status.faults.output_reconnects >= 1);
    assert_eq!(
        status.frames.received,
        status.frames.out + status.frames.dropped.total()
    );
    let shown = &reader.read.video;
    assert!(shown.len() as u64 > 30 + 5, "{}", shown.len());
    assert!(
        steps(shown)
            .iter()
            .all(|step| *step > 0 && step % STEP == 0)
    );
    let segments = bounds(&reader);
    assert!(
        segments
            .iter()
            .all(|segment| { segment.video.first().is_none_or(|picture| picture.keyframe) })
    );
    bench.close().await;
}

/// Each segment of the output, read alone.
fn bounds(reader: &Reader) -> Vec<Read> {
    let mut bounds = reader.segments.clone();
    bounds.push(reader.bytes.len());
    bounds
        .windows(2)
        .map(|range| read(&reader.bytes[range[0]..range[1]]))
        .collect()
}

/// The input's clock wraps, jumps ahead by an hour, and back: viewers see a clock that just runs.
#[tokio::test]
async fn the_output_does_not_show_what_the_clock_of_the_input_does() {
    const HOUR: i64 = 3_600 * 90_000;
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("jumps"), &model("passthrough"))
        .await;
    let seconds = seconds();
    let mut reader = bench.reader();
    let mut source = Source::new(&bench).await;
    // The wrap lies in the first second: no jump.
    source.play(&seconds[0], &mut reader).await;
    source.play(&seconds[1], &mut reader).await;
    assert_eq!(session.status().faults.timeline_rebases, 0);
    source
        .play(
            &changed(&seconds[2], |bytes| moved(bytes, HOUR)),
            &mut reader,
        )
        .await;
    source.play(&seconds[3], &mut reader).await;
    source.end().await;
    reader.rest().await;
    let status = session.stop().await.status;
    // Back on the clock of before, it goes on as if that had been nothing.
    assert_eq!(status.faults.timeline_rebases, 1);
    assert_eq!(status.frames.dropped.total(), 0);
    let shown = &reader.read.video;
    assert_eq!(shown.len(), 120);
    let steps = steps(shown);
    // A jump is bridged by a usual step, or by what the sound was ahead.
    let (jumps, usual): (Vec<_>, Vec<_>) = steps
        .iter()
        .enumerate()
        .partition(|(index, _)| [59, 89].contains(index));
    assert!(usual.iter().all(|(_, step)| **step == STEP), "{steps:?}");
    assert!(
        jumps.iter().all(|(_, step)| (STEP..90_000).contains(*step)),
        "{jumps:?}"
    );
    assert_eq!(reader.read.faults, Vec::<String>::new());
    // Sound went with the pictures over both jumps.
    let (first, last) = (shown[0].pts.ticks, shown[119].pts.ticks);
    let sound: Vec<i64> = reader
        .read
        .audio
        .iter()
        .map(|unit| unit.pts.ticks)
        .collect();
    assert!(
        sound
            .windows(2)
            .all(|pair| pair[1] > pair[0] && pair[1] - pair[0] < 90_000)
    );
    assert!((first - sound[0]).abs() < 45_000, "{first} {}", sound[0]);
    let end = sound.last().expect("sound");
    assert!((last - end).abs() < 45_000, "{last} {end}");
    bench.close().await;
}

/// Another publisher takes the channel over, from segment 0 on: the numbers go back.
#[tokio::test]
async fn a_publisher_that_is_replaced_is_counted() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("replaced"), &model("passthrough"))
        .await;
    let seconds = seconds();
    let mut reader = bench.reader();
    let mut source = Source::new(&bench).await;
    for second in &seconds[..3] {
        source.play(second, &mut reader).await;
    }
    source.leave().await;
    let mut other = Source::new(&bench).await;
    other.pour(&seconds[0]).await;
    let faults = || session.status().faults;
    let begun = std::time::Instant::now();
    while faults().input_restarts == 0 {
        // The session asks every 250 ms, and rejoins after 2 s.
        jump(Duration::from_millis(50)).await;
        tokio::task::yield_now().await;
        assert!(begun.elapsed() < LIMIT, "it rejoins within the limit");
    }
    other.end().await;
    reader.rest().await;
    assert_eq!(ended(&session).await, EndReason::InputEnded);
    let faults = session.stop().await.status.faults;
    assert_eq!((faults.input_restarts, faults.timeline_rebases), (1, 1));
    assert!(reader.read.video.len() > 90, "{}", reader.read.video.len());
    assert!(steps(&reader.read.video).iter().all(|step| *step > 0));
    bench.close().await;
}

/// Sound that stops holds no picture up, and goes on when it is there again.
#[tokio::test]
async fn sound_may_go_missing_and_come_back() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("mute"), &model("passthrough"))
        .await;
    let seconds = seconds();
    let mut reader = bench.reader();
    let mut source = Source::new(&bench).await;
    source.play(&seconds[0], &mut reader).await;
    source
        .play(&changed(&seconds[1], without_sound), &mut reader)
        .await;
    let heard = session.status().audio.received;
    source.play(&seconds[2], &mut reader).await;
    assert!(session.status().audio.received > heard + 30);
    source.end().await;
    reader.rest().await;
    let status = session.stop().await.status;
    assert_eq!((status.frames.received, status.frames.out), (90, 90));
    assert_eq!(status.faults.timeline_rebases, 0);
    assert!(steps(&reader.read.video).iter().all(|step| *step == STEP));
    // Each packet that was there is heard beside its picture.
    let sound = &reader.read.audio;
    let gap = steps(sound).into_iter().max().expect("sound");
    assert!((80_000..110_000).contains(&gap), "{gap}");
    bench.close().await;
}

/// Pieces whose packets are changed.
fn changed(pieces: &[Piece], change: impl Fn(&[u8]) -> Bytes) -> Vec<Piece> {
    let change = |piece: &Piece| Piece {
        bytes: change(&piece.bytes),
        keyframe: piece.keyframe,
    };
    pieces.iter().map(change).collect()
}

/// All packets but those of the sound.
fn without_sound(packets: &[u8]) -> Bytes {
    let track = read(&Bytes::from(clip_bytes(SMALL))).audio[0].track;
    let pid = |packet: &[u8]| u32::from(packet[1] & 0x1f) << 8 | u32::from(packet[2]);
    let kept: Vec<u8> = packets
        .chunks_exact(188)
        .filter(|packet| pid(packet) != track.0)
        .flatten()
        .copied()
        .collect();
    kept.into()
}
