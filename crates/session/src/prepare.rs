//! A session before it touches its channels: everything checked, its processor open.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use trickle_media::Backends;
use trickle_processor::{DataSink, Driver, Params, SharedModel, StreamContext};
use trickle_proto::{Client, PublishOptions, Publisher, Start, Subscriber};
use url::Url;

use crate::config::SessionConfig;
use crate::error::StartError;
use crate::intake::Intake;
use crate::loading::wait_for_model;
use crate::params::WorkerParams;
use crate::process::{Policy, ProcessStage};
use crate::session::{Parts, Session};
use crate::shared::Shared;
use crate::side::SideChannels;
use crate::thread::StageThread;

/// MIME type of the output channel.
const MIME: &str = "video/mp2t";

impl Session {
    /// Checks everything and opens the processor on its own thread: gives it its parameters and
    /// calls `on_stream_start`. Waits for the processor only, and touches no channel, so that a
    /// session that cannot be is refused before another is ended for it. Dropping the future
    /// cancels it.
    ///
    /// # Errors
    /// [`StartError`] says what cannot be; nothing is left running then.
    pub async fn prepare(
        config: SessionConfig,
        model: &SharedModel,
        client: &Client,
    ) -> Result<Prepared, StartError> {
        let (ready, opened) = oneshot::channel();
        let model = model.clone();
        let prepared = Prepared::new(config, client, move |parts, driver| {
            let policy = parts.policy;
            let (context, params, shared) = (parts.context, parts.params, parts.shared);
            match ProcessStage::open(&model, context, &params, policy, driver, shared) {
                Ok(stage) => {
                    // Nobody waits when the start was given up; the queues are closed then.
                    let _ = ready.send(Ok(()));
                    stage.run();
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })
        .await?;
        // From here on, an early return or a drop of this future joins what was started.
        match opened.await {
            Ok(Ok(())) => Ok(prepared),
            Ok(Err(error)) => {
                prepared.give_up().await;
                Err(error)
            }
            Err(_) => {
                let reason = prepared.shared.reason();
                let message = reason.map_or_else(String::new, |r| r.to_string());
                prepared.give_up().await;
                Err(StartError::Internal(message))
            }
        }
    }

    /// As [`prepare`](Self::prepare), with a model that is still on its way: the session runs at
    /// once, its frames go out under the loading overlay, and it goes over to the processor when
    /// `model` resolves. A model that fails, or whose processor rejects the parameters, is a
    /// processor that fails on every frame: [`SessionConfig::on_error`] says what that leads to.
    ///
    /// # Errors
    /// As there, for what is known without the processor.
    pub async fn prepare_loading(
        config: SessionConfig,
        model: impl Future<Output = Result<SharedModel, String>> + Send + 'static,
        client: &Client,
    ) -> Result<Prepared, StartError> {
        WorkerParams::default().updated(&config.params)?;
        Prepared::new(config, client, move |parts, driver| {
            let policy = parts.policy;
            let (context, params, shared) = (parts.context, parts.params, parts.shared);
            match wait_for_model(model, context, &params, policy, driver, &shared) {
                Some(stage) => stage.run(),
                None => shared.queues.encode.close(),
            }
        })
        .await
    }
}

/// A session that can be: its processor is open, or will be as soon as the model is loaded. Its
/// channels have not been touched. Dropping it ends what it holds.
pub struct Prepared {
    shared: Arc<Shared>,
    config: SessionConfig,
    client: Client,
    subscriber: Option<Subscriber>,
    publisher: Option<Publisher>,
    parts: Parts,
    context: StreamContext,
    emitted: DataSink,
    side: SideChannels,
}

/// What the processing thread starts with.
struct ForProcessing {
    context: StreamContext,
    params: Params,
    policy: Policy,
    shared: Arc<Shared>,
}

impl Prepared {
    /// Checks the configuration and starts the processing thread, which does `work`.
    async fn new(
        config: SessionConfig,
        client: &Client,
        work: impl FnOnce(ForProcessing, Driver) + Send + 'static,
    ) -> Result<Self, StartError> {
        config.validate()?;
        // Neither touches the network yet.
        let subscriber = match &config.subscribe_url {
            None => None,
            Some(url) => Some(client.subscribe(url, Start::Current).map_err(|error| {
                StartError::Channel {
                    field: "subscribe_url",
                    reason: error.to_string(),
                }
            })?),
        };
        let publisher = match &config.publish_url {
            None => None,
            Some(url) => Some(connect(client, url, false).await?),
        };
        let side = SideChannels::open(&config, client)?;
        let (context, emitted) = StreamContext::new(config.id.clone());
        let shared = Arc::new(Shared::live(&config, context.overlay_slot()));
        let driver = Driver::new(Handle::current(), shared.cancel.clone());
        let start = ForProcessing {
            context: context.clone(),
            params: config.params.clone(),
            policy: Policy {
                on_error: config.on_error,
                frame_deadline: config.frame_deadline,
            },
            shared: Arc::clone(&shared),
        };
        let processor = StageThread::spawn("process", &shared, move || work(start, driver))?;
        let mut facts = shared.stats.facts();
        facts.audio.mode = config.audio;
        facts.processor.on_error = config.on_error;
        facts.processor.on_stall = config.on_stall;
        drop(facts);
        Ok(Self {
            parts: Parts::new(&shared, processor),
            shared,
            config,
            client: client.clone(),
            subscriber,
            publisher,
            context,
            emitted,
            side,
        })
    }

    /// Goes on with an output channel that another session has left: its segments are counted on.
    /// Where the relay does not answer to that, they begin anew.
    pub async fn resume_output(&mut self) {
        let Some(url) = &self.config.publish_url else {
            return;
        };
        match connect(&self.client, url, true).await {
            Ok(publisher) => self.publisher = Some(publisher),
            Err(error) => tracing::warn!(%error, "the output begins anew"),
        }
    }

    /// Starts the stages. The channels are connected to in the background, and trouble with them
    /// ends the session with its reason.
    ///
    /// # Errors
    /// [`StartError::Thread`]; nothing is left running then.
    pub async fn start(mut self, backends: &Backends) -> Result<Session, StartError> {
        if let Err(error) = self.parts.spawn_coders(backends, &self.config) {
            self.give_up().await;
            return Err(error);
        }
        let intake = Intake::new(Arc::clone(&self.shared), self.config.audio);
        let publishing =
            self.parts
                .spawn_tasks(self.subscriber, self.publisher, intake, &self.config);
        self.parts.spawn_side(self.side, self.emitted, &publishing);
        Ok(Session::new(
            self.parts,
            self.context,
            self.config.subscribe_url,
            self.config.publish_url,
            publishing,
        ))
    }

    /// Ends what it holds; bounded in time.
    pub async fn give_up(mut self) {
        self.parts.shut_down().await;
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("id", &self.shared.id)
            .finish_non_exhaustive()
    }
}

async fn connect(client: &Client, url: &Url, resume: bool) -> Result<Publisher, StartError> {
    client
        .publish(url, PublishOptions::new(MIME).resume(resume))
        .await
        .map_err(|error| StartError::Channel {
            field: "publish_url",
            reason: error.to_string(),
        })
}
