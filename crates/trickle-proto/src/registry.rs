//! All channels of a relay by name: making, closing, sweeping, and telling of it.
//!
//! Like [`crate::channel`] without I/O and without a clock of its own.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;

use crate::{
    channel::{BodyEnd, Channel, Write},
    limits::Limits,
    seq::SegmentRef,
    sync::lock,
};

/// The channel that tells of changes, where a relay has one.
pub const CHANGEFEED: &str = "_changes";

/// What the registry goes by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Segments that each channel keeps.
    pub ring: usize,
    /// Whether [`CHANGEFEED`] exists.
    pub changefeed: bool,
    /// A channel without a byte for this long is closed; names that start with `_` are exempt.
    pub idle_timeout: Duration,
    /// A closed channel is kept for this long, so that its last segments can be read.
    pub retention: Duration,
    /// Bounds.
    pub limits: Limits,
}

/// One channel under its name.
#[derive(Debug)]
pub struct Entry {
    name: Arc<str>,
    channel: Mutex<Channel>,
    subscribers: AtomicUsize,
}

impl Entry {
    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Works on the channel under its lock; nothing in `work` may wait.
    pub fn with<T>(&self, work: impl FnOnce(&mut Channel) -> T) -> T {
        work(&mut lock(&self.channel))
    }

    /// Readers at this moment, waiting ones included.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Relaxed)
    }

    /// Counts one more reader, unless there are `most` already.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, most: usize) -> Option<Subscribed> {
        let before = self.subscribers.fetch_add(1, Ordering::Relaxed);
        let subscribed = Subscribed(self.clone());
        (before < most).then_some(subscribed)
    }
}

/// Counts as a reader of a channel for as long as it lives.
#[derive(Debug)]
pub struct Subscribed(Arc<Entry>);

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.0.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// No room for one more channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {0} channels are in use")]
pub struct NoRoom(pub usize);

/// What happened to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// It was made, or a closed one started anew.
    Made {
        /// Its name.
        name: &'a str,
    },
    /// It was closed. Its last segments may still be read for [`Rules::retention`].
    Closed {
        /// Its name.
        name: &'a str,
        /// Why.
        cause: CloseCause,
    },
}

/// Why a channel was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// Somebody asked for it: a DELETE, or the program that the relay is part of.
    Asked,
    /// No byte came for [`Rules::idle_timeout`].
    Idle,
    /// The relay goes down.
    Shutdown,
}

