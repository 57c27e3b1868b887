//! A worker with more than the API: a page, a route of its own, a hook, a layer.
//!
//! ```sh
//! ./run cargo run --package trickle-server --example extended
//! curl localhost:8000/gain -d 0.5     # for all streams that run
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Extension, Router};
use tower_http::set_header::SetResponseHeaderLayer;
use trickle_processor::{FrameProcessor, ProcessorError, VideoFrame};
use trickle_server::{CorsOrigins, StreamServer, Worker};

/// A number that every session's processor and the route share: an `f32`'s bits.
#[derive(Clone)]
struct Gain(Arc<AtomicU32>);

#[derive(Clone)]
struct Brightness {
    gain: Gain,
}

impl FrameProcessor for Brightness {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        let gain = f32::from_bits(self.gain.0.load(Ordering::Relaxed));
        let frame = frame.map_tensor(|rgb, _shape| {
            rgb.iter_mut()
                .for_each(|value| *value = (*value * gain).min(1.0));
        })?;
        Ok(Some(frame))
    }
}

async fn page(Extension(worker): Extension<Worker>) -> Html<String> {
    Html(format!("<p>{} streams</p>", worker.sessions().len()))
}

async fn set_gain(State(gain): State<Gain>, body: String) -> Result<(), String> {
    let value: f32 = body
        .trim()
        .parse()
        .map_err(|_| "send a number".to_owned())?;
    gain.0.store(value.to_bits(), Ordering::Relaxed);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gain = Gain(Arc::new(AtomicU32::new(1.0_f32.to_bits())));
    let routes = Router::new()
        .route("/", get(page))
        .route("/gain", post(set_gain))
        .with_state(gain.clone());
    StreamServer::builder(Brightness { gain })
        .capability_name("brightness")
        .routes(routes)
        .static_files("/docs", "docs")
        .cors(CorsOrigins::any())
        .layer(SetResponseHeaderLayer::overriding(
            HeaderName::from_static("cache-control"),
            HeaderValue::from_static("no-store"),
        ))
        .on_start(|_worker| async {
            println!("ready to serve");
            Ok(())
        })
        .on_stop(|_worker| async {
            println!("all streams have ended");
            Ok(())
        })
        .serve()
        .await?;
    Ok(())
}
