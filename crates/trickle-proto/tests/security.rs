//! Tokens and TLS, over real sockets.
#![allow(clippy::unwrap_used)]

use std::{future::pending, sync::Arc, time::Duration};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use trickle_proto::{
    Access, Client, ClientConfig, ClientTls, PublishError, PublishOptions, PublishStop, Relay,
    RelayConfig, RetryPolicy, Seq, ServerTls, Start, SubscribeError, SubscribeStop, Token,
};
use url::Url;

mod support;
use support::{Server, next, text, write};

fn client_with(token: Option<&str>) -> Client {
    let token = token.map(|token| Token::new(token).unwrap());
    Client::new(ClientConfig {
        token,
        ..ClientConfig::default()
    })
    .unwrap()
}

fn guarded() -> RelayConfig {
    let token = |text| vec![Token::new(text).unwrap()];
    RelayConfig {
        autocreate: true,
        access: Access {
            publish: token("writer"),
            subscribe: token("reader"),
        },
        ..RelayConfig::default()
    }
}

#[tokio::test]
async fn tokens_open_what_they_are_for() {
    let server = Server::start(guarded()).await;
    let url = server.channel("a");
    let options = PublishOptions::new("text/plain").create(true).resume(true);
    let mut publisher = client_with(Some("writer"))
        .publish(&url, options)
        .await
        .unwrap();
    write(&mut publisher, "x").await;
    let start = Start::At(Seq::ZERO);
    let mut subscriber = client_with(Some("reader")).subscribe(&url, start).unwrap();
    assert_eq!(text(next(&mut subscriber).await).await, "x");
    publisher.close().await.unwrap();
}

#[tokio::test]
async fn without_the_right_token_nothing_opens() {
    let server = Server::start(guarded()).await;
    let url = server.channel("a");
    for token in [None, Some("reader"), Some("guess")] {
        let options = PublishOptions::new("text/plain").create(true);
        let error = client_with(token).publish(&url, options).await.unwrap_err();
        assert!(
            matches!(
                error,
                PublishError::Stopped {
                    stop: PublishStop::Refused(401),
                    ..
                }
            ),
            "{error}"
        );
    }
    for token in [None, Some("writer"), Some("guess")] {
        let mut subscriber = client_with(token).subscribe(&url, Start::Current).unwrap();
        let error = subscriber.next_segment().await.unwrap_err();
        assert!(
            matches!(
                error,
                SubscribeError::Stopped {
                    stop: SubscribeStop::Refused(401),
                    ..
                }
            ),
            "{error}"
        );
    }
    assert!(server.relay.registry().is_empty());
}

#[tokio::test]
async fn a_channel_may_have_tokens_of_its_own() {
    let server = Server::open().await;
    let own = Access {
        publish: Vec::new(),
        subscribe: vec![Token::new("guest").unwrap()],
    };
    server.relay.set_channel_access("private", own);
    for name in ["private", "public"] {
        let options = PublishOptions::new("text/plain");
        let url = server.channel(name);
        let mut publisher = client_with(None).publish(&url, options).await.unwrap();
        write(&mut publisher, "x").await;
        publisher.leave().await.unwrap();
    }
    let read = async |name: &str, token| {
        let url = server.channel(name);
        let mut subscriber = client_with(token).subscribe(&url, Start::Current).unwrap();
        subscriber
            .next_segment()
            .await
            .map(|segment| segment.is_some())
    };
    assert!(read("public", None).await.unwrap());
    assert!(read("private", Some("guest")).await.unwrap());
    assert!(read("private", None).await.is_err());
}

/// A relay over TLS with a certificate that it signed itself for `name`.
async fn tls_relay(name: &str) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = ServerTls::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    let relay = Relay::new(RelayConfig {
        autocreate: true,
        ..RelayConfig::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { relay.serve_tls(listener, tls, pending()).await });
    (port, cert)
}

fn tls_client(tls: ClientTls) -> Client {
    let retry = RetryPolicy {
        window: Duration::ZERO,
        ..RetryPolicy::default()
    };
    Client::new(ClientConfig {
        tls,
        retry,
        ..ClientConfig::default()
    })
    .unwrap()
}

