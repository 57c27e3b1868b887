//! The control channel: each segment is one update, as `/stream/update` takes it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use trickle_processor::Params;
use trickle_proto::{Client, Start, SubscribeError, Subscriber};

use super::Event;
use crate::error::UpdateError;
use crate::shared::Shared;
use crate::stats::Counter;
use crate::status::ControlStatus;

/// Largest message, in bytes: that of an update by HTTP.
const MAX_MESSAGE: usize = 10 << 20;
/// Times in a row that a lost channel is subscribed to anew, each after a [`TRY_WAIT`] and with
/// the client's own time for retries.
const MAX_TRIES: u32 = 20;
/// Wait before each of them.
const TRY_WAIT: Duration = Duration::from_secs(5);

/// What came over the channel.
#[derive(Debug, Default)]
pub(crate) struct ControlRecord {
    received: Counter,
    rejected: Counter,
    last_error: Mutex<Option<String>>,
}

impl ControlRecord {
    pub(crate) fn status(&self, url: String) -> ControlStatus {
        let last_error = self.last_error.lock();
        ControlStatus {
            url,
            received: self.received.get(),
            rejected: self.rejected.get(),
            last_error: last_error.unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn failed(&self, error: String) {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Reads the channel until it ends, is lost for good, or the session has ended. None of these
/// ends the session.
pub(crate) async fn run(shared: &Shared, mut subscriber: Subscriber, client: &Client) {
    let record = &shared.side.control;
    let mut tries = 0;
    loop {
        let error = match read(shared, &mut subscriber, &mut tries).await {
            Ok(over) => {
                tracing::info!(over, "the control channel is read no further");
                return;
            }
            Err(error) => error,
        };
        record.failed(error.to_string());
        tries += 1;
        if tries > MAX_TRIES {
            tracing::warn!(%error, "the control channel is given up");
            return;
        }
        tracing::warn!(%error, "the control channel is tried again in {TRY_WAIT:?}");
        tokio::time::sleep(TRY_WAIT).await;
        // The address was good before.
        match client.subscribe(subscriber.url(), Start::Current) {
            Ok(again) => subscriber = again,
            Err(error) => return record.failed(error.to_string()),
        }
    }
}

/// Reads until the channel ends, and says why that is no error.
async fn read(
    shared: &Shared,
    subscriber: &mut Subscriber,
    tries: &mut u32,
) -> Result<&'static str, SubscribeError> {
    loop {
        let Some(segment) = subscriber.next_segment().await? else {
            return Ok("it ended");
        };
        *tries = 0;
        shared.lease.renew();
        let message = match segment.collect(MAX_MESSAGE).await {
            Ok(Some(message)) => message,
            Ok(None) => {
                reject(shared, &format!("it has more than {MAX_MESSAGE} bytes"));
                continue;
            }
            Err(error) => {
                reject(shared, &error.to_string());
                continue;
            }
        };
        let params = match parse(&message) {
            Ok(Some(params)) => params,
            Ok(None) => continue,
            Err(reason) => {
                reject(shared, &reason);
                continue;
            }
        };
        shared.side.control.received.add(1);
        match shared.update(Params(params)).await {
            Ok(()) => {}
            Err(UpdateError::Ended) => return Ok("the session has ended"),
            Err(error) => reject(shared, &error.to_string()),
        }
    }
}

/// The parameters in a message; `None` for a keepalive and for nothing at all.
fn parse(message: &[u8]) -> Result<Option<Map<String, Value>>, String> {
    if message.trim_ascii().is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(message) {
        Ok(value) if value == json!({"keep": "alive"}) => Ok(None),
        Ok(Value::Object(mut params)) => {
            // It says whose parameters these are, and is none itself.
            params.remove("gateway_request_id");
            Ok(Some(params))
        }
        Ok(_) => Err("it is not a JSON object".into()),
        Err(error) => Err(format!("it is not valid JSON: {error}")),
    }
}

/// Counts and reports a message that changed nothing.
fn reject(shared: &Shared, reason: &str) {
    let record = &shared.side.control;
    record.rejected.add(1);
    let message = format!("a control message was rejected: {reason}");
    let count = record.rejected.get();
    // Whoever sends garbage must not fill the log.
    if count.is_power_of_two() {
        tracing::warn!(count, message);
    }
    record.failed(message.clone());
    shared.side.events.emit(Event::Error {
        source: "control",
        message,
        count: 1,
    });
}

#[cfg(test)]
#[path = "control_test.rs"]
mod tests;
