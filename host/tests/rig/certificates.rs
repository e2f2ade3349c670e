//! Certificates, and servers that show and ask for them.

use super::{OK, Peer, Server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, HandshakeKind, RootCertStore, ServerConfig};

/// Who signs certificates.
pub struct Authority {
    pub pem: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for `name` and its key, in PEM.
    pub fn identity_pem(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    /// The configuration of a server with a certificate for `name`. With `clients`, it wants one of theirs.
    pub fn config(&self, name: &str, clients: Option<&Self>) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key: PrivateKeyDer<'static> = key.serialize_der().try_into().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.certificate.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        config.with_single_cert(vec![leaf.der().clone()], key).unwrap()
    }
}

/// One TLS connection as the server saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub handshake: HandshakeKind,
    pub alpn: Option<String>,
    pub client_certificate: bool,
}

/// What the server saw of the connections that came about.
pub type Log = Arc<Mutex<Vec<Seen>>>;

/// Speaks TLS on a connection, then answers every request with `answer`; closes it where HTTP/2 was agreed to.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, config: Arc<ServerConfig>, answer: &str, log: Log) {
    let mut stream = match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((_, mut stream)) => {
            // Closing with bytes unread would reset the connection, and take the alert away.
            let _ = stream.read_to_end(&mut Vec::new()).await;
            return;
        }
    };
    let (_, tls) = stream.get_mut();
    let alpn = tls.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
    let multiplexed = alpn.as_deref() == Some("h2");
    let (handshake, client_certificate) = (tls.handshake_kind().unwrap(), tls.peer_certificates().is_some());
    log.lock().unwrap().push(Seen { handshake, alpn, client_certificate });
    if multiplexed {
        return;
    }
    let mut peer = Peer::new(stream);
    while peer.request().await.is_some() {
        peer.send(answer).await;
        if answer.contains("Connection: close") {
            return;
        }
    }
}

/// A TLS server that answers every request with `OK`.
pub async fn secure(config: ServerConfig) -> (Server, Log) {
    secure_always(config, OK).await
}

/// A TLS server that answers every request alike.
pub async fn secure_always(config: ServerConfig, answer: &'static str) -> (Server, Log) {
    let (config, log) = (Arc::new(config), Log::default());
    let seen = log.clone();
    let server = Server::start(move |peer, _| serve(peer.stream, config.clone(), answer, seen.clone())).await;
    (server, log)
}
