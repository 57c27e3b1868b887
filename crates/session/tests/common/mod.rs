//! What the end-to-end tests share: reading streams back, pictures as numbers, a live bench.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use trickle_media::access_unit::{AccessUnit, Codec, MediaKind};
use trickle_media::frame::{FramePool, Image};
use trickle_media::h264::{NalKind, annexb, sps::Sps};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{Backends, StreamInfo, VideoFrame};
use trickle_processor::{Registry, SharedModel};
use trickle_proto::{
    Client, ClientConfig, PublishOptions, Publisher, Relay, RelayConfig, SegmentWriter, Start,
    Subscriber,
};
use trickle_session::{Session, SessionConfig};
use url::Url;

/// Longest wait for something that must happen. Only a failing test reaches it.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A transport stream, read to its end.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) streams: Vec<StreamInfo>,
    pub(crate) video: Vec<AccessUnit>,
    pub(crate) audio: Vec<AccessUnit>,
    pub(crate) faults: Vec<String>,
}

/// Reads a whole transport stream.
pub(crate) fn read(bytes: &[u8]) -> Read {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(bytes, None);
    demuxer.finish();
    let mut read = Read::default();
    collect(&mut demuxer, &mut read);
    read
}

fn collect(demuxer: &mut Demuxer, read: &mut Read) {
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) => read.streams = streams,
            DemuxEvent::Unit(unit) => match unit.codec.kind() {
                MediaKind::Video => read.video.push(unit),
                _ => read.audio.push(unit),
            },
            DemuxEvent::Fault(fault) => read.faults.push(fault.to_string()),
        }
    }
}

/// Decodes the pictures of a stream with the CPU's decoder, damaged ones left out.
pub(crate) fn decode(units: &[AccessUnit]) -> Vec<VideoFrame> {
    let pool = FramePool::new();
    let backends = Backends::default();
    let mut decoder = None;
    let mut frames = Vec::new();
    for unit in units {
        let sps = annexb::nal_units(&unit.data).find(|nal| nal.kind() == NalKind::SPS);
        if let Some(sps) = sps.and_then(|nal| Sps::parse(nal.bytes).ok())
            && unit.keyframe
        {
            let params = sps.video_params();
            if decoder.as_ref().is_none_or(|(open, _)| *open != params) {
                if let Some((_, decoder)) = &mut decoder {
                    flush(decoder, &mut frames);
                }
                let chosen = backends.open_decoder(&params, &pool).expect("a decoder");
                decoder = Some((params, chosen.codec));
            }
        }
        let Some((_, decoder)) = &mut decoder else {
            continue;
        };
        let _ = decoder.push(unit);
        frames.extend(std::iter::from_fn(|| decoder.pull()));
    }
    if let Some((_, decoder)) = &mut decoder {
        flush(decoder, &mut frames);
    }
    frames
}

fn flush(decoder: &mut trickle_media::coder::VideoDecoder, frames: &mut Vec<VideoFrame>) {
    decoder.flush().expect("flush");
    frames.extend(std::iter::from_fn(|| decoder.pull()));
}

/// Plane `index` of a planar frame.
pub(crate) fn plane(frame: &VideoFrame, index: usize) -> &[u8] {
    match frame.image() {
        Image::Planar(image) => image.plane(index),
        other => panic!("not planar: {other:?}"),
    }
}

/// Peak signal-to-noise ratio of two planes, in dB.
pub(crate) fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum();
    10.0 * (255.0f64.powi(2) * a.len() as f64 / sum.max(1) as f64).log10()
}

/// Presentation times in ticks of 90 kHz, from the first on.
pub(crate) fn times_from_first(units: &[AccessUnit]) -> Vec<i64> {
    let ticks = |unit: &AccessUnit| unit.pts.in_base(trickle_media::TimeBase::MPEG);
    let mut times: Vec<i64> = units.iter().map(ticks).collect();
    times.sort_unstable();
    let first = times.first().copied().unwrap_or(0);
    times.into_iter().map(|time| time - first).collect()
}

