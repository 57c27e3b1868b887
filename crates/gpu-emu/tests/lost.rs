//! What a card that is lost costs: on hardware, by a kernel that writes where nothing is. A program of
//! its own, because the device is unusable for its process from then on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests may, like tests.

use std::io::Cursor;
use std::sync::Arc;

use trickle_gpu::kernels::Params as KernelParams;
use trickle_gpu::{Choice, Code, CudaBackend, CudaImage};
use trickle_processor::{FrameProcessor, ProcessorError, VideoFrame, erase};
use trickle_session::feed::{MediaReader, ReadOptions};
use trickle_session::offline::{self, OfflineConfig};
use trickle_testkit::clip_bytes;

const CLIP: &str = "live_720p25_baseline_opus.ts";
/// The frame with which the device is lost.
const FATAL: usize = 40;
/// Writes to address 16.
const PTX: &str = "
.version 6.3
.target sm_75
.address_size 64
.visible .entry wild()
{
    .reg .u64 %there;
    .reg .u32 %one;
    mov.u64 %there, 16;
    mov.u32 %one, 1;
    st.global.u32 [%there], %one;
    ret;
}
";

/// Hands frames on, and loses the device with one of them.
#[derive(Clone)]
struct Fatal {
    code: Arc<Code>,
    frames: usize,
}

impl FrameProcessor for Fatal {
    fn takes_device_frames(&self) -> bool {
        true
    }

    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        self.frames += 1;
        if self.frames == FATAL {
            let image = CudaImage::of_frame(&frame).unwrap();
            let none = KernelParams::new();
            // SAFETY: it is not: the device is to be lost, which costs this process its context.
            let launched = unsafe {
                self.code
                    .launch(image.stream(), c"wild", [1, 1, 1], [1, 1, 1], &none)
            };
            launched.unwrap();
        }
        Ok(Some(frame))
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_card_that_is_lost_costs_frames_until_the_next_keyframe_and_not_the_session() {
    let gpu = CudaBackend::open(0).unwrap();
    let code = Arc::new(Code::load(gpu.gpu(), PTX).unwrap());
    let model = erase(Fatal { code, frames: 0 });
    let backends = trickle_gpu::backends(Choice::Cuda(Some(0)), Choice::Cpu).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let clip = clip_bytes(CLIP);
    let source = MediaReader::open(ReadOptions::default(), move || {
        Ok(Cursor::new(clip.clone()))
    });
    let mut output = Vec::new();
    let summary = offline::process(
        &OfflineConfig::default(),
        &model,
        &backends,
        runtime.handle(),
        source.unwrap(),
        &mut output,
        |_| {},
    )
    .unwrap();
    println!("{summary:#?}");
    let decoder = summary.decoder.unwrap();
    assert_eq!(decoder.backend, "cpu");
    let reason = "unusable until the process ends";
    let passed_over = &decoder.passed_over[0];
    assert!(passed_over.contains(reason), "{decoder:?}");
    assert!(passed_over.contains("ILLEGAL_ADDRESS"), "{decoder:?}");
    let frames = summary.frames;
    assert_eq!(frames.received, frames.out + frames.dropped.total());
    assert!(frames.out as usize > FATAL, "{frames:?}");
    assert!(frames.dropped.device_error > 0, "{frames:?}");
    assert_eq!(frames.dropped.encoder_error, 0, "{frames:?}");
    // Another handle on the device finds out at its next use.
    gpu.gpu().stream().unwrap_err();
    assert!(gpu.gpu().poison().unwrap().contains("ILLEGAL_ADDRESS"));
}
