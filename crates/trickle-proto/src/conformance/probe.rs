//! Requests of the conformance suite: one at a time, with control over when bytes go.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::Failure;
use crate::{
    Client, Seq,
    http::{
        client::{ClientBody, request},
        upload::{Upload, UploadBody},
    },
    wire::{self, Head},
};

/// Longest wait for something that must come.
const STEP: Duration = Duration::from_secs(10);
/// Shortest time for which something that must not come is watched for.
const QUIET: Duration = Duration::from_millis(100);
/// Pause between two looks at something that other requests change.
const LOOK: Duration = Duration::from_millis(2);

/// A place to check one rule at: a relay, and a channel name that nobody else uses.
#[derive(Clone)]
pub(super) struct Probe {
    client: Client,
    base: Url,
    prefix: String,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) head: Head,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answered {
    /// Status and body, for messages.
    pub(super) fn describe(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        format!(
            "{} {:?}",
            self.status,
            text.chars().take(80).collect::<String>()
        )
    }

    /// Fails unless the status is this.
    pub(super) fn expect(self, status: u16) -> Result<Self, Failure> {
        if self.status == status {
            Ok(self)
        } else {
            Err(format!("expected status {status}, got {}", self.describe()).into())
        }
    }

    /// Fails unless it is a segment with this index and these bytes.
    pub(super) fn expect_segment(self, seq: u32, body: &str) -> Result<Self, Failure> {
        let answered = self.expect(200)?;
        if answered.head.closed {
            return Err(format!("expected segment {seq}, got the end of the stream").into());
        }
        if answered.head.seq != Some(Seq::from(seq)) {
            return Err(
                format!("expected Lp-Trickle-Seq {seq}, got {:?}", answered.head.seq).into(),
            );
        }
        if answered.body != body.as_bytes() {
            return Err(format!("expected body {body:?}, got {}", answered.describe()).into());
        }
        Ok(answered)
    }

    /// Fails unless it is the end of the stream.
    pub(super) fn expect_end_of_stream(self) -> Result<Self, Failure> {
        let answered = self.expect(200)?;
        if answered.head.closed && answered.body.is_empty() {
            Ok(answered)
        } else {
            Err(format!(
                "expected the end of the stream, got {}",
                answered.describe()
            )
            .into())
        }
    }

    /// Fails unless it says that the segment does not exist, and which is the next.
    pub(super) fn expect_no_segment(self, latest: u32) -> Result<Self, Failure> {
        let answered = self.expect(wire::STATUS_NO_SEGMENT)?;
        if answered.head.latest == Some(Seq::from(latest)) {
            Ok(answered)
        } else {
            let got = answered.head.latest;
            Err(format!("expected Lp-Trickle-Latest {latest}, got {got:?}").into())
        }
    }
}

/// A request whose answer is still awaited.
pub(super) struct Pending(AbortOnDropHandle<Result<Live, Failure>>);

impl Pending {
    /// Waits for the answer's head.
    pub(super) async fn head(self) -> Result<Live, Failure> {
        within("an answer", self.0).await??
    }

    /// Waits for the whole answer.
    pub(super) async fn whole(self) -> Result<Answered, Failure> {
        self.head().await?.whole().await
    }

    /// Fails if the answer comes within a short time.
    pub(super) async fn stays_open(&mut self) -> Result<(), Failure> {
        match timeout(QUIET, &mut self.0).await {
            Err(_) => Ok(()),
            Ok(Ok(Ok(live))) => Err(format!("answered {} too early", live.status).into()),
            Ok(Ok(Err(failure))) => Err(failure),
            Ok(Err(error)) => Err(error.into()),
        }
    }
}

/// An answer whose body is being read.
pub(super) struct Live {
    pub(super) status: u16,
    pub(super) head: Head,
    headers: HeaderMap,
    body: Incoming,
    left: Bytes,
}