/// A line of the changefeed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    Added([&'a str; 1]),
    Removed([&'a str; 1]),
}

type Hook = Arc<dyn Fn(&Change<'_>) + Send + Sync>;

/// All channels.
pub struct Registry {
    rules: Rules,
    channels: Mutex<HashMap<Arc<str>, Arc<Entry>>>,
    hooks: Mutex<Vec<Hook>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("rules", &self.rules)
            .field("channels", &self.len())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// No channels yet, but for the changefeed.
    #[must_use]
    pub fn new(rules: Rules, now: Instant) -> Self {
        let registry = Self {
            rules,
            channels: Mutex::default(),
            hooks: Mutex::default(),
        };
        if registry.rules.changefeed {
            let json = Some(HeaderValue::from_static("application/json"));
            let entry = registry.entry(CHANGEFEED.into(), json, now);
            lock(&registry.channels).insert(entry.name.clone(), entry.clone());
            registry.tell(&Change::Made { name: entry.name() }, now);
        }
        registry
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The channel of that name; a closed one too while it is kept.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        lock(&self.channels).get(name).cloned()
    }

    /// Makes a channel, or starts a closed one anew; one that lives stays as it is.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn create(
        &self,
        name: &str,
        mime: Option<HeaderValue>,
        now: Instant,
    ) -> Result<Arc<Entry>, NoRoom> {
        let (entry, added) = {
            let mut channels = lock(&self.channels);
            match channels.get(name) {
                Some(entry) => {
                    let reopened = entry.with(|channel| {
                        let was_closed = channel.closed_at().is_some();
                        channel.reopen(mime.as_ref(), now);
                        was_closed
                    });
                    (entry.clone(), reopened)
                }
                None => {
                    let most = self.rules.limits.channels;
                    if channels.len() >= most {
                        // Channels that are only kept for late readers make room first.
                        channels.retain(|_, entry| entry.with(|c| c.closed_at().is_none()));
                    }
                    if channels.len() >= most {
                        return Err(NoRoom(most));
                    }
                    let entry = self.entry(name.into(), mime, now);
                    channels.insert(entry.name.clone(), entry.clone());
                    (entry, true)
                }
            }
        };
        if added {
            tracing::info!(channel = name, "channel made");
            self.tell(&Change::Made { name: entry.name() }, now);
        }
        Ok(entry)
    }

    /// Closes a channel; it is kept for [`Rules::retention`]. False if there was none to close.
    pub fn close(&self, name: &str, cause: CloseCause, now: Instant) -> bool {
        let Some(entry) = self.get(name) else {
            return false;
        };
        let closed = entry.with(|channel| channel.close(now));
        if closed {
            tracing::info!(channel = name, ?cause, "channel closed");
            self.tell(&Change::Closed { name, cause }, now);
        }
        closed
    }

    /// Calls `hook` for each channel that is made or closed from now on, with no lock held.
    pub fn on_change(&self, hook: impl Fn(&Change<'_>) + Send + Sync + 'static) {
        lock(&self.hooks).push(Arc::new(hook));
    }

    /// Closes all channels: the relay is going down.
    pub fn close_all(&self, now: Instant) {
        let (feeds, others): (Vec<_>, Vec<_>) = self
            .entries()
            .into_iter()
            .partition(|entry| self.rules.changefeed && entry.name() == CHANGEFEED);
        for entry in others {
            self.close(entry.name(), CloseCause::Shutdown, now);
        }
        // The changefeed goes last, so that it tells of the others.
        for entry in feeds {
            entry.with(|channel| channel.close(now));
        }
    }

    /// Closes idle channels and forgets closed ones whose time is over.
    pub fn sweep(&self, now: Instant) {
        for entry in self.entries() {
            let (closed_at, last_byte) = entry.with(|channel| {
                channel.give_up_passed_over(now);
                (channel.closed_at(), channel.last_byte())
            });
            match closed_at {
                Some(at) if now.saturating_duration_since(at) >= self.rules.retention => {
                    self.forget(&entry);
                }
                Some(_) => {}
                None => {
                    let idle = now.saturating_duration_since(last_byte);
                    if idle >= self.rules.idle_timeout && !entry.name.starts_with('_') {
                        self.close(&entry.name, CloseCause::Idle, now);
                    }
                }
            }
        }
    }

    /// How many channels there are, kept ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.channels).len()
    }

    /// Whether there is no channel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        lock(&self.channels).values().cloned().collect()
    }

    fn entry(&self, name: Arc<str>, mime: Option<HeaderValue>, now: Instant) -> Arc<Entry> {
        let channel = Mutex::new(Channel::new(mime, self.rules.ring, now));
        Arc::new(Entry {
            name,
            channel,
            subscribers: AtomicUsize::new(0),
        })
    }

    fn forget(&self, entry: &Arc<Entry>) {
        let mut channels = lock(&self.channels);
        let same = channels
            .get(&entry.name)
            .is_some_and(|other| Arc::ptr_eq(other, entry));
        // It may have been started anew since the sweep looked.
        if same && entry.with(|channel| channel.closed_at().is_some()) {
            channels.remove(&entry.name);
        }
    }

    fn tell(&self, change: &Change<'_>, now: Instant) {
        if self.rules.changefeed {
            self.write_line(change, now);
        }
        let hooks = lock(&self.hooks).clone();
        for hook in hooks {
            hook(change);
        }
    }

    fn write_line(&self, change: &Change<'_>, now: Instant) {
        let line = match *change {
            Change::Made { name } => Line::Added([name]),
            Change::Closed { name, .. } => Line::Removed([name]),
        };
        let (Some(feed), Ok(line)) = (self.get(CHANGEFEED), serde_json::to_vec(&line)) else {
            return;
        };
        feed.with(|channel| {
            let limits = &self.rules.limits;
            let Write::Open(mut writer) = channel.open_write(SegmentRef::Next, false, limits)
            else {
                return;
            };
            if channel.admit(&mut writer, line.len(), limits, now).is_ok() {
                writer.segment().append(Bytes::from(line));
            }
            channel.end_write(writer, BodyEnd::Complete, now);
        });
    }
}

#[cfg(test)]
#[path = "registry_test.rs"]
mod tests;
