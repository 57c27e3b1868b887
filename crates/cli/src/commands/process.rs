//! `trickle process`: a file through a processor, as fast as it goes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use indicatif::HumanBytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use trickle_media::Backends;
use trickle_processor::{Params, Registry, SharedModel};
use trickle_session::offline::{
    self, OfflineConfig, OfflineError, OfflineSummary, Progress, Source,
};

use crate::error::CliError;
use crate::settings::{BackendFlags, EncodeFlags, ProcessorFlags, params};
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
    /// MPEG-TS file to write; - is stdout
    #[arg(value_name = "OUT|-")]
    output: PathBuf,
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
  trickle process in.ts out.ts --processor tint --params '{\"strength\": 0.5, \"width\": 640, \"height\": 360}'

The same input, settings, build and backend give the same bytes.";

pub(crate) async fn run(args: ProcessArgs, registry: &Registry, ui: &Ui) -> Result<(), CliError> {
    check_output(&args)?;
    let model = args.processor.model(registry)?;
    let config = OfflineConfig {
        params: args.params.unwrap_or_default(),
        encode: args.encode.resolve()?,
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

fn check_output(args: &ProcessArgs) -> Result<(), CliError> {
    if args
        .output
        .extension()
        .is_some_and(|extension| extension == "mp4")
    {
        return Err(CliError::usage("the output is MPEG-TS: name it .ts"));
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
    output: PathBuf,
    config: OfflineConfig,
    model: SharedModel,
    backends: Backends,
    stop: CancellationToken,
    ui: Ui,
}

impl Job {
    fn run(self, runtime: &Handle) -> Result<String, CliError> {
        let (source, size) = open(&self.input)?;
        let output = Stoppable {
            inner: create(&self.output)?,
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
            output,
            progress,
        );
        bar.finish_and_clear();
        match processed {
            Ok(summary) => Ok(describe(&self.output, &summary, began)),
            Err(_) if self.stop.is_cancelled() => Err(CliError::new(format!(
                "interrupted: {} is not complete",
                self.output.display()
            ))),
            Err(error @ OfflineError::Write(_)) => Err(CliError::caused(
                format!("cannot write {}", self.output.display()),
                &error,
            )),
            Err(error) => Err(CliError::caused(
                format!("cannot process {}", input::name(&self.input)),
                &error,
            )),
        }
    }
}

/// The input, and its size where progress can be measured by it.
fn open(path: &Path) -> Result<(Source<'static>, Option<u64>), CliError> {
    if path == Path::new("-") {
        return Ok((Source::Ts(Box::new(io::stdin())), None));
    }
    let failed =
        |error: io::Error| CliError::caused(format!("cannot read {}", path.display()), &error);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let source = Source::detect(BufReader::new(file)).map_err(failed)?;
    let read_in_order = matches!(source, Source::Ts(_));
    Ok((source, read_in_order.then_some(size)))
}

fn create(path: &Path) -> Result<Box<dyn Write + Send>, CliError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let file = File::create(path)
        .map_err(|error| CliError::caused(format!("cannot create {}", path.display()), &error))?;
    Ok(Box::new(BufWriter::new(file)))
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
