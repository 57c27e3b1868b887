//! The bounded queue between two stages, and what gives way when it is full.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use trickle_media::Timestamp;

/// Items of a lane that change places with others only by being dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Pictures, coded or not.
    Video,
    /// Sound, coded or not.
    Audio,
    /// Facts about the stream, that hold from their place on.
    Mark,
    /// Requests to the stage itself: they come out before anything else.
    Command,
}

const LANES: usize = 4;

/// What a queue must know of an item.
pub(crate) trait Queued {
    /// Which bound it counts against.
    fn lane(&self) -> Lane;

    /// Its media time, for bounds in time.
    fn time(&self) -> Option<Timestamp> {
        None
    }

    /// When it came from the stage before, where that is known.
    fn came(&self) -> Option<Instant> {
        None
    }

    /// What follows it can be used without what came before it: a keyframe.
    fn is_entry(&self) -> bool {
        true
    }

    /// It takes the place of the item before it, if that is still there.
    fn replaces_last(&self) -> bool {
        false
    }

    /// It has taken that place: for whoever comes next, there was nothing before it.
    fn has_replaced(&mut self) {}
}

/// How much a lane holds and what happens beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Most items.
    pub(crate) count: usize,
    /// Longest media time between the first and the last item.
    pub(crate) span: Option<Duration>,
    /// Above `count`: room for what has come lately.
    pub(crate) lately: Option<Lately>,
    /// What gives way.
    pub(crate) when_full: WhenFull,
}

/// Room for items that have come in close succession: a consumer that keeps up with them on the
/// whole may be held up by one, and loses none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lately {
    /// Most items.
    pub(crate) count: usize,
    /// Time from the first one's coming to the last one's.
    pub(crate) time: Duration,
}

/// What gives way in a full lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// The producer waits.
    Wait,
    /// The oldest item goes.
    DropOldest,
    /// New items go until one comes that can be used alone; then those before it go too. An item
    /// that others need is never dropped without them.
    SkipToEntry,
}

impl Rule {
    /// At most `count` items, the producer waits.
    pub(crate) const fn wait(count: usize) -> Self {
        Self {
            count,
            span: None,
            lately: None,
            when_full: WhenFull::Wait,
        }
    }

    /// At most `count` items, the oldest goes.
    pub(crate) const fn newest(count: usize) -> Self {
        Self {
            count,
            span: None,
            lately: None,
            when_full: WhenFull::DropOldest,
        }
    }

    /// At most `count` items, or more that came lately; the oldest goes.
    pub(crate) const fn newest_and(count: usize, lately: Lately) -> Self {
        Self {
            lately: Some(lately),
            ..Self::newest(count)
        }
    }

    /// At most `count` items over `span` of media time, the oldest goes.
    pub(crate) const fn newest_within(count: usize, span: Duration) -> Self {
        Self {
            count,
            span: Some(span),
            lately: None,
            when_full: WhenFull::DropOldest,
        }
    }

    /// At most `count` items over `span` of media time, then on from the next keyframe.
    pub(crate) const fn skip(count: usize, span: Duration) -> Self {
        Self {
            count,
            span: Some(span),
            lately: None,
            when_full: WhenFull::SkipToEntry,
        }
    }
}

/// The rules of a queue. Commands are bounded by [`COMMANDS`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) video: Rule,
    pub(crate) audio: Rule,
    pub(crate) marks: Rule,
}

/// Live: only the newest facts count.
pub(crate) const NEWEST_MARKS: Rule = Rule::newest(2);
/// One is sent at a time; more are there only when those who sent them have gone away.
const COMMANDS: Rule = Rule::newest(4);

/// What became of a push.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Push<T> {
    /// It was taken, or gave way itself.
    Done {
        /// Items that gave way.
        dropped: u64,
        /// The lane drops all until the next keyframe: one should be made.
        skipping: bool,
    },
    /// The queue is closed; here is the item.
    Closed(T),
}

/// A bounded queue for one consumer, a thread or a task. Items come out in the order of their
/// arrival across all lanes, commands first.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// For a consumer that is a thread.
    arrived: Condvar,
    /// For a consumer that is a task.
    notify: Notify,
    /// For producers, which are threads wherever a rule says to wait.
    space: Condvar,
}

struct State<T> {
    lanes: [Contents<T>; LANES],
    arrivals: u64,
    closed: bool,
}

struct Contents<T> {
    rule: Rule,
    items: VecDeque<(u64, T)>,
    skipping: bool,
}

