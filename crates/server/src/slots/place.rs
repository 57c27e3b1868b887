//! What a start holds: its slot, from taking it to the end of the session in it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::oneshot;
use trickle_session::{Prepared, Session, SessionConfig};
use url::Url;

use super::{DRAINING_WAIT, Inner, Phase, Slot, in_use, start_error, stopped};
use crate::error::ApiError;
use crate::model_gate::ForSession;
use crate::registration::{MadeChannel, Reserved};

/// Time that the last frames of a session have to pass its stages when the worker shuts down.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// A slot that is taken. Dropping it, also in a panic of a processor, makes the slot free.
pub(super) struct Place {
    pub(super) inner: Arc<Inner>,
    pub(super) slot: Arc<Slot>,
}

impl Place {
    /// Makes sure that the session can run, ends the one whose place it takes, if there is one,
    /// and starts it.
    async fn begin(
        &self,
        config: SessionConfig,
        model: ForSession,
    ) -> Result<Arc<Session>, ApiError> {
        let client = &self.inner.client;
        let output = config.publish_url.clone();
        let stop = &self.slot.stop;
        let preparing = async {
            match model {
                ForSession::Ready(model) => Session::prepare(config, &model, client).await,
                ForSession::Coming(model) => Session::prepare_loading(config, model, client).await,
            }
        };
        let prepared = match stop.run_until_cancelled(preparing).await {
            Some(prepared) => prepared.map_err(start_error)?,
            None => return Err(stopped()),
        };
        let prepared = self.inherit(prepared, output.as_ref()).await?;
        if stop.is_cancelled() {
            prepared.give_up().await;
            return Err(stopped());
        }
        let started = prepared.start(&self.inner.backends).await;
        started.map(Arc::new).map_err(start_error)
    }

    /// Ends the session whose place this is to be, and waits for it. Where both publish to one
    /// channel, the new one goes on with it.
    async fn inherit(
        &self,
        mut prepared: Prepared,
        output: Option<&Url>,
    ) -> Result<Prepared, ApiError> {
        let Some(predecessor) = self.slot.predecessor() else {
            return Ok(prepared);
        };
        tracing::info!("takes the place of a session with the same id");
        let session = predecessor.session().await;
        let handed_over = session.filter(|session| {
            let status = session.status();
            output.is_some() && status.publish_url.as_deref() == output.map(Url::as_str)
        });
        if let Some(session) = &handed_over {
            session.leave_output();
        }
        predecessor.stop.cancel();
        let gone = predecessor.gone.cancelled();
        if !predecessor.ended().await && tokio::time::timeout(DRAINING_WAIT, gone).await.is_err() {
            // Its processor has not come back, so that it keeps its slot.
            prepared.give_up().await;
            return Err(in_use());
        }
        if handed_over.is_some() {
            prepared.resume_output().await;
        }
        Ok(prepared)
    }

    /// The predecessor is not, or no longer, to be replaced.
    fn leave_predecessor(&self) {
        let mut predecessor = self
            .slot
            .predecessor
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(predecessor) = predecessor.take() {
            predecessor.replaced.store(false, Ordering::Release);
        }
    }

    /// Has the orchestrator make the channels that the session was not given.
    pub(super) async fn make_channels(
        &self,
        reserved: &Reserved,
        session: &mut SessionConfig,
    ) -> Result<Vec<MadeChannel>, ApiError> {
        let make = reserved.make_channels(&self.inner.client, session);
        match self.slot.stop.run_until_cancelled(make).await {
            Some(Ok(channels)) => Ok(channels),
            Some(Err(error)) => Err(ApiError::new(
                StatusCode::BAD_GATEWAY,
                format!("the orchestrator made no channels: {error}"),
            )),
            None => Err(stopped()),
        }
    }

    /// Runs a session to its end; whether it has ended by itself.
    pub(super) async fn occupy(
        self,
        config: SessionConfig,
        model: ForSession,
        answer: oneshot::Sender<Result<(), ApiError>>,
    ) -> bool {
        let started = self.begin(config, model).await;
        self.leave_predecessor();
        let session = match started {
            Ok(session) => session,
            Err(error) => {
                tracing::warn!(error = error.message, "not started");
                // Free before the answer, so that its receiver may try again at once.
                drop(self);
                // Nobody may be there to hear it; so below.
                drop(answer.send(Err(error)));
                return false;
            }
        };
        self.show(Phase::Running(session.clone()));
        drop(answer.send(Ok(())));
        let by_itself = tokio::select! {
            reason = session.ended() => {
                tracing::info!(%reason, "ended");
                true
            }
            () = self.slot.stop.cancelled() => {
                tracing::info!("stopping");
                false
            }
        };
        self.show(Phase::Stopping(session.clone()));
        // A worker that shuts down lets viewers have the last frames; who stops a stream waits.
        let orderly = !self.inner.table().open;
        let summary = if orderly {
            session.finish(FLUSH_LIMIT).await
        } else {
            session.stop().await
        };
        let frames = &summary.status.frames;
        tracing::Span::current()
            .record("reason", summary.reason.name())
            .record("frames_in", frames.received)
            .record("frames_out", frames.out)
            .record("frames_dropped", frames.dropped.total());
        let draining = summary.draining;
        self.inner.table().last = Some(summary);
        if draining {
            tracing::warn!("the processor has not come back; its slot stays taken");
            self.show(Phase::Draining(session.clone()));
            session.drained().await;
            tracing::info!("the processor came back");
        }
        by_itself
    }

    fn show(&self, phase: Phase) {
        self.slot.phase.send_replace(phase);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave_predecessor();
        let mut table = self.inner.table();
        if let Some(session) = self.slot.phase().session() {
            table.ended.add_ended(session);
        }
        table.slots.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
        drop(table);
        self.slot.gone.cancel();
    }
}