async fn goes_through(client: &Client, url: &Url) -> Result<(), PublishError> {
    let options = PublishOptions::new("text/plain").create(true);
    let mut publisher = client.publish(url, options).await?;
    write(&mut publisher, "secret").await;
    let mut subscriber = client.subscribe(url, Start::At(Seq::ZERO)).unwrap();
    assert_eq!(text(next(&mut subscriber).await).await, "secret");
    publisher.close().await
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_and_the_message_helps() {
    let (port, _) = tls_relay("localhost").await;
    let url = format!("https://localhost:{port}/a").parse().unwrap();
    let error = goes_through(&tls_client(ClientTls::default()), &url)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("--insecure") && text.contains("--trust-certificate"),
        "{text}"
    );
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_no_outage_to_wait_for() {
    let (port, _) = tls_relay("localhost").await;
    let url: Url = format!("https://localhost:{port}/a").parse().unwrap();
    let client = Client::new(ClientConfig::default()).unwrap();
    for create in [false, true] {
        let options = PublishOptions::new("text/plain").create(create);
        let error = match client.publish(&url, options).await {
            Err(error) => error,
            Ok(mut publisher) => {
                // The first segment is lost, and what comes next knows why.
                drop(publisher.next_segment().await);
                publisher.settled().await.ok();
                publisher.next_segment().await.unwrap_err()
            }
        };
        let stop = PublishStop::Distrusted;
        assert!(
            matches!(error, PublishError::Stopped { stop: got, .. } if got == stop),
            "{error}"
        );
    }
    let mut subscriber = client.subscribe(&url, Start::Current).unwrap();
    let error = subscriber.next_segment().await.unwrap_err();
    assert!(
        matches!(
            error,
            SubscribeError::Stopped {
                stop: SubscribeStop::Distrusted,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_given_certificate_is_believed_and_no_other() {
    let (port, cert) = tls_relay("somewhere.else").await;
    let url: Url = format!("https://127.0.0.1:{port}/a").parse().unwrap();
    let trusting = ClientTls::default().trust_pem(cert.as_bytes()).unwrap();
    goes_through(&tls_client(trusting.clone()), &url)
        .await
        .unwrap();

    let (other, _) = tls_relay("somewhere.else").await;
    let url: Url = format!("https://127.0.0.1:{other}/a").parse().unwrap();
    assert!(goes_through(&tls_client(trusting), &url).await.is_err());
}

#[tokio::test]
async fn verification_can_be_turned_off() {
    let (port, _) = tls_relay("somewhere.else").await;
    let url = format!("https://127.0.0.1:{port}/a").parse().unwrap();
    goes_through(&tls_client(ClientTls::default().insecure(true)), &url)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_version_of_http_is_chosen_by_alpn() {
    let (port, cert) = tls_relay("localhost").await;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(cert.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let cases: [(&[&str], Option<&str>); 4] = [
        (&["h2", "http/1.1"], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ];
    for (offered, chosen) in cases {
        let mut config = config.clone();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().into()).collect();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let mut stream = connecting.await.unwrap();
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, chosen.map(str::as_bytes), "{offered:?}");
        if chosen != Some("h2") {
            let ask = b"GET /a/next HTTP/1.1\r\n\r\n";
            stream.write_all(ask).await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 404");
        }
    }
}

/// A way to the port `to` that passes nothing on any more once the token is cancelled, and keeps
/// its connections open.
async fn freezing_proxy(to: u16) -> (u16, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let frozen = CancellationToken::new();
    let freeze = frozen.clone();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let frozen = frozen.clone();
            connections.spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    () = frozen.cancelled() => pending().await,
                }
            });
        }
    });
    (port, freeze)
}

#[tokio::test]
async fn a_relay_that_falls_silent_is_noticed_by_an_http_2_client() {
    let (port, _) = tls_relay("localhost").await;
    let (port, freeze) = freezing_proxy(port).await;
    let url: Url = format!("https://127.0.0.1:{port}/a").parse().unwrap();
    let client = tls_client(ClientTls::default().insecure(true));
    let options = PublishOptions::new("text/plain").create(true);
    let mut publisher = client.publish(&url, options).await.unwrap();
    let mut segment = publisher.next_segment().await.unwrap();
    segment.write("x".into()).await.unwrap();
    let mut subscriber = client.subscribe(&url, Start::At(Seq::ZERO)).unwrap();
    let mut reader = next(&mut subscriber).await;
    assert_eq!(reader.chunk().await.unwrap().as_deref(), Some(&b"x"[..]));

    freeze.cancel();
    tokio::time::pause();
    let ping_and_wait = Duration::from_secs(20 + 10 + 1);
    let noticed = tokio::time::timeout(ping_and_wait, reader.chunk()).await;
    let error = noticed.unwrap().unwrap_err();
    assert!(matches!(error, SubscribeError::Truncated { .. }), "{error}");
}

#[test]
fn what_is_no_certificate_is_refused() {
    assert!(ClientTls::default().trust_pem(b"no pem").is_err());
    assert!(ServerTls::from_pem(b"", b"").is_err());
}