impl Live {
    /// Fails unless exactly these bytes come next.
    pub(super) async fn expect_bytes(&mut self, wanted: &str) -> Result<(), Failure> {
        let mut got = std::mem::take(&mut self.left).to_vec();
        while got.len() < wanted.len() {
            match within("bytes", self.body.frame()).await? {
                Some(frame) => got.extend(frame?.into_data().unwrap_or_default()),
                None => return Err(format!("the body ended, {wanted:?} was to come").into()),
            }
        }
        self.left = Bytes::from(got.split_off(wanted.len()));
        if got == wanted.as_bytes() {
            Ok(())
        } else {
            Err(format!("expected {wanted:?}").into())
        }
    }

    /// Waits for the end of the body.
    pub(super) async fn whole(mut self) -> Result<Answered, Failure> {
        let mut body = self.left.to_vec();
        while let Some(frame) = within("the end of the body", self.body.frame()).await? {
            body.extend(frame?.into_data().unwrap_or_default());
        }
        let (status, head, headers) = (self.status, self.head, self.headers);
        Ok(Answered {
            status,
            head,
            headers,
            body: body.into(),
        })
    }

    /// Waits until the body is over, well or badly.
    pub(super) async fn over(mut self) -> Result<(), Failure> {
        while let Some(Ok(_)) = within("the end of the body", self.body.frame()).await? {}
        Ok(())
    }
}

/// A POST whose body is written bit by bit. Dropping it breaks the body off.
pub(super) struct Posting {
    upload: Arc<Upload>,
    answer: Pending,
}

impl Posting {
    pub(super) async fn write(&self, text: &str) -> Result<(), Failure> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        within("the relay to take bytes", self.upload.write(bytes))
            .await?
            .map_err(|_| Failure::from("the POST was over before its body"))
    }

    /// Ends the body and waits for the answer.
    pub(super) async fn finish(self) -> Result<Answered, Failure> {
        self.upload.finish();
        self.answer.whole().await
    }

    /// Waits for an answer although the body goes on.
    pub(super) async fn answer(self) -> Result<Answered, Failure> {
        self.answer.whole().await
    }
}

impl Probe {
    pub(super) fn new(client: Client, base: &Url, prefix: String) -> Self {
        let mut base = base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Self {
            client,
            base,
            prefix,
        }
    }

    pub(super) fn named(&self, name: &str) -> Self {
        Self {
            prefix: format!("{}-{name}", self.prefix),
            ..self.clone()
        }
    }

    /// Whether the relay lets publishers make channels.
    pub(super) async fn can_create(&self) -> Result<bool, String> {
        let probe = self.named("probe");
        match probe.create("application/octet-stream").await {
            Ok(answered) if answered.status == 200 => {
                let _ = probe.delete_channel().await;
                Ok(true)
            }
            Ok(answered) if answered.status == 404 => Ok(false),
            Ok(answered) => Err(format!("creating a channel: {}", answered.describe())),
            Err(Failure::Failed(text) | Failure::Skipped(text)) => Err(text),
        }
    }

    /// The channel's name.
    pub(super) fn channel(&self) -> &str {
        &self.prefix
    }

    /// Address of the channel, with `suffix` behind it.
    pub(super) fn uri(&self, suffix: &str) -> Result<Uri, Failure> {
        self.uri_below(&format!("{}{suffix}", self.prefix))
    }

    pub(super) fn uri_below(&self, path: &str) -> Result<Uri, Failure> {
        let base = &self.base[..url::Position::AfterPath];
        format!("{base}{path}").parse().map_err(Failure::from)
    }

    /// Host and port, for what must be said on a socket of its own.
    pub(super) async fn socket(&self) -> Result<TcpStream, Failure> {
        if self.base.scheme() != "http" {
            return Err(Failure::Skipped("needs a plain socket".into()));
        }
        let addresses = self.base.socket_addrs(|| None)?;
        let address = addresses.first().ok_or("no address")?;
        Ok(within("a connection", TcpStream::connect(address)).await??)
    }

    /// Path of the channel, with `suffix` behind it.
    pub(super) fn path(&self, suffix: &str) -> String {
        format!("{}{}{suffix}", self.base.path(), self.prefix)
    }

    /// `Host` of requests on a socket of its own.
    pub(super) fn host(&self) -> String {
        self.base[url::Position::BeforeHost..url::Position::AfterPort].to_owned()
    }

