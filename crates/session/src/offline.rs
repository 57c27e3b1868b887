//! Files through the same stages: everything waits for everything, and nothing is lost.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use trickle_media::{Backends, Codec};
use trickle_processor::{Driver, Params, SharedModel, StreamContext};

use crate::config::{AudioMode, EncodeConfig, OnError};
use crate::decode::DecodeStage;
use crate::egress::sent;
use crate::encode::EncodeStage;
use crate::error::{EndReason, StartError};
use crate::feed::{MediaEvent, MediaReader, ReadError};
use crate::ingest::note_fault;
use crate::intake::Intake;
use crate::output::Output;
use crate::process::{Policy, ProcessStage};
use crate::shared::Shared;
use crate::status::{
    AudioStatus, CodecStatus, Faults, FrameCounts, InputStatus, OutputStatus, ProcessorStatus,
};
use crate::thread::StageThread;

/// How a file is processed.
#[derive(Clone, Debug, Default)]
pub struct OfflineConfig {
    /// The worker's own parameters and the processor's.
    pub params: Params,
    /// How video is encoded.
    pub encode: EncodeConfig,
    /// What becomes of audio.
    pub audio: AudioMode,
    /// What takes the place of a frame that the processor failed on.
    pub on_error: OnError,
}

/// How far a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that were read.
    pub bytes_in: u64,
    /// Frames processed.
    pub processed: u64,
    /// Coded pictures written.
    pub frames_out: u64,
    /// Bytes written.
    pub bytes_out: u64,
}

/// What was done.
#[derive(Clone, Debug, serde::Serialize)]
pub struct OfflineSummary {
    /// Frames, by what became of them.
    pub frames: FrameCounts,
    /// The input.
    pub input: InputStatus,
    /// The output.
    pub output: OutputStatus,
    /// The video decoder, if there was one.
    pub decoder: Option<CodecStatus>,
    /// The video encoder, if there was one.
    pub encoder: Option<CodecStatus>,
    /// Sound.
    pub audio: AudioStatus,
    /// The processor.
    pub processor: ProcessorStatus,
    /// What went wrong and was survived.
    pub faults: Faults,
}

/// A file could not be processed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// It could not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The input cannot be read.
    #[error("reading the input: {0}")]
    Read(#[source] ReadError),
    /// The output cannot be written.
    #[error("writing the output: {0}")]
    Write(#[source] io::Error),
    /// It has pictures, and none of them could be decoded; what sound there is was written.
    #[error("none of its {0} pictures could be decoded")]
    NoPictures(Codec),
    /// It has streams, and nothing came of them.
    #[error("nothing of it could be used")]
    Nothing,
    /// A stage gave up.
    #[error("{0}")]
    Ended(EndReason),
}

/// Sends `source` through decoder, processor and encoder and writes a transport stream to `output`.
/// The same input, configuration and build give the same bytes, on any number of cores and under
/// any load, as long as the processor is as reproducible.
///
/// Blocks until it is done, so it must not be called from one of tokio's workers; the processor's
/// futures run in the context of `runtime`. `progress` is called after every picture written, on
/// this thread.
///
/// # Errors
/// [`OfflineError`]; what was written until then stays written.
pub fn process<W: Write>(
    config: &OfflineConfig,
    model: &SharedModel,
    backends: &Backends,
    runtime: &Handle,
    source: MediaReader,
    output: W,
    mut progress: impl FnMut(Progress),
) -> Result<OfflineSummary, OfflineError> {
    config.encode.validate().map_err(StartError::from)?;
    let shared = Arc::new(Shared::new("file".into(), false));
    let stage = ProcessStage::open(
        model,
        StreamContext::detached(),
        &config.params,
        Policy {
            on_error: config.on_error,
            frame_deadline: None,
        },
        Driver::new(runtime.clone(), shared.cancel.clone()),
        Arc::clone(&shared),
    )?;
    shared.stats.facts().audio.mode = config.audio;
    let intake = Intake::new(Arc::clone(&shared), config.audio);
    let decode = DecodeStage::new(Arc::clone(&shared), backends.clone());
    let encode = EncodeStage::new(
        Arc::clone(&shared),
        backends.clone(),
        config.encode.clone(),
        false,
    );
    let mut threads = Joined(Arc::clone(&shared), Vec::new());
    threads.spawn("process", || stage.run())?;
    threads.spawn("decode", || decode.run())?;
    threads.spawn("encode", || encode.run())?;
    let (read, written) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let result = read(source, intake, &shared);
            if result.is_err() {
                // What is on its way is still finished and written.
                shared.queues.decode.close();
            }
            result
        });
        let written = write(&shared, output, config.encode.gop, &mut progress);
        if written.is_err() {
            shared.fail(EndReason::Stopped);
        }
        let read = reader.join().unwrap_or_else(|panic| {
            let message = crate::thread::panic_message(panic.as_ref());
            Err(OfflineError::Ended(EndReason::Internal(message)))
        });
        (read, written)
    });
    drop(threads);
    written?;
    read?;
    if let Some(reason) = shared.reason() {
        return Err(OfflineError::Ended(reason));
    }
    let snapshot = shared.stats.snapshot(std::time::Instant::now());
    if let Some(codec) = snapshot.facts.input.video_codec
        && snapshot.frames.received > 0
        && shared.stats.decoded.get() == 0
    {
        return Err(OfflineError::NoPictures(codec));
    }
    if shared.stats.bytes_out.get() == 0 {
        return Err(OfflineError::Nothing);
    }
    Ok(OfflineSummary {
        frames: snapshot.frames,
        input: snapshot.facts.input,
        output: snapshot.facts.output,
        decoder: snapshot.facts.decoder,
        encoder: snapshot.facts.encoder,
        audio: snapshot.facts.audio,
        processor: snapshot.facts.processor,
        faults: snapshot.faults,
    })
}

