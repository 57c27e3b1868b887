//! The main job on one machine: a clip is published live, a worker processes it, and what comes
//! out is recorded and compared with what went in.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use trickle_gpu::NvidiaHardware;
use trickle_media::access_unit::{AccessUnit, MediaKind};
use trickle_media::{Backends, TimeBase};
use trickle_processor::{Params, SharedModel};
use trickle_proto::{ClientConfig, PublishOptions};
use trickle_server::StreamServer;
use trickle_server::client::{WorkerClient, WorkerError};
use trickle_session::feed::{self, FeedOptions, MediaReader};
use trickle_session::{AudioMode, EncodeConfig, OnError};

use crate::error::CliError;
use crate::ui::Ui;
use crate::{channel, input, interrupt, output};

use recording::Recording;
use report::{Comparison, Progress};
use site::Site;

mod recording;
mod report;
mod site;

/// Big Buck Bunny, (c) Blender Foundation, CC BY 3.0.
pub(crate) const CLIP: &[u8] =
    include_bytes!("../../../../testdata/media/bunny_720p25_main_aac51.mp4");
/// Id of the demo's session.
const REQUEST_ID: &str = "demo";
/// How often progress is asked for.
const EVERY: Duration = Duration::from_millis(500);
/// Time that the worker has to end its output after the input has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the demo is to do.
pub(crate) struct Plan {
    /// `None`: the clip in this program.
    pub(crate) input: Option<PathBuf>,
    /// `None`: until Ctrl-C.
    pub(crate) length: Option<Duration>,
    pub(crate) processor: String,
    pub(crate) model: SharedModel,
    pub(crate) params: Params,
    pub(crate) encode: EncodeConfig,
    pub(crate) backends: Backends,
    pub(crate) audio: AudioMode,
    pub(crate) on_error: OnError,
    pub(crate) output: PathBuf,
}

/// What has been published, for the comparison with what comes out.
#[derive(Default)]
struct Published {
    /// Presentation times of pictures, in ticks of 90 kHz and decode order. Not kept for a demo
    /// without an end.
    video: Vec<i64>,
    audio: bool,
}

pub(crate) async fn run(plan: Plan, ui: &Ui) -> Result<(), CliError> {
    let stop = interrupt::token(ui);
    let reader = match &plan.input {
        Some(path) => input::open(path, input::ReadFlags::default())?,
        None => input::embedded(CLIP)?,
    };
    let server = StreamServer::builder_for(plan.model.clone())
        .capability_name(plan.processor.clone())
        .encode(plan.encode.clone())
        .backends(plan.backends.clone())
        .hardware(NvidiaHardware)
        .audio(plan.audio)
        .on_error(plan.on_error)
        .build()
        .map_err(|error| CliError::caused("cannot make the worker", &error))?;
    let site = Site::open(server).await?;
    introduce(&plan, &site, ui);
    let outcome = stream(&plan, &site, reader, stop, ui).await;
    let closed = site.close().await;
    let (published, status) = outcome?;
    closed?;
    let comparison = compare(&plan, &published).await?;
    output::line(&comparison.summary(&plan, &status))?;
    comparison.verdict(&plan, &published, &status)
}

fn introduce(plan: &Plan, site: &Site, ui: &Ui) {
    ui.say(&format!(
        "worker   {}\ninput    {}\noutput   {}",
        site.worker_url, site.input_url, site.output_url
    ));
    if plan.length.is_none() {
        ui.say(&format!(
            "watch    trickle subscribe {} | ffplay -fflags nobuffer -\n\
             ask      curl {}/stream/status\n\
             change   curl -X POST {}/stream/update -d '{{…}}'\n\
             Ctrl-C ends the demo",
            site.output_url, site.worker_url, site.worker_url
        ));
    }
}

/// Runs the stream to its end. What was published, and the worker's last word on the session.
async fn stream(
    plan: &Plan,
    site: &Site,
    reader: MediaReader,
    stop: CancellationToken,
    ui: &Ui,
) -> Result<(Published, Value), CliError> {
    let client = channel::client(ClientConfig::default())?;
    let api = WorkerClient::new(&site.worker_url, &client.config().tls).map_err(worker_error)?;
    let body = json!({
        "gateway_request_id": REQUEST_ID,
        "subscribe_url": site.input_url.as_str(),
        "publish_url": site.output_url.as_str(),
        "params": plan.params,
    });
    api.start(&body).await.map_err(worker_error)?;

    let publisher = client
        .publish(&site.input_url, PublishOptions::new(channel::MIME))
        .await
        .map_err(|error| channel::publish_error(&site.input_url, &error))?;
    let options = FeedOptions {
        looped: reader.can_rewind(),
        length: plan.length,
    };
    let published = Arc::new(Mutex::new(Published::default()));
    let observe = observer(published.clone(), plan.length.is_some());
    let feed = feed::publish(reader, publisher, options, stop, observe);
    let transfer = async {
        let recording = pin!(recording::record(&client, &site.output_url, &plan.output));
        let mut recording = recording.fuse();
        tokio::select! {
            // The session ended before its input did; the worker says why.
            recorded = &mut recording => return recorded,
            fed = feed => fed.map_err(|error| {
                CliError::caused(format!("cannot publish to {}", site.input_url), &error)
            })?,
        }
        tokio::time::timeout(PATIENCE, recording)
            .await
            .unwrap_or_else(|_| {
                Err(CliError::new(format!(
                    "the worker did not end its output within {} s of the end of its input",
                    PATIENCE.as_secs()
                )))
            })
    };
    let progress = Progress::new(ui, plan.length);
    tokio::select! {
        transferred = transfer => transferred?,
        error = watch(&api, &progress) => return Err(error),
    }
    progress.finish();
    let status = settled(&api).await?;
    let published = std::mem::take(&mut *lock(&published));
    Ok((published, status))
}

/// Notes what is published.
fn observer(published: Arc<Mutex<Published>>, keep: bool) -> impl FnMut(&AccessUnit) + Send {
    move |unit| {
        let mut published = lock(&published);
        match unit.codec.kind() {
            MediaKind::Video if keep => published.video.push(unit.pts.in_base(TimeBase::MPEG)),
            MediaKind::Audio => published.audio = true,
            _ => {}
        }
    }
}

fn lock(published: &Mutex<Published>) -> MutexGuard<'_, Published> {
    published.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows progress until the worker can no longer be asked.
async fn watch(api: &WorkerClient, progress: &Progress) -> CliError {
    loop {
        tokio::time::sleep(EVERY).await;
        match api.status().await {
            Ok(status) => progress.show(&status),
            Err(error) => return worker_error(error),
        }
    }
}

fn worker_error(error: WorkerError) -> CliError {
    CliError::new(error.to_string())
}

/// The worker's summary of the session, once it has ended.
async fn settled(api: &WorkerClient) -> Result<Value, CliError> {
    let ended = async {
        loop {
            let mut status = api.status().await.map_err(worker_error)?;
            let summary = status["last_session"].take();
            if !summary.is_null() {
                return Ok(summary);
            }
            tokio::time::sleep(EVERY / 10).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.map_err(|_| {
        CliError::new(format!(
            "the session did not end within {} s of its output",
            PATIENCE.as_secs()
        ))
    })?
}

/// Reads the recording and compares it with what was published.
async fn compare(plan: &Plan, published: &Published) -> Result<Comparison, CliError> {
    let path = plan.output.clone();
    let recording = tokio::task::spawn_blocking(move || Recording::inspect(&path))
        .await
        .map_err(|error| CliError::caused("reading the recording", &error))??;
    Ok(Comparison::new(published, recording))
}
