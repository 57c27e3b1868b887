//! [`StreamServerBuilder`]: what a server can be told before it runs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use trickle_media::Backends;
use trickle_media::hardware::{HardwareProbe, NoHardware};
use trickle_processor::{SharedModel, checked};
use trickle_proto::{Client, ClientConfig, Token};
use trickle_session::{AudioMode, DataFormat, EncodeConfig, OnError, OnStall, SessionConfig};

use crate::app::{Shared, StreamServer};
use crate::config::{Config, HealthStyle, Identity};
use crate::error::{BuildError, ServeError};
use crate::extend::Extensions;
use crate::metrics::http_requests::HttpMetrics;
use crate::model_gate::ModelGate;
use crate::registration::{ByocConfig, LiveRunnerConfig, Registrations};
use crate::slots::Slots;

/// Port of the reference.
const DEFAULT_PORT: u16 = 8000;
/// Time that a start waits for a model that is still loading.
const DEFAULT_LOAD_WAIT: Duration = Duration::from_secs(30);
/// Time that sessions have to flush their last frames when the server shuts down.
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a [`StreamServer`]; made by [`StreamServer::builder`].
#[must_use]
pub struct StreamServerBuilder {
    model: SharedModel,
    backends: Option<Backends>,
    hardware: Arc<dyn HardwareProbe>,
    client: Option<Client>,
    token: Option<String>,
    byoc: Option<ByocConfig>,
    live_runner: Option<LiveRunnerConfig>,
    config: Config,
    pub(crate) extensions: Extensions,
}