/// A built-in processor.
pub(crate) fn model(name: &str) -> SharedModel {
    Registry::default().get(name).expect("a built-in processor")
}

/// Pieces of a transport stream, each beginning with a packet that begins a picture; what comes
/// before the first picture belongs to its piece.
pub(crate) fn by_picture(stream: &Bytes) -> Vec<Bytes> {
    let video = read(stream)
        .streams
        .iter()
        .find(|stream| stream.codec.kind() == MediaKind::Video)
        .expect("a video stream")
        .track;
    let begins = |packet: &[u8]| {
        let pid = u32::from(packet[1] & 0x1f) << 8 | u32::from(packet[2]);
        pid == video.0 && packet[1] & 0x40 != 0
    };
    let mut starts: Vec<usize> = stream
        .chunks_exact(188)
        .enumerate()
        .filter(|(_, packet)| begins(packet))
        .map(|(index, _)| index * 188)
        .collect();
    starts[0] = 0;
    starts.push(stream.len());
    starts
        .windows(2)
        .map(|range| stream.slice(range[0]..range[1]))
        .collect()
}

/// A relay on loopback, and clients of it.
pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) relay: Relay,
    base: Url,
    shutdown: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Bench {
    /// With the channels `in` and `out`, as a gateway makes them, or without any.
    pub(crate) async fn new(channels: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}/", listener.local_addr().expect("an address"));
        let relay = relay(channels);
        let (shutdown, stop) = oneshot::channel::<()>();
        let served = relay.clone();
        let serving = tokio::spawn(async move {
            let stopped = async {
                let _ = stop.await;
            };
            served.serve(listener, stopped).await
        });
        Self {
            client: Client::new(ClientConfig::default()).expect("a client"),
            relay,
            base: base.parse().expect("a URL"),
            shutdown: Some(shutdown),
            serving,
        }
    }

    pub(crate) fn url(&self, channel: &str) -> Url {
        self.base.join(channel).expect("a URL")
    }

    /// A session from channel `in` to channel `out`.
    pub(crate) fn config(&self, id: &str) -> SessionConfig {
        SessionConfig {
            subscribe_url: Some(self.url("in")),
            publish_url: Some(self.url("out")),
            ..SessionConfig::new(id)
        }
    }

    pub(crate) async fn start(&self, config: SessionConfig, model: &SharedModel) -> Session {
        Session::start(config, model, &Backends::default(), &self.client)
            .await
            .expect("it starts")
    }

    pub(crate) async fn publisher(&self, channel: &str) -> Publisher {
        self.client
            .publish(&self.url(channel), PublishOptions::new("video/mp2t"))
            .await
            .expect("a publisher")
    }

    /// A reader of channel `out` from its first segment on.
    pub(crate) fn reader(&self) -> Reader {
        let start = Start::At(trickle_proto::Seq::ZERO);
        Reader::new(&self.client, &self.url("out"), start)
    }

    pub(crate) async fn close(mut self) {
        self.shutdown.take();
        let _ = tokio::time::timeout(LIMIT, self.serving).await;
    }
}

impl Reader {
    /// Of a channel from a segment on.
    pub(crate) fn new(client: &Client, url: &Url, start: Start) -> Self {
        let subscriber = client.subscribe(url, start).expect("a subscriber");
        Self {
            subscriber,
            segment: None,
            demuxer: Demuxer::new(DemuxOptions::default()),
            bytes: Vec::new(),
            segments: Vec::new(),
            read: Read::default(),
        }
    }
}

fn relay(channels: bool) -> Relay {
    // Tests of small messages read them all, however late.
    let relay = Relay::new(RelayConfig {
        ring: 64,
        // Pauses are the sessions' to sit out.
        idle_timeout: Duration::from_secs(86_400),
        ..RelayConfig::default()
    });
    if channels {
        for name in ["in", "out"] {
            relay
                .create_channel(name, None)
                .expect("room for a channel");
        }
    }
    relay
}

/// A relay with a runtime of its own, so that it can be lost with all of its connections.
pub(crate) struct Mortal(Option<tokio::runtime::Runtime>);

