//! New parameters for a running session, whoever sends them.

use std::time::Duration;

use tokio::sync::oneshot;
use trickle_processor::Params;

use crate::error::UpdateError;
use crate::item::{Item, Update};
use crate::queue::Push;
use crate::shared::Shared;
use crate::side::Event;

/// Longest wait for the processor to take an update.
const UPDATE_LIMIT: Duration = Duration::from_secs(10);

impl Shared {
    /// Gives new parameters to the worker and the processor: all of them or, if one is rejected,
    /// none. Answered between two frames, once they are in force; one at a time.
    pub(crate) async fn update(&self, params: Params) -> Result<(), UpdateError> {
        let _turn = self.updates.lock().await;
        let (answer, answered) = oneshot::channel();
        let told = params.clone();
        match self
            .queues
            .process
            .push(Item::Update(Update { params, answer }))
        {
            Push::Done { .. } => {}
            Push::Closed(_) => return Err(UpdateError::Ended),
        }
        match tokio::time::timeout(UPDATE_LIMIT, answered).await {
            Ok(Ok(taken)) => {
                self.lease.renew();
                taken.map_err(UpdateError::Rejected)?;
                self.side.events.emit(Event::ParamsUpdated { params: told });
                Ok(())
            }
            Ok(Err(_)) => Err(UpdateError::Ended),
            // With nobody there to hear the answer, it is not taken later either.
            Err(_) => Err(UpdateError::Busy),
        }
    }
}
