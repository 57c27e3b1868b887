//! [`StreamServer`]: the library's front door.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use trickle_media::hardware::HardwareProbe;
use trickle_processor::{IntoModel, SharedModel, erase};
use trickle_proto::ServerTls;

use crate::builder::StreamServerBuilder;
use crate::config::Config;
use crate::error::ServeError;
use crate::extend::{Extensions, Hook, Hooks};
use crate::metrics::http_requests::HttpMetrics;
use crate::model_gate::ModelGate;
use crate::registration::{self, Registrations};
use crate::routes;
use crate::shutdown::{self, Connections};
use crate::slots::Slots;
use crate::worker::Worker;

/// A worker: serves the HTTP API through which an orchestrator starts, updates and stops streams
/// that one processor works on.
///
/// ```no_run
/// use trickle_processor::builtin::Passthrough;
/// use trickle_server::StreamServer;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// StreamServer::builder(Passthrough)
///     .port(8000)
///     .capability_name("passthrough")
///     .serve()
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct StreamServer {
    app: App,
    router: Router,
    hooks: Hooks,
    tls: Option<ServerTls>,
}

/// What routes share.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) gate: ModelGate,
    pub(crate) slots: Slots,
    pub(crate) hardware: Arc<dyn HardwareProbe>,
    pub(crate) http_metrics: HttpMetrics,
    /// What the processor publishes.
    pub(crate) params_schema: Option<Value>,
    pub(crate) registrations: Registrations,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl StreamServer {
    /// A server for `processor`: a model, a processor that is `Clone`, or a closure from frame to
    /// frame.
    pub fn builder<Kind>(processor: impl IntoModel<Kind>) -> StreamServerBuilder {
        Self::builder_for(erase(processor))
    }

    pub(crate) fn new(shared: Shared, extensions: Extensions) -> Self {
        let app = App(Arc::new(shared));
        let (router, hooks, tls) = extensions.apply(routes::router(&app));
        let worker = Worker::new(app.clone());
        Self {
            router: routes::complete(router, worker, &app.http_metrics),
            app,
            hooks,
            tls,
        }
    }

    /// A server for a model of any type, such as one from a
    /// [`Registry`](trickle_processor::Registry).
    pub fn builder_for(model: SharedModel) -> StreamServerBuilder {
        StreamServerBuilder::new(model)
    }

    /// Loads the model, unless that has been done or is under way, and waits for it. Optional:
    /// serving loads it in the background, and answers `LOADING` until then.
    ///
    /// # Errors
    /// [`ServeError::Model`] with the model's own error.
    pub async fn initialize(&self) -> Result<(), ServeError> {
        self.app.gate.begin();
        match self.app.gate.settled().await {
            Ok(_) => Ok(()),
            Err(error) => Err(ServeError::Model(error)),
        }
    }

    /// The API as a service without a socket: for tests, and to be nested into a larger
    /// application. The caller loads the model with [`initialize`](Self::initialize) and ends
    /// sessions with [`drain`](Self::drain); hooks are not called.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The worker as its own routes and hooks see it.
    pub fn worker(&self) -> Worker {
        Worker::new(self.app.clone())
    }

    /// Listens on the configured address and serves until Ctrl-C or SIGTERM.
    ///
    /// # Errors
    /// [`ServeError::Bind`] when the address cannot be had, else as
    /// [`serve_with_shutdown`](Self::serve_with_shutdown).
    pub async fn serve(self) -> Result<(), ServeError> {
        let addr = self.app.config.addr;
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|source| ServeError::Bind { addr, source })?;
        self.serve_with_shutdown(listener, shutdown::signal()).await
    }

    /// Serves on `listener` until `shutdown` resolves, then drains: starts are refused, running
    /// sessions end with their last frames, hooks are called, then connections are closed.
    /// Orchestrators that it was built to register with are registered with meanwhile, and left at
    /// the beginning of the end.
    ///
    /// # Errors
    /// [`ServeError::Hook`] from a hook of the start. [`ServeError::Model`] as soon as the model
    /// fails to load: a worker without a model has nothing to serve. [`ServeError::NotDrained`]
    /// when sessions did not end in time.
    pub async fn serve_with_shutdown(
        mut self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let hooks = std::mem::take(&mut self.hooks);
        for hook in hooks.start {
            hook(self.worker()).await.map_err(ServeError::Hook)?;
        }
        let app = &self.app;
        let addr = match listener.local_addr() {
            Ok(addr) => {
                let capability = &app.config.identity.capability_name;
                tracing::info!(%addr, capability, "serving");
                addr
            }
            Err(error) => {
                tracing::warn!(%error, "serving on an unknown address");
                app.config.addr
            }
        };
        app.gate.begin();
        let leave = CancellationToken::new();
        let https = self.tls.is_some();
        let registered = registration::serve(app.clone(), addr, https, leave.clone());
        let registered = AbortOnDropHandle::new(tokio::spawn(registered));
        let connections = Connections::new(self.tls.clone());
        let end = connections
            .accept(&listener, &self.router, until_ended(app, shutdown))
            .await;
        tracing::info!("draining");
        leave.cancel();
        let drained = connections
            .accept(&listener, &self.router, async {
                let (drained, left) = tokio::join!(self.drain(), registered);
                if let Err(error) = left {
                    tracing::error!(%error, "the registrations did not end well");
                }
                self.call_stop_hooks(hooks.stop).await;
                drained
            })
            .await;
        drop(listener);
        connections.close().await;
        end.and(drained)
    }

    /// Refuses new sessions, ends those that run and waits until they have ended.
    ///
    /// # Errors
    /// [`ServeError::NotDrained`] when that takes longer than the configured time.
    pub async fn drain(&self) -> Result<(), ServeError> {
        let within = self.app.config.drain_timeout;
        self.app
            .slots
            .drain(within)
            .await
            .map_err(|sessions| ServeError::NotDrained { sessions, within })
    }

    async fn call_stop_hooks(&self, hooks: Vec<Hook>) {
        for hook in hooks {
            let called = hook(self.worker());
            match tokio::time::timeout(self.app.config.drain_timeout, called).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a hook of the end failed"),
                Err(_) => tracing::error!("a hook of the end took too long"),
            }
        }
    }
}

/// Resolves with the first reason to end: a shutdown, or a model that cannot be loaded.
async fn until_ended(app: &App, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let failed = async {
        match app.gate.settled().await {
            Ok(_) => std::future::pending().await,
            Err(error) => error,
        }
    };
    tokio::select! {
        () = shutdown => Ok(()),
        error = failed => Err(ServeError::Model(error)),
    }
}
