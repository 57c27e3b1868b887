//! Sessions on a device that is lost on the way: they go on with the CPU.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use trickle_media::access_unit::AccessUnit;
use trickle_media::backend::{Backend, BackendDescription, Direction};
use trickle_media::coder::{Decoder, Encoder, VideoDecoder, VideoEncoder, VideoEncoderSettings};
use trickle_media::error::{CodecError, Unsupported};
use trickle_media::frame::FramePool;
use trickle_media::{Backends, VideoFrame, VideoParams};
use trickle_session::{EndReason, Session};
use trickle_testkit::clip_bytes;

use crate::common::{Bench, Source, decode, model, pieces, until};
use crate::ended;
use crate::side::{Messages, config};

const CARD: &str = "cuda:0";
const LOST: &str = "cuda:0 is unusable until the process ends";

/// A card with the CPU's codecs, until it is lost.
#[derive(Clone, Debug, Default)]
struct Card(Arc<AtomicBool>);

impl Card {
    fn is_lost(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<(), CodecError> {
        if self.is_lost() {
            return Err(CodecError::Broken {
                backend: "nvdec",
                detail: "an illegal address was met".into(),
            });
        }
        Ok(())
    }
}

impl Backend for Card {
    fn name(&self) -> &str {
        CARD
    }

    fn describe(&self) -> BackendDescription {
        BackendDescription {
            name: CARD.into(),
            decoder: "lent".into(),
            encoder: "lent".into(),
            warnings: Vec::new(),
        }
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        if self.is_lost() {
            return Err(Unsupported::new(params.codec, LOST));
        }
        let chosen = Backends::default().open_decoder(params, pool);
        Ok(Box::new(Lent(
            self.clone(),
            chosen.expect("a decoder").codec,
        )))
    }

    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        if self.is_lost() {
            return Err(Unsupported::new(settings.codec, LOST));
        }
        let chosen = Backends::default().open_encoder(settings);
        Ok(Box::new(Lent(
            self.clone(),
            chosen.expect("an encoder").codec,
        )))
    }
}

/// A codec of the card.
struct Lent<T>(Card, T);

impl Decoder for Lent<VideoDecoder> {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        "nvdec"
    }

    fn push(&mut self, unit: &AccessUnit) -> Result<(), CodecError> {
        self.0.check()?;
        self.1.push(unit)
    }

    fn pull(&mut self) -> Option<VideoFrame> {
        self.1.pull()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.1.flush()
    }
}

impl Encoder for Lent<VideoEncoder> {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        "nvenc"
    }

    fn push(&mut self, frame: VideoFrame) -> Result<(), CodecError> {
        self.0.check()?;
        self.1.push(frame)
    }

    fn pull(&mut self) -> Option<AccessUnit> {
        self.1.pull()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.1.flush()
    }

    fn force_keyframe(&mut self) {
        self.1.force_keyframe();
    }
}

/// A decoder and an encoder on one card each; both cards are lost in the middle of a group of
/// pictures.
#[tokio::test]
async fn a_session_whose_device_is_lost_goes_on_with_the_cpu_at_the_next_keyframe() {
    let bench = Bench::new(true).await;
    let card = Card::default();
    let mut backends = Backends::default();
    for direction in [Direction::Decode, Direction::Encode] {
        backends.add_first(direction, Arc::new(card.clone()));
    }
    let config = config(&bench, "lost");
    let session = Session::start(config, &model("passthrough"), &backends, &bench.client)
        .await
        .expect("it starts");
    let mut events = Messages::of(&bench, "events");
    let mut reader = bench.reader();
    let mut source = Source::new(&bench).await;
    // A keyframe every 30 pictures.
    let pieces = pieces(&Bytes::from(clip_bytes("ptswrap_180p30.ts")));
    source.play(&pieces[0..20], &mut reader).await;
    let on_card = session.status();
    let names = |status: &trickle_session::SessionStatus| {
        let codec = |codec: &Option<trickle_session::CodecStatus>| {
            codec.as_ref().map(|codec| codec.backend.clone())
        };
        (codec(&status.decoder), codec(&status.encoder))
    };
    let both = |name: &str| (Some(name.to_owned()), Some(name.to_owned()));
    assert_eq!(names(&on_card), both(CARD));

    card.0.store(true, Ordering::SeqCst);
    source.pour(&pieces[20..30]).await;
    until(|| session.status().faults.decoder_restarts == 1).await;
    // The first picture that the CPU decodes finds the encoder lost.
    source.pour(&pieces[30..31]).await;
    until(|| session.status().faults.encoder_restarts == 1).await;
    source.play(&pieces[31..60], &mut reader).await;
    source.end().await;
    reader.rest().await;
    assert_eq!(ended(&session).await, EndReason::InputEnded);

    let status = session.stop().await.status;
    assert_eq!(names(&status), both("cpu"));
    assert_eq!(status.faults.backends_lost, 2);
    let passed_over = status.decoder.expect("a decoder").passed_over;
    assert!(passed_over[0].contains(LOST), "{passed_over:?}");
    let dropped = status.frames.dropped;
    assert_eq!(
        (dropped.damaged, dropped.no_keyframe, dropped.encoder_error),
        (1, 9, 1)
    );
    assert_eq!((status.frames.received, status.frames.out), (60, 49));
    for direction in ["decode", "encode"] {
        let lost = events.event("backend_lost").await;
        assert_eq!(
            lost,
            serde_json::json!({
                "type": "backend_lost",
                "direction": direction,
                "backend": CARD,
                "next": "cpu",
                "reason": LOST,
            })
        );
    }
    assert!(reader.read.video[20].keyframe, "a new encoder begins so");
    assert_eq!(decode(&reader.read.video).len(), 49);
    bench.close().await;
}
