//! Small requests to other routes of a relay's host, such as an orchestrator's.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};

use super::client::{Client, ClientBody, NoAnswer};

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

impl Client {
    /// Sends a request that is no part of the trickle protocol and reads its whole answer, of at
    /// most 1 MiB, within [`ClientConfig::request_timeout`](crate::ClientConfig::request_timeout).
    /// Connections and trust in certificates are those of channels; the channels' token is not
    /// sent.
    ///
    /// # Errors
    /// [`NoAnswer`] says why none came. A status other than success is an answer.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        let limit = self.config().request_timeout;
        let exchange = async {
            let request = request.map(|body| ClientBody::Whole(Some(body)));
            let (parts, body) = self.exchange(request, false).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| NoAnswer::new(format!("it broke off: {error}")))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| Err(NoAnswer::new(format!("no answer within {limit:?}"))))
    }
}
