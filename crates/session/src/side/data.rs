//! The data channel: items of the processor, in batches, as lines of JSON.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::lane::{Closed, Outlet};
use crate::config::DataFormat;

/// MIME type of the channel.
pub(crate) const MIME: &str = "application/jsonl";
/// Time that a batch gathers items, from its first one on: PyTrickle's.
const BATCH: Duration = Duration::from_millis(333);
/// Bytes of items after which a batch is sent at once.
const MAX_BATCH: usize = 1 << 20;
/// Silence after which an empty line keeps the readers.
const SILENCE: Duration = Duration::from_secs(25);
/// Longest line with its end, in bytes: readers take at most one less than 64 KiB.
const MAX_LINE: usize = (64 << 10) - 1;

/// Publishes until nobody can send items any more, then ends the channel.
pub(crate) async fn run(
    mut lane: impl Outlet,
    mut items: mpsc::Receiver<String>,
    format: DataFormat,
) {
    if publish(&mut lane, &mut items, format).await.is_ok() {
        lane.close().await;
    } else {
        // Closed by its readers. What comes now is taken and counted by the sender.
        items.close();
    }
}

async fn publish(
    lane: &mut impl Outlet,
    items: &mut mpsc::Receiver<String>,
    format: DataFormat,
) -> Result<(), Closed> {
    loop {
        let first = match timeout_at(Instant::now() + SILENCE, items.recv()).await {
            Ok(Some(item)) => item,
            Ok(None) => return Ok(()),
            Err(_) => {
                lane.send(silence(format)).await?;
                continue;
            }
        };
        let until = Instant::now() + BATCH;
        let mut bytes = first.len();
        let mut batch = vec![first];
        while bytes < MAX_BATCH
            && let Ok(Some(item)) = timeout_at(until, items.recv()).await
        {
            bytes += item.len();
            batch.push(item);
        }
        lane.send(lines(&batch, format)).await?;
    }
}

/// What is sent when there is nothing to send.
fn silence(format: DataFormat) -> Bytes {
    Bytes::from_static(match format {
        DataFormat::Array => b"[]\n",
        DataFormat::Lines => b"{}\n",
    })
}

/// A batch as lines: one array, or as many as the length of a line asks for; or one line each.
fn lines(batch: &[String], format: DataFormat) -> Bytes {
    let mut text = String::with_capacity(batch.iter().map(|item| item.len() + 3).sum());
    match format {
        DataFormat::Lines => {
            for item in batch {
                text.push_str(item);
                text.push('\n');
            }
        }
        DataFormat::Array => {
            let mut line = 0;
            for item in batch {
                // A comma or a bracket before each item, and `]\n` at the end.
                if line > 0 && line + 1 + item.len() + 2 > MAX_LINE {
                    text.push_str("]\n");
                    line = 0;
                }
                text.push(if line == 0 { '[' } else { ',' });
                text.push_str(item);
                line += 1 + item.len();
            }
            text.push_str("]\n");
        }
    }
    text.into()
}

#[cfg(test)]
#[path = "data_test.rs"]
mod tests;
