//! The trickle protocol: numbered segments, streamed over HTTP while they are written.
//!
//! A **channel** is a named sequence of **segments**, each an opaque string of bytes. A publisher
//! POSTs segment after segment; any number of subscribers GET them, and get the bytes as they
//! come in, not when a segment is complete. A **relay** stands in between and keeps the last few
//! segments of every channel.
//!
//! ```
//! use bytes::Bytes;
//! use trickle_proto::{Client, ClientConfig, PublishOptions, Relay, RelayConfig, Start};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let relay = Relay::new(RelayConfig { autocreate: true, ..RelayConfig::default() });
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("http://{}/camera", listener.local_addr()?).parse()?;
//! tokio::spawn(async move { relay.serve(listener, std::future::pending()).await });
//!
//! let client = Client::new(ClientConfig::default())?;
//! let mut publisher = client.publish(&url, PublishOptions::new("text/plain")).await?;
//! let mut segment = publisher.next_segment().await?;
//! segment.write(Bytes::from_static(b"hello")).await?;
//!
//! let mut subscriber = client.subscribe(&url, Start::At(0.into()))?;
//! let mut reader = subscriber.next_segment().await?.expect("a live channel");
//! assert_eq!(reader.chunk().await?.as_deref(), Some(&b"hello"[..])); // before the segment ends
//!
//! segment.finish().await?;
//! publisher.close().await?;
//! assert!(subscriber.next_segment().await?.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! The rules live in state machines without sockets and without a clock ([`channel`],
//! [`registry`], [`publish`], [`subscribe`]); `http` connects them to tokio and hyper.
#![forbid(unsafe_code)]

pub mod auth;
pub mod channel;
pub mod conformance;
pub mod error;
mod http;
pub mod limits;
pub mod load;
pub mod publish;
pub mod registry;
pub mod retry;
pub mod segment;
pub mod seq;
pub mod subscribe;
mod sync;
pub mod wire;

pub use self::{
    auth::{Access, Token},
    error::{BadUrl, ConfigError, PublishError, SubscribeError},
    http::{
        body::RelayBody,
        client::{Client, ClientConfig},
        publisher::{PublishOptions, Publisher, SegmentOver, SegmentWriter},
        relay::{Relay, RelayConfig, RelayResponse},
        subscriber::{SegmentReader, Subscriber},
        tls::{ClientTls, ServerTls, TlsError},
    },
    limits::Limits,
    publish::PublishStop,
    registry::NoRoom,
    retry::RetryPolicy,
    seq::{SegmentRef, Seq},
    subscribe::{Gap, Start, SubscribeStop},
};