impl StreamServerBuilder {
    pub(crate) fn new(model: SharedModel) -> Self {
        Self {
            model,
            backends: None,
            hardware: Arc::new(NoHardware),
            client: None,
            token: None,
            byoc: None,
            live_runner: None,
            config: Config {
                addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT),
                identity: Identity {
                    capability_name: "custom-processor".into(),
                    pipeline: "byoc".into(),
                    model_id: None,
                    version: env!("CARGO_PKG_VERSION").into(),
                },
                capacity: NonZeroUsize::MIN,
                token: None,
                program: None,
                encode: EncodeConfig::default(),
                audio: AudioMode::default(),
                on_error: OnError::default(),
                on_stall: OnStall::default(),
                stall_timeout: Some(SessionConfig::STALL_TIMEOUT),
                frame_deadline: Some(SessionConfig::FRAME_DEADLINE),
                session_idle_timeout: Some(SessionConfig::IDLE_TIMEOUT),
                accept_while_loading: false,
                data_format: DataFormat::default(),
                health_style: HealthStyle::default(),
                load_wait: DEFAULT_LOAD_WAIT,
                drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            },
            extensions: Extensions::default(),
        }
    }

    /// Listens on all addresses of the machine at this port. Default: 8000.
    pub fn port(self, port: u16) -> Self {
        self.addr(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
    }

    /// Listens on this address.
    pub fn addr(mut self, addr: SocketAddr) -> Self {
        self.config.addr = addr;
        self
    }

    /// The name under which orchestrators know the worker. Default: `custom-processor`.
    pub fn capability_name(mut self, name: impl Into<String>) -> Self {
        self.config.identity.capability_name = name.into();
        self
    }

    /// The pipeline that `/version` states. Default: `byoc`.
    pub fn pipeline(mut self, pipeline: impl Into<String>) -> Self {
        self.config.identity.pipeline = pipeline.into();
        self
    }

    /// The model that `/version` states. Default: the capability's name.
    pub fn model_id(mut self, model_id: impl Into<String>) -> Self {
        self.config.identity.model_id = Some(model_id.into());
        self
    }

    /// The version that `/version` and `/app-version` state. Default: this crate's.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.config.identity.version = version.into();
        self
    }

    /// Where video is decoded and encoded. Default: on the CPU.
    pub fn backends(mut self, backends: Backends) -> Self {
        self.backends = Some(backends);
        self
    }

    /// What tells of the machine's devices, for the hardware routes. Default: nothing.
    pub fn hardware(mut self, probe: impl HardwareProbe + 'static) -> Self {
        self.hardware = Arc::new(probe);
        self
    }

    /// The client through which sessions reach their channels. Default: one of its own.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Streams that may run at once. Default: 1, as in the reference.
    pub fn capacity(mut self, sessions: NonZeroUsize) -> Self {
        self.config.capacity = sessions;
        self
    }

    /// Stream routes want `Authorization: Bearer TOKEN`. Default: open to everybody.
    pub fn auth_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Registers with a BYOC orchestrator while it serves.
    pub fn byoc(mut self, config: ByocConfig) -> Self {
        self.byoc = Some(config);
        self
    }

    /// Registers with an orchestrator as a live runner while it serves.
    pub fn live_runner(mut self, config: LiveRunnerConfig) -> Self {
        self.live_runner = Some(config);
        self
    }

    /// How sessions encode video.
    pub fn encode(mut self, encode: EncodeConfig) -> Self {
        self.config.encode = encode;
        self
    }

    /// What sessions do with audio.
    pub fn audio(mut self, audio: AudioMode) -> Self {
        self.config.audio = audio;
        self
    }

    /// Program that is read of inputs that hold several, by its number; `None` reads the first.
    /// The parameter `input_program` of a stream overrides it.
    pub fn input_program(mut self, number: Option<u16>) -> Self {
        self.config.program = number;
        self
    }

    /// What viewers see of a frame that the processor failed on.
    pub fn on_error(mut self, policy: OnError) -> Self {
        self.config.on_error = policy;
        self
    }

    /// What viewers see while the processor is silent for longer than
    /// [`stall_timeout`](Self::stall_timeout).
    pub fn on_stall(mut self, policy: OnStall) -> Self {
        self.config.on_stall = policy;
        self
    }

    /// Longest time that viewers wait for the processor; `None` lets them wait for ever.
    /// Default: 3 s.
    pub fn stall_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.config.stall_timeout = timeout;
        self
    }

    /// Longest way of a frame; one that cannot be out by then is skipped. Default: 1 s.
    pub fn frame_deadline(mut self, deadline: Option<Duration>) -> Self {
        self.config.frame_deadline = deadline;
        self
    }

    /// Ends a session that nobody has shown interest in for this long: no input, no update, no
    /// message on its control channel. Default: 10 minutes.
    pub fn session_idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.config.session_idle_timeout = timeout;
        self
    }

    /// Sessions run while the model still loads, under the loading overlay, instead of waiting
    /// for it. Default: they wait.
    pub fn accept_while_loading(mut self, accept: bool) -> Self {
        self.config.accept_while_loading = accept;
        self
    }

    /// How sessions write the data items of processors.
    pub fn data_format(mut self, format: DataFormat) -> Self {
        self.config.data_format = format;
        self
    }

    /// How `/health` answers.
    pub fn health_style(mut self, style: HealthStyle) -> Self {
        self.config.health_style = style;
        self
    }

    /// How long a start waits for a model that is still loading. Default: 30 s.
    pub fn load_wait(mut self, wait: Duration) -> Self {
        self.config.load_wait = wait;
        self
    }

    /// Time that sessions have to end when the server shuts down. Default: 10 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.config.drain_timeout = timeout;
        self
    }

    /// Puts the server together. Nothing runs yet.
    ///
    /// # Errors
    /// [`BuildError`] names the option that cannot work.
    pub fn build(self) -> Result<StreamServer, BuildError> {
        let mut config = self.config;
        let registrations =
            Registrations::new(self.byoc, self.live_runner.clone(), self.token.clone());
        if let Some(text) = self.token {
            let token = Token::new(&text).map_err(|error| BuildError::Option {
                option: "auth_token",
                reason: error.to_string(),
            })?;
            config.token = Some(token);
        }
        config
            .encode
            .validate()
            .map_err(|error| BuildError::Option {
                option: "encode",
                reason: error.to_string(),
            })?;
        let model = checked(self.model).map_err(|error| BuildError::Option {
            option: "processor",
            reason: error.to_string(),
        })?;
        let client = match self.client {
            Some(client) => client,
            None => Client::new(ClientConfig::default())
                .map_err(|error| BuildError::Client(error.to_string()))?,
        };
        if let Some(config) = &self.live_runner {
            config.validate()?;
        }
        let slots = Slots::new(config.capacity, client, self.backends.unwrap_or_default());
        let shared = Shared {
            params_schema: model.params_schema(),
            gate: ModelGate::new(model),
            slots,
            config,
            hardware: self.hardware,
            registrations,
            http_metrics: HttpMetrics::default(),
        };
        Ok(StreamServer::new(shared, self.extensions))
    }

    /// Builds the server and serves until Ctrl-C or SIGTERM.
    ///
    /// # Errors
    /// As [`build`](Self::build) and [`StreamServer::serve`].
    pub async fn serve(self) -> Result<(), ServeError> {
        self.build()?.serve().await
    }
}