impl Mortal {
    /// With the channels `in` and `out`, at `addr`; and where it is.
    pub(crate) fn new(addr: &str) -> (Self, String) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        // The one before may not have let go of it yet.
        let begun = std::time::Instant::now();
        let listener = loop {
            match std::net::TcpListener::bind(addr) {
                Ok(listener) => break listener,
                Err(error) => assert!(begun.elapsed() < LIMIT, "{addr}: {error}"),
            }
            std::thread::yield_now();
        };
        listener.set_nonblocking(true).expect("nonblocking");
        let addr = listener.local_addr().expect("an address").to_string();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            relay(true).serve(listener, std::future::pending()).await
        });
        (Self(Some(runtime)), addr)
    }

    /// It goes, and its connections break.
    pub(crate) fn lose(mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        // A runtime must not be waited for in a task.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Reads a channel as it comes.
pub(crate) struct Reader {
    subscriber: Subscriber,
    segment: Option<trickle_proto::SegmentReader>,
    demuxer: Demuxer,
    pub(crate) bytes: Vec<u8>,
    /// Where each segment begins in `bytes`.
    pub(crate) segments: Vec<usize>,
    pub(crate) read: Read,
}

impl Reader {
    /// Waits for more; `false` at the end of the channel.
    pub(crate) async fn more(&mut self) -> bool {
        let next = async {
            loop {
                if self.segment.is_none() {
                    match self.subscriber.next_segment().await.expect("a segment") {
                        Some(segment) => {
                            self.segments.push(self.bytes.len());
                            self.segment = Some(segment);
                        }
                        None => return false,
                    }
                }
                let segment = self.segment.as_mut().expect("just set");
                match segment.chunk().await.expect("a chunk") {
                    Some(chunk) => {
                        self.bytes.extend_from_slice(&chunk);
                        self.demuxer.push(&chunk, Some(now()));
                        return true;
                    }
                    None => self.segment = None,
                }
            }
        };
        let more = tokio::time::timeout(LIMIT, next)
            .await
            .expect("output within the limit");
        if !more {
            self.demuxer.finish();
        }
        collect(&mut self.demuxer, &mut self.read);
        more
    }

    /// Waits until so many pictures have come whole.
    pub(crate) async fn pictures(&mut self, count: usize) {
        while self.read.video.len() < count {
            // The end of a picture may only be told by silence.
            if let Some(deadline) = self.demuxer.deadline() {
                let more = tokio::time::timeout_at(deadline.into(), self.more()).await;
                if more.is_err() {
                    self.demuxer.flush_quiet(now());
                    collect(&mut self.demuxer, &mut self.read);
                }
            } else {
                assert!(self.more().await, "the output ended early");
            }
        }
    }

    /// Reads to the end of the channel.
    pub(crate) async fn rest(&mut self) {
        while self.more().await {}
    }
}

/// Now, by the clock that [`jump`] moves.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// Lets time pass at once for everything that runs here, sessions and their threads among it. Needs
/// a runtime of one thread.
pub(crate) async fn jump(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Waits until something is so, which needs no time to pass.
pub(crate) async fn until(mut so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < LIMIT, "it happens within the limit");
        tokio::task::yield_now().await;
    }
}

