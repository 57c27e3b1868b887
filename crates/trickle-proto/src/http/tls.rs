//! TLS: the relay's certificate, and which certificates a client believes.

use std::{
    error::Error,
    fmt, io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// Protocols offered by ALPN, best first.
const ALPN: [&[u8]; 2] = [b"h2", HTTP1];
const HTTP1: &[u8] = b"http/1.1";
/// Time for a handshake with a client.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a message about an untrusted certificate adds.
const HINT: &str = "; trust this certificate with --trust-certificate FILE \
     (TRICKLE_TRUST_CERTIFICATE), or verify nothing with --insecure (TRICKLE_INSECURE=true)";

/// Whether a connection failed because [`Verifier`] refused the server's certificate, which it tells
/// as a general error: no other comes of a client's handshake.
pub(super) fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return matches!(error, rustls::Error::General(_));
    }
    // An I/O error gives the causes of what it holds for its own, not what it holds.
    let held = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match held {
        Some(held) => is_distrust(held),
        None => error.source().is_some_and(is_distrust),
    }
}

/// TLS settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Text that is no PEM, or holds none of what is wanted.
    #[error("{what}: {source}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// No certificate in the text.
    #[error("no certificate found")]
    NoCertificate,
    /// Key and certificate do not fit together, or are of a kind that is not supported.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// A server's certificate and key: a relay's or a worker's.
#[derive(Clone)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// Reads a certificate chain, the server's own first, and its private key, both PEM.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates_from(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| TlsError::Pem {
            what: "private key",
            source,
        })?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
        Ok(Self(Arc::new(config)))
    }

    /// Offers HTTP/1.1 alone, for a server that speaks no more; else HTTP/2 comes first.
    #[must_use]
    pub fn http1(mut self) -> Self {
        Arc::make_mut(&mut self.0).alpn_protocols = vec![HTTP1.to_vec()];
        self
    }

    /// The handshake on a connection that was accepted, within 10 s.
    ///
    /// # Errors
    /// The client's trouble with the certificate, or its silence.
    pub async fn accept<S>(
        &self,
        stream: S,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static + use<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        timeout(
            HANDSHAKE_TIMEOUT,
            TlsAcceptor::from(self.0.clone()).accept(stream),
        )
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake took too long"))?
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls(..)")
    }
}

/// Which servers a client believes. By default those with a certificate that the system trusts.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    trusted: Vec<CertificateDer<'static>>,
    insecure: bool,
}

impl ClientTls {
    /// Believes the server of exactly this certificate too, whatever name and dates it bears;
    /// several may stand in the PEM text. The way to talk to an orchestrator that signed its
    /// certificate itself.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn trust_pem(mut self, certificates: &[u8]) -> Result<Self, TlsError> {
        self.trusted.extend(certificates_from(certificates)?);
        Ok(self)
    }

    /// Believes everybody. Whoever can stand in between reads and changes everything.
    #[must_use]
    pub fn insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }

    /// For another client than trickle's. Without ALPN: the connector adds that.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn build(&self) -> Result<ClientConfig, TlsError> {
        let provider = provider();
        let verifier = Verifier {
            tls: self.clone(),
            provider: provider.clone(),
            system: OnceLock::new(),
        };
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}

fn certificates_from(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem {
            what: "certificate",
            source,
        })?;
    if all.is_empty() {
        Err(TlsError::NoCertificate)
    } else {
        Ok(all)
    }
}

/// Believes the certificates that it was given, then those that the system trusts. The system's
/// are read when the first is checked, as that takes some milliseconds that clients of plain
/// HTTP need not pay.
#[derive(Debug)]
struct Verifier {
    tls: ClientTls,
    provider: Arc<CryptoProvider>,
    system: OnceLock<Result<Arc<WebPkiServerVerifier>, String>>,
}

impl Verifier {
    fn system(&self) -> Result<&Arc<WebPkiServerVerifier>, rustls::Error> {
        let read = || {
            let mut roots = RootCertStore::empty();
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(format!("the system trusts no certificate at all{HINT}"));
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
                .build()
                .map_err(|error| error.to_string())
        };
        self.system
            .get_or_init(read)
            .as_ref()
            .map_err(|text| rustls::Error::General(text.clone()))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.tls.insecure || self.tls.trusted.iter().any(|trusted| trusted == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            self.system()?
                .verify_server_cert(end_entity, intermediates, name, ocsp, now);
        verified.map_err(|error| match error {
            // Passes by itself, as when a clock is not set yet.
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => error,
            rustls::Error::InvalidCertificate(_) => {
                rustls::Error::General(format!("{error}{HINT}"))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
