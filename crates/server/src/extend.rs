//! What a program adds to its server: routes, files, layers, CORS, hooks.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::Route;
use tower::{Layer, Service};
use tower_http::services::ServeDir;
use trickle_proto::ServerTls;

use crate::builder::StreamServerBuilder;
use crate::cors::CorsOrigins;
use crate::worker::Worker;

/// An error of a hook.
pub type HookError = Box<dyn Error + Send + Sync>;

type HookFuture = Pin<Box<dyn Future<Output = Result<(), HookError>> + Send>>;
pub(crate) type Hook = Box<dyn FnOnce(Worker) -> HookFuture + Send + Sync>;
type Wrap = Box<dyn FnOnce(Router) -> Router + Send>;

/// Additions to the API's router, and to the server's start and end.
#[derive(Default)]
pub(crate) struct Extensions {
    routes: Router,
    layers: Vec<Wrap>,
    cors: Option<CorsOrigins>,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) hooks: Hooks,
}

/// Called once each, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) start: Vec<Hook>,
    pub(crate) stop: Vec<Hook>,
}

impl Extensions {
    /// The API with everything around it, and what is left for the server's start and end.
    pub(crate) fn apply(self, api: Router) -> (Router, Hooks, Option<ServerTls>) {
        let mut router = api.fallback_service(self.routes);
        for wrap in self.layers {
            router = wrap(router);
        }
        if let Some(origins) = self.cors {
            router = router.layer(origins.layer());
        }
        (router, self.hooks, self.tls)
    }
}

impl StreamServerBuilder {
    /// Adds routes. The worker's own come first, so that these can neither hide nor break them; a
    /// fallback of `routes` answers what nobody else does. State of any type comes with
    /// [`Router::with_state`]; handlers reach the worker by
    /// [`Extension<Worker>`](crate::Worker). The token guards the worker's routes only.
    ///
    /// ```
    /// use axum::{Extension, Router, routing::get};
    /// use trickle_processor::builtin::Passthrough;
    /// use trickle_server::{StreamServer, Worker};
    ///
    /// async fn active(Extension(worker): Extension<Worker>) -> String {
    ///     worker.sessions().len().to_string()
    /// }
    ///
    /// let server = StreamServer::builder(Passthrough)
    ///     .routes(Router::new().route("/active", get(active)))
    ///     .build()?;
    /// # Ok::<(), trickle_server::BuildError>(())
    /// ```
    pub fn routes(mut self, routes: Router) -> Self {
        self.extensions.routes = self.extensions.routes.merge(routes);
        self
    }

    /// Serves the files below `directory` at `path`, such as `/static`; a directory is answered
    /// with its `index.html`.
    pub fn static_files(mut self, path: &str, directory: impl Into<PathBuf>) -> Self {
        let files = ServeDir::new(directory.into());
        let routes = self.extensions.routes;
        self.extensions.routes = match path.trim_end_matches('/') {
            "" => routes.fallback_service(files),
            path => routes.nest_service(path, files),
        };
        self
    }

    /// Wraps everything that is served, the worker's own routes too, in a layer; the last one
    /// added sees a request first.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let wrap = move |router: Router| router.layer(layer);
        self.extensions.layers.push(Box::new(wrap));
        self
    }

    /// Lets pages of these origins call the worker from a browser (CORS). Default: none.
    pub fn cors(mut self, origins: CorsOrigins) -> Self {
        self.extensions.cors = Some(origins);
        self
    }

    /// Serves https with this certificate. Default: http.
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.extensions.tls = Some(tls);
        self
    }

    /// Runs `hook` when the server starts, before it accepts connections. An error ends the
    /// server.
    pub fn on_start<F, Done>(mut self, hook: F) -> Self
    where
        F: FnOnce(Worker) -> Done + Send + Sync + 'static,
        Done: Future<Output = Result<(), HookError>> + Send + 'static,
    {
        let hook: Hook = Box::new(move |worker| Box::pin(hook(worker)));
        self.extensions.hooks.start.push(hook);
        self
    }

    /// Runs `hook` when the server ends, after its sessions have, within the time for draining.
    /// An error is logged.
    pub fn on_stop<F, Done>(mut self, hook: F) -> Self
    where
        F: FnOnce(Worker) -> Done + Send + Sync + 'static,
        Done: Future<Output = Result<(), HookError>> + Send + 'static,
    {
        let hook: Hook = Box::new(move |worker| Box::pin(hook(worker)));
        self.extensions.hooks.stop.push(hook);
        self
    }
}
