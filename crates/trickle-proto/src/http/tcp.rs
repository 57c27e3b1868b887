//! How every connection is set up: no delay, and half-open peers are found out.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How long a peer may be silent before it counts as gone. A body may be silent for minutes, so
/// nothing above the transport can tell; all of this is done by the kernel, or by HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Silence after which the kernel starts to probe the peer; whole seconds. Default 15 s.
    pub probe_after: Duration,
    /// Time between two probes; whole seconds. Default 5 s.
    pub probe_every: Duration,
    /// Probes without an answer after which the connection is dead. Default 4.
    pub probes: u32,
    /// Time that sent bytes may go without acknowledgement. Also bounds how long a peer may
    /// refuse to take any. Default 30 s; Linux only.
    pub unacknowledged: Duration,
    /// Time between two HTTP/2 PINGs, which both sides send. Default 20 s.
    pub ping_every: Duration,
    /// Time in which a PING must be answered. Default 10 s.
    pub ping_timeout: Duration,
}

impl Default for Silence {
    fn default() -> Self {
        Self {
            probe_after: Duration::from_secs(15),
            probe_every: Duration::from_secs(5),
            probes: 4,
            unacknowledged: Duration::from_secs(30),
            ping_every: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
        }
    }
}

/// Sets up an accepted socket. Failures are logged: the connection works without.
pub(crate) fn set_up(stream: &TcpStream, silence: &Silence) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(silence.probe_after)
        .with_interval(silence.probe_every)
        .with_retries(silence.probes);
    let set = stream
        .set_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive));
    #[cfg(target_os = "linux")]
    let set = set.and_then(|()| socket.set_tcp_user_timeout(Some(silence.unacknowledged)));
    if let Err(error) = set {
        tracing::debug!(%error, "socket options");
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_goes_away_without_a_word_is_probed_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let silence = Silence::default();
        set_up(&stream, &silence);
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), silence.probe_after);
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            silence.probe_every
        );
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), silence.probes);
        #[cfg(target_os = "linux")]
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(silence.unacknowledged)
        );
    }
}