/// Threads that are joined when this goes.
struct Joined(Arc<Shared>, Vec<StageThread>);

impl Joined {
    fn spawn(
        &mut self,
        stage: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        match StageThread::spawn(stage, &self.0, run) {
            Ok(thread) => {
                self.1.push(thread);
                Ok(())
            }
            Err(error) => {
                self.0.fail(EndReason::Stopped);
                Err(error)
            }
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        for thread in &mut self.1 {
            thread.join();
        }
    }
}

/// Reads the source to its end.
fn read(mut source: MediaReader, mut intake: Intake, shared: &Shared) -> Result<(), OfflineError> {
    let mut counted = 0;
    while let Some(event) = source.next_event().map_err(OfflineError::Read)? {
        let bytes = source.bytes_read();
        shared.stats.bytes_in.add(bytes - counted);
        counted = bytes;
        let taken = match event {
            MediaEvent::Streams(streams) => intake.streams(&streams),
            MediaEvent::Unit(unit) => intake.unit(unit),
            MediaEvent::Fault(fault) => {
                note_fault(&fault, shared);
                Ok(())
            }
        };
        if taken.is_err() {
            return Ok(());
        }
    }
    intake.finish();
    Ok(())
}

/// Writes what comes out of the stages, until they have ended.
fn write<W: Write>(
    shared: &Shared,
    mut file: W,
    target: Duration,
    progress: &mut impl FnMut(Progress),
) -> Result<(), OfflineError> {
    let mut output = Output::new(false, target);
    let mut more = true;
    while more {
        match shared.queues.egress.pop() {
            Some(item) => output.push(item, None, shared),
            None => {
                output.finish(shared);
                more = false;
            }
        }
        while let Some(chunk) = output.pop() {
            file.write_all(&chunk.bytes).map_err(OfflineError::Write)?;
            let stats = &shared.stats;
            stats.bytes_out.add(chunk.bytes.len() as u64);
            stats.segments_out.add(u64::from(chunk.starts_segment));
            sent(shared, chunk.video.as_ref());
            if chunk.video.is_some() {
                progress(Progress {
                    bytes_in: stats.bytes_in.get(),
                    processed: stats.processed.get(),
                    frames_out: stats.video_out.get(),
                    bytes_out: stats.bytes_out.get(),
                });
            }
        }
    }
    file.flush().map_err(OfflineError::Write)
}
