//! What viewers see while the processor is silent: pictures go past it, as they came with an
//! overlay or as the last one that it gave, so that the output goes on.
//!
//! A call of the processor blocks its thread, so nobody there can act. The decoding thread does,
//! whenever it has a picture: it looks how long the call has taken, and where that is too long, it
//! hands what waits for the processor to the encoder instead ([`relieve`]). So the pace is that of
//! the input, and no timer is needed. A lock held meanwhile keeps the call from ending halfway.
//!
//! A processor that took too long once is stood in for at once in its next calls, until one ends
//! in time: a model that is always too slow does not make the picture come and go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use trickle_media::{Overlay, VideoFrame};
use trickle_processor::OverlaySlot;

use crate::config::OnStall;
use crate::item::{Frame, Item};
use crate::queue::Push;
use crate::shared::Shared;

/// Message while a call takes too long, where the processor says nothing itself.
const STALLED: &str = "Waiting for the model";
/// Message while the model loads.
pub(crate) const LOADING: &str = "Loading the model";
/// Message of `show_loading`.
const ASKED_FOR: &str = "Loading...";

/// Why a picture goes past the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A call takes too long, or nothing has come out of many.
    Stall,
    /// The model is not there yet.
    Loading,
    /// `show_loading` asks for it.
    AskedFor,
}

/// A call of the processor, as it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// It is given a picture.
    Picture,
    /// It is given something else.
    Other,
    /// It is opened while the stream runs: pictures are not waited for.
    Opening,
}

/// Watches the processor's calls and dresses the pictures that go past it.
pub(crate) struct Standin {
    /// Longest time without a picture; `None` waits for ever.
    timeout: Option<Duration>,
    policy: OnStall,
    /// What the processor itself shows.
    own: OverlaySlot,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The call that the processing thread is in, and since when.
    call: Option<(Call, Instant)>,
    /// Pictures went past the processor during the call.
    overtaken: bool,
    /// Since when a picture is owed: it was given some, and none has come out.
    owed: Option<Instant>,
    /// It took too long: pictures go past every call, until one ends in time.
    standing_in: bool,
    /// Size of the last picture that came out of the processor; until there is one, that which
    /// was asked for.
    size: Option<(usize, usize)>,
    /// That picture, where it may have to be shown again.
    last: Option<VideoFrame>,
}

