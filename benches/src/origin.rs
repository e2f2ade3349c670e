//! `urlpool-bench origin`: the server of every row, in a process of its own.
//!
//! It does as little as a server can, so that the figures are those of the clients. One line of JSON on stdout says where it
//! listens; a line on stdin asks how many connections it has accepted so far, and the end of stdin ends it.

mod h1;
mod h2;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio_rustls::TlsAcceptor;

/// Where an origin listens, all on the loopback.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Listening {
    /// HTTP/1.1.
    pub(crate) http: u16,
    /// HTTP/1.1 over TLS.
    pub(crate) https: u16,
    /// HTTP/2 over TLS, and HTTP/1.1 for those who do not offer it.
    pub(crate) h2: u16,
    /// HTTP/1.1 on many ports, each an origin of its own.
    pub(crate) many: Vec<u16>,
    /// The certificate to trust, as PEM.
    pub(crate) root: String,
}

/// What a request asks for; any method will do.
pub(crate) enum Asked {
    /// `/bytes/N`: a body of so many bytes.
    Bytes(u64),
    /// `/upload/N`: takes exactly so many bytes, and answers with a small body.
    Upload(u64),
    /// `/gather/N`: a small body, once so many requests wait for it.
    Gather(usize),
}

/// The length of a small body.
pub(crate) const SMALL: u64 = 15;

impl Asked {
    fn parse(path: &str) -> Option<Self> {
        let (what, number) = path.strip_prefix('/')?.split_once('/')?;
        let number = number.split('?').next()?;
        match what {
            "bytes" => Some(Self::Bytes(number.parse().ok()?)),
            "upload" => Some(Self::Upload(number.parse().ok()?)),
            "gather" => Some(Self::Gather(number.parse().ok()?)),
            _ => None,
        }
    }
}

/// What all connections share.
#[derive(Default)]
struct Shared {
    accepted: AtomicU64,
    barriers: Mutex<HashMap<usize, Arc<Barrier>>>,
}

impl Shared {
    /// The length of the body to answer with, once it is time to; none for a request that is wrong.
    async fn answer(&self, asked: Option<Asked>, received: u64) -> Option<u64> {
        match asked? {
            Asked::Bytes(length) => Some(length),
            Asked::Upload(length) => (received == length).then_some(SMALL),
            Asked::Gather(many) => {
                let barrier = {
                    let mut barriers = self.barriers.lock().unwrap_or_else(PoisonError::into_inner);
                    barriers.entry(many).or_insert_with(|| Arc::new(Barrier::new(many))).clone()
                };
                barrier.wait().await;
                Some(SMALL)
            }
        }
    }
}

/// Serves until stdin ends.
pub(crate) async fn run(many: usize) -> Result<()> {
    let authority = authority()?;
    let shared = Arc::new(Shared::default());
    let listening = Listening {
        http: listen(None, &shared).await?,
        https: listen(Some(tls(&authority, &[b"http/1.1"])?), &shared).await?,
        h2: listen(Some(tls(&authority, &[b"h2", b"http/1.1"])?), &shared).await?,
        many: {
            let mut ports = Vec::new();
            for _ in 0..many {
                ports.push(listen(None, &shared).await?);
            }
            ports
        },
        root: authority.pem(),
    };
    println!("{}", serde_json::to_string(&listening)?);
    let mut questions = BufReader::new(tokio::io::stdin()).lines();
    while questions.next_line().await?.is_some() {
        println!("{}", shared.accepted.load(Relaxed));
    }
    Ok(())
}

async fn listen(tls: Option<TlsAcceptor>, shared: &Arc<Shared>) -> Result<u16> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    // Bursts of a thousand connections come at once.
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket.into())?;
    let port = listener.local_addr()?.port();
    let shared = shared.clone();
    tokio::spawn(async move {
        loop {
            // Out of sockets: the client sees that soon enough.
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            shared.accepted.fetch_add(1, Relaxed);
            let (tls, shared) = (tls.clone(), shared.clone());
            // What goes wrong on one connection ends that connection, and its client says so.
            tokio::spawn(async move { converse(stream, tls, &shared).await });
        }
    });
    Ok(port)
}

async fn converse(stream: TcpStream, tls: Option<TlsAcceptor>, shared: &Arc<Shared>) -> Result<()> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return h1::serve(stream, shared).await;
    };
    let stream = tls.accept(stream).await?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        h2::serve(stream, shared.clone()).await
    } else {
        h1::serve(stream, shared).await
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn tls(authority: &CertifiedIssuer<'static, KeyPair>, protocols: &[&[u8]]) -> Result<TlsAcceptor> {
    let key = KeyPair::generate()?;
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut leaf = CertificateParams::new(names)?;
    // OpenSSL takes one that is named as its issuer for self-signed.
    leaf.distinguished_name.push(DnType::CommonName, "origin");
    let leaf = leaf.signed_by(&key, authority)?;
    let chain = vec![CertificateDer::from(leaf.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("origin: certificate")?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
