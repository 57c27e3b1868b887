//! `trickle process`: a file through a processor, as fast as it goes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use indicatif::HumanBytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use trickle_media::{Backends, Codec};
use trickle_processor::{Params, Registry, SharedModel};
use trickle_session::offline::{self, OfflineConfig, OfflineError, OfflineSummary, Progress};
use trickle_session::{EncodeConfig, WorkerParams};

use crate::error::CliError;
use crate::input::ReadFlags;
use crate::settings::{BackendFlags, EncodeFlags, ProcessorFlags, params};
use crate::sink::{Sink, is_mp4};
use crate::ui::Ui;
use crate::{input, interrupt};

/// Run a file through a processor and write the result, through the stages of a live stream but
/// without dropping anything
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ProcessArgs {
    /// MP4 or MPEG-TS file; - reads MPEG-TS from stdin
    #[arg(value_name = "IN|-")]
    input: PathBuf,
    /// File to write: MP4 if it is named .mp4, else MPEG-TS; - is stdout
    #[arg(value_name = "OUT|-")]
    output: PathBuf,
    #[command(flatten)]
    read: ReadFlags,
    #[command(flatten)]
    processor: ProcessorFlags,
    /// Parameters of the processor and of the worker, a JSON object
    #[arg(long, value_name = "JSON", value_parser = params)]
    params: Option<Params>,
    #[command(flatten)]
    encode: EncodeFlags,
    #[command(flatten)]
    backends: BackendFlags,
}

const EXAMPLES: &str = "\
Examples:
  trickle process in.mp4 out.ts --processor grayscale
  trickle process in.ts out.mp4
  trickle process in.ts out.ts --processor tint --params '{\"strength\": 0.5, \"width\": 640, \"height\": 360}'

The same input, settings, build and backend give the same bytes.";

pub(crate) async fn run(args: ProcessArgs, registry: &Registry, ui: &Ui) -> Result<(), CliError> {
    let encode = args.encode.resolve()?;
    check_output(&args, &encode)?;
    let model = args.processor.model(registry)?;
    let params = args.params.unwrap_or_default();
    // What is wrong with a parameter is told where all of them are looked at.
    let worker = WorkerParams::default().updated(&params);
    let input_program = worker.ok().and_then(|(worker, _)| worker.input_program);
    let config = OfflineConfig {
        params,
        encode,
        audio: args.encode.audio,
        on_error: args.encode.on_error,
    };
    let stop = interrupt::token(ui);
    model
        .initialize()
        .await
        .map_err(|error| CliError::caused("cannot load the processor", &error))?;
    let job = Job {
        input: args.input,
        read: ReadFlags {
            program: args.read.program.or(input_program),
        },
        output: args.output,
        config,
        model,
        backends: args.backends.open().await?,
        stop,
        ui: ui.clone(),
    };
    let runtime = Handle::current();
    let summary = tokio::task::spawn_blocking(move || job.run(&runtime))
        .await
        .map_err(|error| CliError::caused("processing", &error))??;
    ui.say(&summary);
    Ok(())
}

fn check_output(args: &ProcessArgs, encode: &EncodeConfig) -> Result<(), CliError> {
    if is_mp4(&args.output) && encode.codec != Codec::H264 {
        return Err(CliError::usage(format!(
            "MP4 files are written with H.264 only, not {}",
            encode.codec
        ))
        .hint("write MPEG-TS: name the output .ts"));
    }
    let same = match (args.input.canonicalize(), args.output.canonicalize()) {
        (Ok(input), Ok(output)) => input == output,
        _ => false,
    };
    if same {
        return Err(CliError::usage(
            "input and output are the same file, which would be overwritten as it is read",
        ));
    }
    Ok(())
}

/// Everything that the blocking part needs.
struct Job {
    input: PathBuf,
    read: ReadFlags,
    output: PathBuf,
    config: OfflineConfig,
    model: SharedModel,
    backends: Backends,
    stop: CancellationToken,
    ui: Ui,
}

impl Job {
    fn run(self, runtime: &Handle) -> Result<String, CliError> {
        let source = input::open(&self.input, self.read)?;
        let size = std::fs::metadata(&self.input).map(|file| file.len()).ok();
        let mut output = Stoppable {
            inner: Sink::create(&self.output, ReadFlags::default())?,
            stop: self.stop.clone(),
        };
        let bar = match size {
            Some(size) => self.ui.bytes(size),
            None => self.ui.spinner(),
        };
        let began = Instant::now();
        let progress = |done: Progress| {
            bar.set_position(done.bytes_in);
            let rate = done.frames_out as f64 / began.elapsed().as_secs_f64().max(1e-3);
            bar.set_message(format!("{} frames, {rate:.0} fps", done.frames_out));
        };
        let processed = offline::process(
            &self.config,
            &self.model,
            &self.backends,
            runtime,
            source,
            &mut output,
            progress,
        );
        bar.finish_and_clear();
        let write_failed = |error: &io::Error| {
            CliError::caused(format!("cannot write {}", self.output.display()), error)
        };
        // What was written until an error is still made a file that plays.
        let finished = output.inner.finish();
        if processed.is_err() {
            self.remove_empty();
        }
        match processed {
            Ok(summary) => {
                finished.map_err(|error| write_failed(&error))?;
                Ok(describe(&self.output, &summary, began))
            }
            Err(_) if self.stop.is_cancelled() => Err(CliError::new(format!(
                "interrupted: {} is not complete",
                self.output.display()
            ))),
            Err(OfflineError::Write(error)) => Err(write_failed(&error)),
            Err(error) => {
                let unusable = matches!(error, OfflineError::NoPictures(_) | OfflineError::Nothing);
                let what = format!("cannot process {}", input::name(&self.input));
                let told = CliError::caused(what, &error);
                Err(if unusable {
                    told.hint("`trickle probe` says what is wrong with it")
                } else {
                    told
                })
            }
        }
    }

    /// A file that nothing was written to says less than none.
    fn remove_empty(&self) {
        let empty = |file: std::fs::Metadata| file.is_file() && file.len() == 0;
        if std::fs::metadata(&self.output).is_ok_and(empty)
            && let Err(error) = std::fs::remove_file(&self.output)
        {
            tracing::debug!(%error, "an empty output stays");
        }
    }
}

fn describe(path: &Path, summary: &OfflineSummary, began: Instant) -> String {
    let seconds = began.elapsed().as_secs_f64();
    format!(
        "{}: {} frames out of {}, {} in {seconds:.1} s ({:.0} fps)",
        path.display(),
        summary.frames.out,
        summary.frames.received,
        HumanBytes(summary.output.bytes),
        summary.frames.out as f64 / seconds.max(1e-3),
    )
}

/// A writer that fails once it is told to stop: the only thing that ends the stages early.
struct Stoppable<W> {
    inner: W,
    stop: CancellationToken,
}

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
