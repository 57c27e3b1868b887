//! Cancelling: what a stopped session does to a processor that waits.

use super::*;
use tokio::sync::oneshot;
use trickle_media::frame::{FramePool, Image};
use trickle_media::{ColorDescription, Tensor, Timestamp};

/// Waits for ever, and tells when its future is dropped.
struct Waits(Option<oneshot::Sender<()>>);

impl FrameProcessor for Waits {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        let _dropped = self.0.take();
        std::future::pending::<()>().await;
        Ok(Some(frame))
    }
}

#[test]
fn a_cancelled_session_drops_the_future_that_waits() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cancel = CancellationToken::new();
    let driver = Driver::new(runtime.handle().clone(), cancel.clone());
    let (sender, dropped) = oneshot::channel();
    let mut processor = Waits(Some(sender));
    let tensor = Tensor::from_vec(1, 1, 3, vec![0.0; 3]).unwrap();
    let frame = VideoFrame::new(
        Image::Tensor(tensor),
        Timestamp::mpeg(0),
        ColorDescription::default(),
        FramePool::new(),
    );
    runtime.spawn(async move { cancel.cancel() });
    let result = ProcessorRunner::process_video(&mut processor, frame, &driver);
    assert!(matches!(result, Err(ProcessorError::Cancelled)));
    assert!(dropped.blocking_recv().is_err(), "the future is gone");
}
