//! One POST of a publisher: sent, sent again if nothing was lost with it, and what came of it.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use tokio_util::task::AbortOnDropHandle;

use super::{
    client::{Answer, Client, NoAnswer, is_passing, post},
    upload::Upload,
    url::ChannelUrl,
};
use crate::{publish::PostAnswer, seq::Seq};

/// One POST and its segment.
pub(super) struct Post {
    pub(super) seq: Seq,
    pub(super) upload: Arc<Upload>,
    pub(super) task: AbortOnDropHandle<Posted>,
}

/// What came of a POST.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) answer: PostAnswer,
    pub(super) detail: String,
}

impl Post {
    /// Opens the POST of `seq`.
    pub(super) fn open(
        client: Client,
        url: ChannelUrl,
        seq: Seq,
        reset: bool,
        mime: HeaderValue,
    ) -> Self {
        let upload = Arc::new(Upload::default());
        let task = send(client, url, seq, reset, mime, upload.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(task));
        Self { seq, upload, task }
    }

    /// What came of it, once it is over.
    pub(super) async fn posted(self) -> Posted {
        self.task
            .await
            .unwrap_or_else(|error| Posted::none(&NoAnswer::new(error.to_string())))
    }
}

impl Posted {
    pub(super) fn none(error: &NoAnswer) -> Self {
        Self {
            answer: if error.distrusted {
                PostAnswer::Distrusted
            } else {
                PostAnswer::NoAnswer
            },
            detail: error.reason.clone(),
        }
    }

    fn from_answer(answer: &Answer, upload: &Upload) -> Self {
        let status = answer.status.as_u16();
        let kind = match answer.status {
            _ if answer.head.closed => PostAnswer::EndOfStream,
            StatusCode::NOT_FOUND => PostAnswer::NotFound,
            code if is_passing(code) => PostAnswer::Unavailable(status),
            code if !code.is_success() => PostAnswer::Refused(status),
            _ if upload.is_sent() => PostAnswer::Accepted,
            _ => PostAnswer::CutShort,
        };
        Self {
            answer: kind,
            detail: answer.describe(),
        }
    }
}

/// Sends a POST, a second time if the first lost nothing.
async fn send(
    client: Client,
    url: ChannelUrl,
    seq: Seq,
    reset: bool,
    mime: HeaderValue,
    upload: Arc<Upload>,
) -> Posted {
    let mut retried = false;
    loop {
        let request = post(&url, seq, reset, &mime, upload.clone());
        let posted = match client.send(request, retried).await {
            Ok(response) => Posted::from_answer(&Answer::read(response).await, &upload),
            Err(error) => Posted::none(&error),
        };
        if posted.answer.may_retry(upload.is_taken(), retried) {
            tracing::debug!(url = %url.url(), %seq, ?posted, "sending the POST again");
            retried = true;
            continue;
        }
        upload.set_over();
        return posted;
    }
}
