//! wasmtime's own handler, as a contender.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, default_hooks};

/// The hooks of wasmtime, but that over TLS they trust one root more.
///
/// http goes to the original. For https this does what the original does, which is not told of other roots: a connection,
/// a TLS configuration and a handshake for each request.
#[derive(Clone)]
pub(crate) struct StockHooks {
    root: CertificateDer<'static>,
}

impl StockHooks {
    pub(crate) fn new(root: CertificateDer<'static>) -> Self {
        Self { root }
    }
}

type Sent = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answered = Result<(http::Response<WasiBody>, Sent), Error>;

impl WasiHttpHooks for StockHooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        processed: Sent,
    ) -> Box<dyn Future<Output = Answered> + Send> {
        if request.uri().scheme_str() != Some("https") {
            return default_hooks().send_request(request, options, processed);
        }
        Box::new(send(request, options.unwrap_or_default(), self.root.clone()))
    }
}

async fn send(
    mut request: http::Request<WasiBody>,
    options: RequestOptions,
    root: CertificateDer<'static>,
) -> Answered {
    let authority = request.uri().authority().ok_or(Error::HttpRequestUriInvalid)?.clone();
    let connect = options.connect_timeout.unwrap_or(TIMEOUT);
    let address = (authority.host(), authority.port_u16().unwrap_or(443));
    let stream = timeout(connect, TcpStream::connect(address)).await.map_err(|_| Error::ConnectionTimeout)?;
    let stream = stream.map_err(Error::Connect)?;

    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add(root).map_err(|error| Error::Tls(std::io::Error::other(error)))?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(authority.host().to_owned())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(Error::Tls)?;

    let handshake = hyper::client::conn::http1::Builder::new().handshake(TokioIo::new(stream));
    let (mut sender, connection) = timeout(connect, handshake).await.map_err(|_| Error::ConnectionTimeout)??;
    tokio::spawn(connection);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let first_byte = options.first_byte_timeout.unwrap_or(TIMEOUT);
    let response = timeout(first_byte, sender.send_request(request)).await;
    let response = response.map_err(|_| Error::ConnectionReadTimeout)??;
    Ok((response.map(|body| body.map_err(Error::from).boxed_unsync()), Box::new(async { Ok(()) })))
}

/// The default of the original.
const TIMEOUT: Duration = Duration::from_secs(600);