    /// Sends a request without waiting for anything.
    pub(super) fn send(
        &self,
        method: Method,
        uri: Uri,
        headers: &[(HeaderName, &'static str)],
        body: ClientBody,
    ) -> Pending {
        let mut request = request(method, uri, body);
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        let client = self.client.clone();
        Pending(AbortOnDropHandle::new(tokio::spawn(async move {
            let response = client
                .send(request, false)
                .await
                .map_err(|error| error.reason)?;
            let (parts, body) = response.into_parts();
            Ok(Live {
                status: parts.status.as_u16(),
                head: Head::read(&parts.headers),
                headers: parts.headers,
                body,
                left: Bytes::new(),
            })
        })))
    }

    pub(super) async fn ask(&self, method: Method, suffix: &str) -> Result<Answered, Failure> {
        self.send(method, self.uri(suffix)?, &[], ClientBody::Empty)
            .whole()
            .await
    }

    pub(super) async fn create(&self, mime: &'static str) -> Result<Answered, Failure> {
        let headers = [(wire::EXPECT_CONTENT, mime)];
        self.send(Method::POST, self.uri("")?, &headers, ClientBody::Empty)
            .whole()
            .await
    }

    pub(super) async fn delete_channel(&self) -> Result<Answered, Failure> {
        self.ask(Method::DELETE, "").await
    }

    pub(super) async fn delete(&self, index: &str) -> Result<Answered, Failure> {
        self.ask(Method::DELETE, &format!("/{index}")).await
    }

    /// Starts to read a segment.
    pub(super) fn get(&self, index: impl std::fmt::Display) -> Result<Pending, Failure> {
        let uri = self.uri(&format!("/{index}"))?;
        Ok(self.send(Method::GET, uri, &[], ClientBody::Empty))
    }

    /// Reads a whole segment.
    pub(super) async fn read(&self, index: impl std::fmt::Display) -> Result<Answered, Failure> {
        self.get(index)?.whole().await
    }

    /// Opens a POST.
    pub(super) fn post(&self, index: impl std::fmt::Display) -> Result<Posting, Failure> {
        self.post_with(index, &[])
    }

    pub(super) fn post_with(
        &self,
        index: impl std::fmt::Display,
        headers: &[(HeaderName, &'static str)],
    ) -> Result<Posting, Failure> {
        let uri = self.uri(&format!("/{index}"))?;
        let upload = Arc::new(Upload::default());
        let body = ClientBody::Upload(UploadBody(upload.clone()));
        let mut all = vec![(header::CONTENT_TYPE, "video/mp2t")];
        all.extend_from_slice(headers);
        let answer = self.send(Method::POST, uri, &all, body);
        Ok(Posting { upload, answer })
    }

    /// Writes a whole segment and fails unless it is taken.
    pub(super) async fn write(
        &self,
        index: impl std::fmt::Display,
        text: &str,
    ) -> Result<Answered, Failure> {
        let posting = self.post(index)?;
        if !text.is_empty() {
            posting.write(text).await?;
        }
        posting.finish().await?.expect(200)
    }

    /// Writes segments 0, 1, … each holding its index.
    pub(super) async fn write_many(&self, count: u32) -> Result<(), Failure> {
        for index in 0..count {
            self.write(index, &index.to_string()).await?;
        }
        Ok(())
    }

    /// What `/next` says.
    pub(super) async fn next(&self) -> Result<u64, Failure> {
        let answered = self.ask(Method::GET, "/next").await?.expect(200)?;
        let text = String::from_utf8_lossy(&answered.body).trim().to_owned();
        text.parse()
            .map_err(|_| Failure::from(format!("/next says {text:?}")))
    }

    /// Waits until `/next` says this.
    pub(super) async fn wait_for_next(&self, wanted: u64) -> Result<(), Failure> {
        let waiting = async {
            loop {
                // The channel may not have been made yet.
                if matches!(self.next().await, Ok(next) if next == wanted) {
                    return;
                }
                sleep(LOOK).await;
            }
        };
        within(&format!("/next to become {wanted}"), waiting).await
    }
}

/// Waits, but not for ever.
pub(super) async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(STEP, waiting)
        .await
        .map_err(|_| Failure::Failed(format!("waited {STEP:?} for {what}")))
}
