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
//! # How it works
//!
//! - Segments are numbered from 0. A publisher writes segment 0, 1, 2, … each with one POST whose
//!   body stays open for as long as the segment lasts, two seconds of video say.
//! - A subscriber's GET of a segment returns what is there and then follows the writer. It asks
//!   for the next segment as soon as one begins, so there is no pause in between: that request
//!   waits in the relay until the next segment's first byte.
//! - `-2` in place of a number is the segment that is being written now ([`Start::Current`]),
//!   `-1` the one after it ([`Start::Next`]).
//! - The relay keeps the last five segments of a channel. Who falls behind is told so (status 470)
//!   and jumps to the live edge; who reads too slowly is cut off. The writer never waits.
//! - The end of a channel is the header `Lp-Trickle-Closed`.
//!
//! Every status and every rule stands in `docs/protocol.md`; [`conformance`] checks them on any
//! relay, and [`load`] measures one.
//!
//! # What can go wrong
//!
//! | | publisher | subscriber |
//! |---|---|---|
//! | connection lost | segment reported as lost ([`PublishError::SegmentLost`]), goes on when the relay answers again | asks again for 30 s, with growing waits |
//! | relay restarted | makes its channel again if it made it, keeps its numbers | goes on, tells of the [`Gap`] |
//! | segment broke off | – | [`SubscribeError::Truncated`], next segment |
//! | channel closed | [`PublishStop::EndOfStream`] | `None` |
//! | relay's certificate refused | [`PublishStop::Distrusted`] at once; once the relay has answered anything, as a lost connection | [`SubscribeStop::Distrusted`] likewise |
//! | no such channel | [`PublishStop::NotFound`] | [`SubscribeStop::NotFound`], or `None` after data |
//!
//! # Layers
//!
//! The rules live in state machines without sockets and without a clock ([`channel`],
//! [`registry`], [`publish`], [`subscribe`], [`segment`]): calls and a time go in, decisions come
//! out. A private `http` module connects them to tokio and hyper. To put a relay into a server of
//! your own, hand its requests to [`Relay::handle`]; to run one, call [`Relay::serve`] or
//! [`Relay::serve_tls`].
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
        client::{Client, ClientConfig, NoAnswer},
        publisher::{PublishOptions, Publisher, SegmentOver, SegmentWriter},
        relay::{Relay, RelayConfig, RelayResponse},
        subscriber::{SegmentReader, Subscriber},
        tcp::Silence,
        tls::{ClientTls, ServerTls, TlsError},
    },
    limits::Limits,
    publish::PublishStop,
    registry::{Change, CloseCause, NoRoom},
    retry::RetryPolicy,
    seq::{SegmentRef, Seq},
    subscribe::{Gap, Start, SubscribeStop},
};