/// Packets with all of their times moved by so many ticks of 90 kHz, modulo their 33 bits.
pub(crate) fn moved(stream: &[u8], by: i64) -> Bytes {
    const MASK: i64 = (1 << 33) - 1;
    let mut stream = stream.to_vec();
    for packet in stream.chunks_exact_mut(188) {
        let mut payload = 4;
        if packet[3] & 0x20 != 0 {
            let length = usize::from(packet[4]);
            payload += 1 + length;
            if length > 0 && packet[5] & 0x10 != 0 {
                let field: &mut [u8] = &mut packet[6..11];
                let read = field
                    .iter()
                    .fold(0, |all, byte| all << 8 | i64::from(*byte));
                let pcr = ((read >> 7) + by) & MASK;
                let bits = (pcr << 7 | read & 0x7f).to_be_bytes();
                field.copy_from_slice(&bits[3..]);
            }
        }
        let begins = packet[1] & 0x40 != 0 && packet[3] & 0x10 != 0;
        if !begins || !packet[payload..].starts_with(&[0, 0, 1]) {
            continue;
        }
        let stamps = (packet[payload + 7] >> 6) & 3;
        for stamp in 0..usize::from(stamps.saturating_sub(1)) {
            let at = payload + 9 + 5 * stamp;
            let field: &mut [u8] = &mut packet[at..at + 5];
            let read = i64::from(field[0] >> 1 & 7) << 30
                | i64::from(field[1]) << 22
                | i64::from(field[2] >> 1) << 15
                | i64::from(field[3]) << 7
                | i64::from(field[4] >> 1);
            let time = (read + by) & MASK;
            field[0] = field[0] & 0xf1 | ((time >> 30) as u8) << 1;
            field[1] = (time >> 22) as u8;
            field[2] = ((time >> 15) as u8) << 1 | 1;
            field[3] = (time >> 7) as u8;
            field[4] = (time as u8) << 1 | 1;
        }
    }
    stream.into()
}

/// A source that goes on for as long as a test wants. Every keyframe begins a segment.
pub(crate) struct Source {
    pub(crate) publisher: Publisher,
    segment: Option<SegmentWriter>,
}

impl Source {
    pub(crate) async fn new(bench: &Bench) -> Self {
        Self::at(bench, "in").await
    }

    /// To another channel.
    pub(crate) async fn at(bench: &Bench, channel: &str) -> Self {
        Self {
            publisher: bench.publisher(channel).await,
            segment: None,
        }
    }

    /// Sends pictures, each after the output of the one before has come.
    pub(crate) async fn play(&mut self, pieces: &[Piece], reader: &mut Reader) {
        let before = reader.read.video.len();
        for (index, piece) in pieces.iter().enumerate() {
            reader.pictures(before + index).await;
            self.send(piece).await;
        }
        reader.pictures(before + pieces.len()).await;
    }

    /// Sends pictures, whatever becomes of them.
    pub(crate) async fn pour(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.send(piece).await;
        }
    }

    async fn send(&mut self, piece: &Piece) {
        if piece.keyframe {
            self.cut().await;
        }
        if self.segment.is_none() {
            self.segment = Some(self.publisher.next_segment().await.expect("a segment"));
        }
        let segment = self.segment.as_mut().expect("just set");
        segment.write(piece.bytes.clone()).await.expect("a write");
    }

    /// Ends the segment.
    async fn cut(&mut self) {
        if let Some(segment) = self.segment.take() {
            segment.finish().await.expect("a whole segment");
        }
    }

    /// Leaves the channel as it is.
    pub(crate) async fn leave(mut self) {
        self.cut().await;
        self.publisher.leave().await.expect("all segments");
    }

    /// Ends the channel.
    pub(crate) async fn end(mut self) {
        self.cut().await;
        self.publisher.close().await.expect("an ended channel");
    }
}

/// A picture of a stream, and the sound before the next one.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    pub(crate) keyframe: bool,
}

/// The stream as pieces.
pub(crate) fn pieces(stream: &Bytes) -> Vec<Piece> {
    let video = read(stream).video;
    let pieces = by_picture(stream).into_iter().zip(video);
    let piece = |(bytes, unit): (Bytes, AccessUnit)| Piece {
        bytes,
        keyframe: unit.keyframe,
    };
    pieces.map(piece).collect()
}

/// Publishes `stream` as segments of pictures that begin at keyframes, each picture only after
/// the output of the one before has come, and ends the channel.
pub(crate) async fn feed_in_step(bench: &Bench, stream: &Bytes, reader: &mut Reader) {
    let mut source = Source::new(bench).await;
    source.play(&pieces(stream), reader).await;
    source.end().await;
}

/// The codec of the first audio stream.
pub(crate) fn audio_codec(read: &Read) -> Option<Codec> {
    read.audio.first().map(|unit| unit.codec)
}

/// For processors of tests.
pub(crate) fn shared<T>(value: T) -> Arc<std::sync::Mutex<T>> {
    Arc::new(std::sync::Mutex::new(value))
}