impl Standin {
    pub(crate) fn new(timeout: Option<Duration>, policy: OnStall, own: OverlaySlot) -> Self {
        Self {
            timeout,
            policy,
            own,
            state: Mutex::new(State::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processing thread calls the processor; `now` is `None` where nothing is timed.
    pub(crate) fn enter(&self, call: Call, now: Option<Instant>) {
        let mut state = self.lock();
        state.call = now.map(|now| (call, now));
        state.overtaken = false;
        if call == Call::Picture {
            state.owed = state.owed.or(now);
        }
    }

    /// The call has ended. `true` when pictures have gone past it: what came of it is late.
    pub(crate) fn leave(&self, now: Option<Instant>) -> bool {
        let mut state = self.lock();
        let (Some((call, begun)), Some(now)) = (state.call.take(), now) else {
            return false;
        };
        let took = now.saturating_duration_since(begun);
        if state.overtaken && (call == Call::Opening || !self.is_over(took)) {
            // It is back: the next picture is its own again.
            state.standing_in = false;
            state.owed = None;
        }
        state.overtaken
    }

    /// Pictures are to have this size from here on.
    pub(crate) fn set_size(&self, size: Option<(usize, usize)>) {
        self.lock().size = size;
    }

    /// The size that pictures are to have, where one is asked for or the processor has made one.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        self.lock().size
    }

    /// The processor has made a picture. A late one is only there to be shown again.
    pub(crate) fn made(&self, frame: &VideoFrame) {
        let mut state = self.lock();
        state.size = Some((frame.width(), frame.height()));
        if self.policy == OnStall::Freeze && self.timeout.is_some() {
            state.last = Some(frame.clone());
        }
    }

    /// A picture goes out on the usual way.
    pub(crate) fn came_out(&self) {
        let mut state = self.lock();
        state.owed = None;
        state.standing_in = false;
    }

    /// Nothing has come out of the processor for too long, although its calls end.
    pub(crate) fn is_overdue(&self, now: Option<Instant>) -> bool {
        let state = self.lock();
        let (Some(now), Some(owed)) = (now, state.owed) else {
            return false;
        };
        self.is_over(now.saturating_duration_since(owed))
    }

    /// Pictures go past the processor from here on; `true` when they did not before.
    pub(crate) fn begin(&self) -> bool {
        !std::mem::replace(&mut self.lock().standing_in, true)
    }

    /// Pictures go past the processor.
    pub(crate) fn is_standing_in(&self) -> bool {
        self.lock().standing_in
    }

    /// What the processor itself lays over its pictures.
    pub(crate) fn own_overlay(&self) -> Option<Arc<Overlay>> {
        self.own.get()
    }

    /// `frame` as viewers see it in place of the processor's.
    pub(crate) fn dress(&self, frame: Frame, cause: Cause, now: Option<Instant>) -> Frame {
        self.dress_for(&self.lock(), frame, cause, now)
    }

    fn dress_for(
        &self,
        state: &State,
        mut frame: Frame,
        cause: Cause,
        now: Option<Instant>,
    ) -> Frame {
        frame.frame.times_mut().processed = now;
        if cause != Cause::AskedFor
            && self.policy == OnStall::Freeze
            && let Some(last) = &state.last
        {
            let mut again = last.clone();
            again.set_pts(frame.frame.pts());
            *again.times_mut() = *frame.frame.times();
            return Frame {
                frame: again,
                fit: None,
                ..frame
            };
        }
        let message = match cause {
            Cause::Stall => STALLED,
            Cause::Loading => LOADING,
            Cause::AskedFor => ASKED_FOR,
        };
        let overlay = self
            .own
            .get()
            .unwrap_or_else(|| Arc::new(Overlay::new(message)));
        Frame {
            // The encoder goes on as it is.
            fit: state.size.or(frame.fit),
            overlay: Some(overlay),
            ..frame
        }
    }

    /// Why pictures are to go past the call that the processor is in, if they are.
    fn cause(&self, state: &State, now: Instant) -> Option<Cause> {
        let (call, begun) = state.call?;
        if call == Call::Opening {
            return Some(Cause::Loading);
        }
        (state.standing_in || self.is_over(now.saturating_duration_since(begun)))
            .then_some(Cause::Stall)
    }

    fn is_over(&self, time: Duration) -> bool {
        self.timeout.is_some_and(|timeout| time > timeout)
    }
}

/// Hands what waits for the processor to the encoder, if the call that the processor is in has
/// taken too long. Called by the thread that feeds the processor, after it has done so; does not
/// wait.
pub(crate) fn relieve(shared: &Shared) {
    let Some(now) = shared.now() else { return };
    let standin = &shared.standin;
    let mut state = standin.lock();
    let Some(cause) = standin.cause(&state, now) else {
        return;
    };
    let queues = &shared.queues;
    // Nobody else adds pictures to the encoder's queue while the lock is held: room stays room.
    let room = |item: &Item| !matches!(item, Item::Frame(_)) || queues.encode.has_room(item);
    while let Some(item) = queues.process.take_media_if(room) {
        state.overtaken |= matches!(item, Item::Frame(_) | Item::Sound(_));
        let item = match item {
            Item::Frame(frame) => {
                if cause == Cause::Stall && !std::mem::replace(&mut state.standing_in, true) {
                    note_stall(shared);
                }
                shared.stats.stood_in.add(1);
                Item::Frame(standin.dress_for(&state, frame, cause, Some(now)))
            }
            other => other,
        };
        let video = matches!(item, Item::Frame(_));
        match queues.encode.push(item) {
            Push::Done { dropped, .. } => shared.stats.audio_dropped.add(dropped),
            Push::Closed(_) => return shared.stats.dropped.stopped.add(u64::from(video)),
        }
    }
}

/// Counts and reports that the processor has stalled.
pub(crate) fn note_stall(shared: &Shared) {
    shared.stats.processor_stalls.add(1);
    let count = shared.stats.processor_stalls.get();
    // A model that is always too slow must not fill the log.
    if count.is_power_of_two() {
        tracing::warn!(count, "the processor has stalled: pictures go past it");
    }
}

#[cfg(test)]
#[path = "standin_test.rs"]
mod tests;
