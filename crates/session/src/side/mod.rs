//! A session's channels beside its media: control in, events and data out.
//!
//! None of them ever holds up a frame or ends the session: what cannot be sent is dropped and
//! counted, and a channel that is lost is tried again for as long as the session lives.

mod control;
mod data;
mod event;
mod events;
mod lane;
#[cfg(test)]
mod testing;
mod watch;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch as watching};
use trickle_processor::{DataSink, Emitted};
use trickle_proto::{Client, Start, Subscriber};
use url::Url;

use self::control::ControlRecord;
use self::event::Urls;
use self::lane::{Lane, LaneRecord};
use crate::config::{DataFormat, SessionConfig};
use crate::error::StartError;
use crate::shared::Shared;
use crate::status::ChannelsStatus;

pub(crate) use self::event::{BackendLost, Event};
pub(crate) use self::events::Events;

/// Longest time that events and data may take to go out once the session has ended.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Data items that wait to be batched; later ones are dropped.
const DATA_QUEUE: usize = 256;

/// What stages and handle share with the side channels.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) events: Events,
    control: ControlRecord,
    published_events: LaneRecord,
    published_data: LaneRecord,
    urls: OnceLock<Urls>,
}

impl Side {
    /// What each channel has carried so far; `None` for those that the session does not have.
    pub(crate) fn status(&self) -> ChannelsStatus {
        let Some(urls) = self.urls.get() else {
            return ChannelsStatus::default();
        };
        let text = |url: &Option<Url>| url.as_ref().map(Url::to_string);
        ChannelsStatus {
            control: text(&urls.control).map(|url| self.control.status(url)),
            events: text(&urls.events)
                .map(|url| self.published_events.status(url, self.events.dropped())),
            data: text(&urls.data).map(|url| self.published_data.status(url, 0)),
        }
    }
}

/// The side channels of a session that starts.
pub(crate) struct SideChannels {
    client: Client,
    control: Option<Subscriber>,
    urls: Urls,
    format: DataFormat,
}

/// A task by its name.
pub(crate) type Task = (&'static str, BoxFuture<'static, ()>);

impl SideChannels {
    /// Checks the addresses. Nothing is asked of the relay yet.
    pub(crate) fn open(config: &SessionConfig, client: &Client) -> Result<Self, StartError> {
        let check = |field, url: &Option<Url>| match url {
            None => Ok(None),
            Some(url) => client
                .subscribe(url, Start::Current)
                .map(Some)
                .map_err(|error| StartError::Channel {
                    field,
                    reason: error.to_string(),
                }),
        };
        check("events_url", &config.events_url)?;
        check("data_url", &config.data_url)?;
        Ok(Self {
            client: client.clone(),
            control: check("control_url", &config.control_url)?,
            urls: Urls {
                subscribe: config.subscribe_url.clone(),
                publish: config.publish_url.clone(),
                control: config.control_url.clone(),
                events: config.events_url.clone(),
                data: config.data_url.clone(),
            },
            format: config.data_format,
        })
    }

    /// The tasks that serve them. All end once `output`, which is closed when the session's
    /// output has ended, is.
    pub(crate) fn tasks(
        self,
        shared: &Arc<Shared>,
        emitted: DataSink,
        output: watching::Receiver<()>,
    ) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        // Closed when all that the processor emitted has been handed on.
        let (routing, routed) = watching::channel(());
        if let Some(subscriber) = self.control {
            let (shared, client) = (Arc::clone(shared), self.client.clone());
            let control = async move {
                let read = control::run(&shared, subscriber, &client);
                shared.cancel.run_until_cancelled(read).await;
            };
            tasks.push(("control", control.boxed()));
        }
        if let Some(url) = self.urls.events.clone() {
            let queue = shared.side.events.open();
            let (shared, urls) = (Arc::clone(shared), self.urls.clone());
            let (client, routed) = (self.client.clone(), routed.clone());
            let events = async move {
                let leaves = || shared.leaves_output();
                let record = &shared.side.published_events;
                let lane = Lane::new(client, url, events::MIME, record, &leaves);
                let publish = events::run(&shared, lane, queue, &urls, closed(routed.clone()));
                bounded(publish, routed, "events").await;
            };
            tasks.push(("events", events.boxed()));
        }
        let mut data = None;
        if let Some(url) = self.urls.data.clone() {
            let (sender, items) = mpsc::channel(DATA_QUEUE);
            data = Some(sender);
            let shared = Arc::clone(shared);
            let (client, format) = (self.client, self.format);
            let publish = async move {
                let leaves = || shared.leaves_output();
                let record = &shared.side.published_data;
                let lane = Lane::new(client, url, data::MIME, record, &leaves);
                bounded(data::run(lane, items, format), routed, "data").await;
            };
            tasks.push(("data", publish.boxed()));
        }
        // Set once: a session starts once.
        let _ = shared.side.urls.set(self.urls);
        let shared = Arc::clone(shared);
        let route = async move {
            route(&shared, emitted, data, output).await;
            drop(routing);
        };
        tasks.push(("emitted", route.boxed()));
        tasks
    }
}

/// Hands on what the processor emits until the output has ended, and what waits then.
async fn route(
    shared: &Shared,
    mut emitted: DataSink,
    data: Option<mpsc::Sender<String>>,
    output: watching::Receiver<()>,
) {
    let hand_on = |item| match item {
        Emitted::Data(json) => {
            shared.stats.data_items.add(1);
            if let Some(data) = &data
                && data.try_send(json).is_err()
            {
                shared.side.published_data.dropped.add(1);
            }
        }
        Emitted::Event(kind, fields) => {
            shared.stats.events.add(1);
            shared.side.events.emit(Event::Custom { kind, fields });
        }
    };
    let mut ended = std::pin::pin!(closed(output));
    let mut open = true;
    loop {
        tokio::select! {
            // A processor that does not come back may emit for ever.
            biased;
            () = &mut ended => break,
            item = emitted.next(), if open => match item {
                Some(item) => hand_on(item),
                None => open = false,
            },
        }
    }
    std::iter::from_fn(|| emitted.try_next())
        .take(DATA_QUEUE)
        .for_each(hand_on);
}

/// Resolves when the sender is gone.
async fn closed(mut receiver: watching::Receiver<()>) {
    while receiver.changed().await.is_ok() {}
}

/// Publishes to the end, and at most [`CLOSE_LIMIT`] longer than the session.
async fn bounded(
    publish: impl Future<Output = ()>,
    routed: watching::Receiver<()>,
    channel: &'static str,
) {
    let too_late = async {
        closed(routed).await;
        tokio::time::sleep(CLOSE_LIMIT).await;
    };
    tokio::select! {
        biased;
        () = publish => {}
        () = too_late => {
            tracing::warn!(channel, "could not be ended within {CLOSE_LIMIT:?}");
        }
    }
}