impl<T: Queued> Contents<T> {
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            items: VecDeque::with_capacity(rule.count.min(64)),
            skipping: false,
        }
    }

    /// There is no room for this item.
    fn is_full_for(&self, item: &T) -> bool {
        let Some((_, first)) = self.items.front() else {
            return self.rule.count == 0;
        };
        if self.items.len() >= self.rule.count {
            let lately = self.rule.lately.is_some_and(|lately| {
                let held = first.came().zip(item.came());
                let held = held.map(|(first, last)| last.saturating_duration_since(first));
                self.items.len() < lately.count && held.is_some_and(|held| held < lately.time)
            });
            return !lately;
        }
        let (Some(span), Some(time)) = (self.rule.span, item.time()) else {
            return false;
        };
        first
            .time()
            .and_then(|first| time.since(first))
            .is_some_and(|length| length > span)
    }

    /// Makes room by the lane's rule; says how many items went, the new one among them if it must
    /// not be added.
    fn make_room(&mut self, item: &T) -> (u64, bool) {
        let before = self.items.len();
        match self.rule.when_full {
            WhenFull::Wait => (0, true),
            WhenFull::DropOldest => {
                while self.is_full_for(item) && self.items.pop_front().is_some() {}
                ((before - self.items.len()) as u64, true)
            }
            WhenFull::SkipToEntry if item.is_entry() => {
                if self.skipping || self.is_full_for(item) {
                    self.items.clear();
                }
                self.skipping = false;
                ((before - self.items.len()) as u64, true)
            }
            WhenFull::SkipToEntry => {
                self.skipping |= self.is_full_for(item);
                (u64::from(self.skipping), !self.skipping)
            }
        }
    }
}

impl<T: Queued> Queue<T> {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            state: Mutex::new(State {
                lanes: [rules.video, rules.audio, rules.marks, COMMANDS].map(Contents::new),
                arrivals: 0,
                closed: false,
            }),
            arrived: Condvar::new(),
            notify: Notify::new(),
            space: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that is done under the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item by the rule of its lane. Blocks only where the rule says that producers wait,
    /// so tasks may push to every other lane.
    pub(crate) fn push(&self, mut item: T) -> Push<T> {
        let lane = item.lane() as usize;
        let mut state = self.lock();
        if item.replaces_last() && state.lanes[lane].items.pop_back().is_some() {
            item.has_replaced();
            self.space.notify_one();
        }
        while state.lanes[lane].rule.when_full == WhenFull::Wait
            && state.lanes[lane].is_full_for(&item)
            && !state.closed
        {
            state = self
                .space
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Push::Closed(item);
        }
        let (dropped, keep) = state.lanes[lane].make_room(&item);
        let skipping = state.lanes[lane].skipping;
        if keep {
            let arrival = state.arrivals;
            state.arrivals += 1;
            state.lanes[lane].items.push_back((arrival, item));
            drop(state);
            self.arrived.notify_one();
            self.notify.notify_one();
        }
        Push::Done { dropped, skipping }
    }

    /// The next item, waiting for it on this thread; `None` once closed and empty.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = self.take(&mut state) {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next item, waiting for it in a task; `None` once closed and empty. Cancel safe.
    pub(crate) async fn next(&self) -> Option<T> {
        loop {
            {
                let mut state = self.lock();
                if let Some(item) = self.take(&mut state) {
                    return Some(item);
                }
                if state.closed {
                    return None;
                }
            }
            // A push between the look and here has left its permit.
            self.notify.notified().await;
        }
    }

    /// Takes the item that would come out next, commands aside, if `accept` says so. Does not wait.
    pub(crate) fn take_media_if(&self, accept: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut state = self.lock();
        let media = state.lanes.iter_mut().take(Lane::Command as usize);
        let first = media
            .filter(|lane| !lane.items.is_empty())
            .min_by_key(|lane| lane.items.front().map(|(arrival, _)| *arrival))?;
        if !first.items.front().is_some_and(|(_, item)| accept(item)) {
            return None;
        }
        let (_, item) = first.items.pop_front()?;
        self.space.notify_all();
        Some(item)
    }

    /// An item like this one can be added without a wait and without another giving way.
    pub(crate) fn has_room(&self, item: &T) -> bool {
        let state = self.lock();
        let lane = state.lanes.get(item.lane() as usize);
        lane.is_some_and(|lane| !lane.is_full_for(item))
    }

    /// Time of the picture that comes out next.
    pub(crate) fn next_picture(&self) -> Option<Timestamp> {
        let state = self.lock();
        let (_, item) = state.lanes.get(Lane::Video as usize)?.items.front()?;
        item.time()
    }

    fn take(&self, state: &mut State<T>) -> Option<T> {
        let lane = if state.lanes[Lane::Command as usize].items.is_empty() {
            let lanes = state.lanes.iter_mut();
            lanes
                .filter(|lane| !lane.items.is_empty())
                .min_by_key(|lane| lane.items.front().map(|(arrival, _)| *arrival))?
        } else {
            &mut state.lanes[Lane::Command as usize]
        };
        let (_, item) = lane.items.pop_front()?;
        // All producers, as each may wait for another lane.
        self.space.notify_all();
        Some(item)
    }

    /// How many pictures and how many items of sound wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        let [video, audio, ..] = &state.lanes;
        (video.items.len(), audio.items.len())
    }

    /// Takes no more items; those that are there still come out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake_all();
    }

    /// Takes no more items and drops those that are there; says how many were pictures.
    pub(crate) fn abort(&self) -> u64 {
        let mut state = self.lock();
        state.closed = true;
        let pictures = state.lanes[Lane::Video as usize].items.len();
        for lane in &mut state.lanes {
            lane.items.clear();
        }
        drop(state);
        self.wake_all();
        pictures as u64
    }

    fn wake_all(&self) {
        self.arrived.notify_all();
        self.space.notify_all();
        self.notify.notify_one();
    }
}

#[cfg(test)]
#[path = "queue_test.rs"]
mod tests;
