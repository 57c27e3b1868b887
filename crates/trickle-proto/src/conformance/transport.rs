//! Rules about HTTP itself: pipelining, HTTP/2, slow readers.

use bytes::Bytes;
use http::{Method, Version, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Check, Failure, checks, ensure,
    probe::{Probe, within},
};

/// More bytes than sockets and servers buffer for a reader that does not read.
const LARGE: usize = 48 << 20;

pub(super) fn checks() -> Vec<Check> {
    checks! {
        core Autocreate pipelined_requests_are_answered_in_order:
            "requests pipelined on one HTTP/1.1 connection are answered in order";
        core Autocreate http2: "HTTP/2 works, without Connection headers";
        beyond Autocreate slow_reader_is_cut_off:
            "a reader that is too slow is cut off with a body that does not look complete";
    }
}

async fn pipelined_requests_are_answered_in_order(probe: Probe) -> Result<(), Failure> {
    let mut socket = probe.socket().await?;
    let host = probe.host();
    let write = format!(
        "POST {} HTTP/1.1\r\nHost: {host}\r\nContent-Type: a/b\r\nContent-Length: 4\r\n\r\nbody",
        probe.path("/0")
    );
    let read = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n", probe.path("/0"));
    let next = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
        probe.path("/next")
    );
    socket
        .write_all(format!("{write}{read}{next}").as_bytes())
        .await?;
    let mut answers = Vec::new();
    within("three answers", socket.read_to_end(&mut answers)).await??;
    let text = String::from_utf8_lossy(&answers).into_owned();
    ensure!(
        text.matches("HTTP/1.1 200").count() == 3,
        "not three answers of 200: {text}"
    );
    let body = text.find("body");
    ensure!(
        body.is_some_and(|at| at < text.len() - 4),
        "the segment's body is not there: {text}"
    );
    ensure!(
        text.ends_with("\r\n1") || text.ends_with("1\r\n\r\n0\r\n\r\n"),
        "/next is not last: {text}"
    );
    Ok(())
}

async fn http2(probe: Probe) -> Result<(), Failure> {
    let io = TokioIo::new(probe.socket().await?);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let Ok((mut sender, connection)) = within("an HTTP/2 handshake", handshake).await? else {
        return Err(Failure::Skipped("no HTTP/2 with prior knowledge".into()));
    };
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let requests = [
        (Method::POST, "/0", "two"),
        (Method::GET, "/0", ""),
        (Method::GET, "/next", ""),
        (Method::DELETE, "", ""),
        (Method::POST, "/9", "x"),
    ];
    let mut bodies = Vec::new();
    for (method, suffix, body) in requests {
        let request = http::Request::builder()
            .method(method)
            .uri(probe.uri(suffix)?)
            .version(Version::HTTP_2)
            .header(header::CONTENT_TYPE, "a/b")
            .body(Full::new(Bytes::from_static(body.as_bytes())))?;
        let response = match within("an answer over HTTP/2", sender.send_request(request)).await? {
            Ok(response) => response,
            Err(_) if bodies.is_empty() => {
                return Err(Failure::Skipped("no HTTP/2 with prior knowledge".into()));
            }
            Err(error) => return Err(error.into()),
        };
        let connection = response.headers().get(header::CONNECTION);
        ensure!(
            connection.is_none(),
            "Connection: {connection:?} over HTTP/2"
        );
        bodies.push(
            within("a body", response.into_body().collect())
                .await??
                .to_bytes(),
        );
    }
    drop(connection);
    ensure!(
        bodies.get(1).is_some_and(|body| body == "two"),
        "the segment is not what was written"
    );
    ensure!(
        bodies.get(2).is_some_and(|body| body == "1"),
        "/next is not 1"
    );
    Ok(())
}

async fn slow_reader_is_cut_off(probe: Probe) -> Result<(), Failure> {
    let mut slow = probe.socket().await?;
    let posting = probe.post(0)?;
    posting.write("start").await?;
    probe.wait_for_next(1).await?;
    let get = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n",
        probe.path("/0"),
        probe.host()
    );
    slow.write_all(get.as_bytes()).await?;
    let mut start = [0; 12];
    within("an answer", slow.read_exact(&mut start)).await??;
    let block = "x".repeat(1 << 20);
    for _ in 0..LARGE / block.len() {
        posting.write(&block).await?;
    }
    posting.finish().await?.expect(200)?;
    for index in 1..12 {
        probe.write(index, "next").await?;
    }
    // What it is sent from now on was buffered on the way; the rest is gone.
    let mut rest = Vec::new();
    let _ = within("the end of the connection", slow.read_to_end(&mut rest)).await?;
    if rest.len() >= LARGE {
        return Err(Failure::Skipped(
            "the ring or the buffers on the way hold it all".into(),
        ));
    }
    ensure!(
        !rest.ends_with(b"0\r\n\r\n"),
        "the cut-off body looks complete"
    );
    Ok(())
}
