//! A relay on a free port, and short ways to publish and read.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub
)]

use bytes::Bytes;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use trickle_proto::{
    Client, ClientConfig, PublishOptions, Publisher, Relay, RelayConfig, SegmentReader, Subscriber,
};
use url::Url;

pub struct Server {
    pub relay: Relay,
    pub url: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub async fn start(config: RelayConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, config)
    }

    pub fn on(listener: TcpListener, config: RelayConfig) -> Self {
        let relay = Relay::new(config);
        let url = format!(
            "http://{}{}",
            listener.local_addr().unwrap(),
            relay.base_path()
        );
        let (stop, stopped) = oneshot::channel();
        let serving = relay.clone();
        let task = tokio::spawn(async move {
            serving
                .serve(listener, async { stopped.await.unwrap_or(()) })
                .await
        });
        Self {
            relay,
            url,
            stop: Some(stop),
            task,
        }
    }

    /// A relay that lets publishers make channels.
    pub async fn open() -> Self {
        Self::start(RelayConfig {
            autocreate: true,
            ..RelayConfig::default()
        })
        .await
    }

    pub fn channel(&self, name: &str) -> Url {
        format!("{}{name}", self.url).parse().unwrap()
    }

    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    /// Ends the relay as a crash would: no drain.
    pub async fn kill(self) {
        self.task.abort();
        self.task.await.unwrap_err();
    }
}

pub fn client() -> Client {
    Client::new(ClientConfig::default()).unwrap()
}

pub async fn publisher(url: &Url) -> Publisher {
    client()
        .publish(url, PublishOptions::new("video/mp2t"))
        .await
        .unwrap()
}

pub async fn write(publisher: &mut Publisher, text: &'static str) {
    let mut segment = publisher.next_segment().await.unwrap();
    segment
        .write(Bytes::from_static(text.as_bytes()))
        .await
        .unwrap();
    segment.finish().await.unwrap();
}

pub async fn next(subscriber: &mut Subscriber) -> SegmentReader {
    subscriber
        .next_segment()
        .await
        .unwrap()
        .expect("a segment, not the end of the stream")
}

pub async fn text(reader: SegmentReader) -> String {
    let bytes = reader.collect(1 << 20).await.unwrap().unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Lets the other tasks run until something is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}
