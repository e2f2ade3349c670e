//! wasi:http for wasmtime over a host's connections. The only file that knows `wasmtime_wasi_http`, with those in its folder.

mod handler;
mod streams;

use crate::error::Failure;
use crate::guest::Guest;
use crate::{Host, Timeouts};
use http::HeaderName;
use http_body_util::BodyExt;
use std::task::{Context, Waker};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::{
    DnsErrorPayload, ErrorCode, FieldSizePayload, IoError, TlsAlertReceivedPayload,
};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

/// Sends a store's requests over the connections of a [`Host`].
///
/// Keep one in the state of each store, in a field of its own, since [`WasiHttpCtxView`] borrows it beside the table.
/// [`State`] does so already. It keeps the host alive.
#[derive(Clone)]
pub struct Hooks {
    guest: Guest,
}

impl Hooks {
    pub(crate) fn new(guest: Guest) -> Self {
        Self { guest }
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Sent), Error>> + Send> {
        let guest = self.guest.clone();
        let options = options.unwrap_or_default();
        let timeouts = Timeouts {
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        };
        let listens = awaits_verdict(processed);
        let request = Box::new(request.map(|body| body.map_err(Into::into).boxed_unsync()));
        Box::new(async move {
            let response = guest.carry(request, timeouts).await.map_err(error_of)?;
            let sent = response.body().request_sent();
            let response = response.map(|body| body.map_err(error_of).boxed_unsync());
            let sent: Sent = match listens {
                true => Box::new(async { sent.await.map_err(error_of) }),
                // What becomes of the rest of an upload shows in the response, and wasmtime would log it as a warning.
                false => Box::new(async { Ok(()) }),
            };
            Ok((response, sent))
        })
    }

    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        // What wasmtime forbids, which it would put into a new filter for each field.
        static FORBIDDEN: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;
        FORBIDDEN.contains(name)
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        PIECES
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE
    }
}

/// How many pieces of a request's body wait for its connection, and one more: the guest is called once for all of them.
const PIECES: usize = 4;

/// The largest piece that a guest of WASI 0.2 may write at once. Together they are less than what wasmtime lets wait.
const PIECE: usize = 256 * 1024;

/// How sending the rest of a request ended.
type Sent = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Whether the guest is one of WASI 0.3, which judges a response once it has consumed it, and asks how sending its request
/// ended. For one of 0.2 wasmtime puts in a verdict that is there before the response.
///
/// The verdict itself needs no use: whether the connection is good for another request depends on whether the response's body
/// was read to its end, which the body knows, and nothing on the wire could tell the server what the guest thought of it.
fn awaits_verdict(processed: Box<dyn Future<Output = Result<(), Error>> + Send>) -> bool {
    let mut processed = Box::into_pin(processed);
    processed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Adds what a component of the `wasi:http/proxy` world imports, for async stores: wasi:http, wasi:io, wasi:clocks,
/// wasi:random and the standard streams.
///
/// Unlike wasmtime's own, `http-error-code` here knows the errors of reading a response's body, a request takes one task instead
/// of two, and what a guest reads is copied once.
///
/// # Errors
///
/// When one of these is in the linker already, unless that [allows shadowing](Linker::allow_shadowing), which it does not afterwards.
pub fn add_to_linker<T>(linker: &mut Linker<T>) -> wasmtime::Result<()>
where
    T: WasiHttpView + WasiView + 'static,
{
    use wasmtime_wasi::p2::bindings::random;

    wasmtime_wasi_http::p2::add_to_linker_async(linker)?;
    random::insecure::add_to_linker::<T, wasmtime_wasi::random::WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<T, wasmtime_wasi::random::WasiRandom>(linker, |state| {
        state.ctx().ctx.random()
    })?;
    linker.allow_shadowing(true);
    let replaced = explain_errors(linker).and_then(|()| handler::add(linker)).and_then(|()| streams::add(linker));
    linker.allow_shadowing(false);
    replaced
}

/// Adds what a component of the `wasi:http/service` world of WASI 0.3 imports: wasi:http, wasi:clocks, wasi:random and the
/// standard streams.
///
/// It can share a linker with [`add_to_linker`], and both kinds of guests share [`Hooks`]. The engine has to have
/// `concurrency_support` on, which is its default with the feature `p3`.
///
/// # Errors
///
/// When one of these is in the linker already, or its engine cannot run guests of WASI 0.3.
#[cfg(feature = "p3")]
pub fn add_to_linker_p3<T>(linker: &mut Linker<T>) -> wasmtime::Result<()>
where
    T: WasiHttpView + WasiView + 'static,
{
    use wasmtime_wasi::cli::{WasiCli, WasiCliView};
    use wasmtime_wasi::p3::bindings::cli::{stderr, stdin, stdout};

    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    wasmtime_wasi::p3::clocks::add_to_linker(linker)?;
    wasmtime_wasi::p3::random::add_to_linker(linker)?;
    stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    stderr::add_to_linker::<T, WasiCli>(linker, T::cli)
}

/// Replaces `http-error-code`: wasmtime's looks for an `ErrorCode`, while a failed read carries an [`Error`].
fn explain_errors<T>(linker: &mut Linker<T>) -> wasmtime::Result<()>
where
    T: WasiHttpView + 'static,
{
    linker.instance("wasi:http/types@0.2.12")?.func_wrap(
        "http-error-code",
        |mut store: StoreContextMut<'_, T>, (error,): (Resource<IoError>,)| {
            let view = store.data_mut().http();
            let error = view.table.get(&error)?;
            let known = error.downcast_ref::<ErrorCode>().cloned();
            Ok((known.or_else(|| error.downcast_ref::<Error>().map(code_of)),))
        },
    )
}

/// The state of a store for a component that may send requests and nothing else: no files, environment, arguments, sockets
/// or standard streams.
pub struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
}

impl State {
    /// The state of one store, whose requests go over the connections of `host`.
    pub fn new(host: &Host) -> Self {
        Self::with_hooks(host.hooks())
    }

    /// The state of one store of `guest`.
    pub fn of(guest: &Guest) -> Self {
        Self::with_hooks(guest.hooks())
    }

    fn with_hooks(hooks: Hooks) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        Self { table: ResourceTable::new(), wasi: wasi.build(), http: WasiHttpCtx::new(), hooks }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

fn error_of(failure: Failure) -> Error {
    match failure {
        Failure::DnsTimeout => Error::DnsTimeout,
        Failure::Dns(why) => Error::DnsError { rcode: Some(why), info_code: None },
        Failure::Refused => Error::ConnectionRefused,
        Failure::Unavailable => Error::DestinationUnavailable,
        Failure::Unroutable => Error::DestinationIpUnroutable,
        Failure::Prohibited => Error::DestinationIpProhibited,
        Failure::ConnectTimeout => Error::ConnectionTimeout,
        Failure::LimitReached => Error::ConnectionLimitReached,
        Failure::Terminated => Error::ConnectionTerminated,
        Failure::ReadTimeout => Error::ConnectionReadTimeout,
        Failure::TlsCertificate => Error::TlsCertificateError,
        Failure::TlsProtocol => Error::TlsProtocolError,
        Failure::TlsAlert { id, name } => Error::TlsAlertReceived { alert_id: Some(id), alert_message: Some(name) },
        Failure::Denied => Error::HttpRequestDenied,
        Failure::Proxy => Error::ConfigurationError,
        Failure::Uri => Error::HttpRequestUriInvalid,
        Failure::Incomplete => Error::HttpResponseIncomplete,
        Failure::HeadTooLarge => Error::HttpResponseHeaderSectionSize(None),
        Failure::TransferCoding(coding) => Error::HttpResponseTransferCoding(Some(coding)),
        Failure::Upgraded => Error::HttpUpgradeFailed,
        Failure::RequestBody | Failure::Protocol => Error::HttpProtocolError,
    }
}

/// The `error-code` of an error. wasmtime has the same for errors it owns, but lends none out.
fn code_of(error: &Error) -> ErrorCode {
    let field =
        |name: &Option<String>, size: Option<u32>| FieldSizePayload { field_name: name.clone(), field_size: size };
    match error {
        Error::DnsTimeout => ErrorCode::DnsTimeout,
        Error::DnsError { rcode, info_code } => {
            ErrorCode::DnsError(DnsErrorPayload { rcode: rcode.clone(), info_code: *info_code })
        }
        Error::DestinationNotFound => ErrorCode::DestinationNotFound,
        Error::DestinationUnavailable => ErrorCode::DestinationUnavailable,
        Error::DestinationIpProhibited => ErrorCode::DestinationIpProhibited,
        Error::DestinationIpUnroutable => ErrorCode::DestinationIpUnroutable,
        Error::ConnectionRefused | Error::Connect(_) => ErrorCode::ConnectionRefused,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::ConnectionTimeout => ErrorCode::ConnectionTimeout,
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionWriteTimeout => ErrorCode::ConnectionWriteTimeout,
        Error::ConnectionLimitReached => ErrorCode::ConnectionLimitReached,
        Error::TlsProtocolError | Error::Tls(_) => ErrorCode::TlsProtocolError,
        Error::TlsCertificateError => ErrorCode::TlsCertificateError,
        Error::TlsAlertReceived { alert_id, alert_message } => ErrorCode::TlsAlertReceived(TlsAlertReceivedPayload {
            alert_id: *alert_id,
            alert_message: alert_message.clone(),
        }),
        Error::HttpRequestDenied => ErrorCode::HttpRequestDenied,
        Error::HttpRequestLengthRequired => ErrorCode::HttpRequestLengthRequired,
        Error::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
        Error::HttpRequestMethodInvalid => ErrorCode::HttpRequestMethodInvalid,
        Error::HttpRequestUriInvalid => ErrorCode::HttpRequestUriInvalid,
        Error::HttpRequestUriTooLong => ErrorCode::HttpRequestUriTooLong,
        Error::HttpRequestHeaderSectionSize(size) => ErrorCode::HttpRequestHeaderSectionSize(*size),
        Error::HttpRequestHeaderSize { field_name, field_size } => {
            ErrorCode::HttpRequestHeaderSize(Some(field(field_name, *field_size)))
        }
        Error::HttpRequestTrailerSectionSize(size) => ErrorCode::HttpRequestTrailerSectionSize(*size),
        Error::HttpRequestTrailerSize { field_name, field_size } => {
            ErrorCode::HttpRequestTrailerSize(field(field_name, *field_size))
        }
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::HttpResponseHeaderSectionSize(size) => ErrorCode::HttpResponseHeaderSectionSize(*size),
        Error::HttpResponseHeaderSize { field_name, field_size } => {
            ErrorCode::HttpResponseHeaderSize(field(field_name, *field_size))
        }
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        Error::HttpResponseTrailerSectionSize(size) => ErrorCode::HttpResponseTrailerSectionSize(*size),
        Error::HttpResponseTrailerSize { field_name, field_size } => {
            ErrorCode::HttpResponseTrailerSize(field(field_name, *field_size))
        }
        Error::HttpResponseTransferCoding(coding) => ErrorCode::HttpResponseTransferCoding(coding.clone()),
        Error::HttpResponseContentCoding(coding) => ErrorCode::HttpResponseContentCoding(coding.clone()),
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::HttpUpgradeFailed => ErrorCode::HttpUpgradeFailed,
        Error::HttpProtocolError | Error::Hyper(_) => ErrorCode::HttpProtocolError,
        Error::LoopDetected => ErrorCode::LoopDetected,
        Error::ConfigurationError => ErrorCode::ConfigurationError,
        Error::InternalError(why) => ErrorCode::InternalError(why.clone()),
        other => ErrorCode::InternalError(Some(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_the_error_code_that_it_names() {
        for (failure, code) in [
            (Failure::DnsTimeout, "DnsTimeout"),
            (Failure::Dns("no such name".to_owned()), "DnsError"),
            (Failure::Refused, "ConnectionRefused"),
            (Failure::Unavailable, "DestinationUnavailable"),
            (Failure::Unroutable, "DestinationIpUnroutable"),
            (Failure::Prohibited, "DestinationIpProhibited"),
            (Failure::ConnectTimeout, "ConnectionTimeout"),
            (Failure::LimitReached, "ConnectionLimitReached"),
            (Failure::Terminated, "ConnectionTerminated"),
            (Failure::ReadTimeout, "ConnectionReadTimeout"),
            (Failure::TlsCertificate, "TlsCertificateError"),
            (Failure::TlsProtocol, "TlsProtocolError"),
            (Failure::TlsAlert { id: 40, name: "HandshakeFailure".to_owned() }, "TlsAlertReceived"),
            (Failure::Denied, "HttpRequestDenied"),
            (Failure::Proxy, "ConfigurationError"),
            (Failure::Uri, "HttpRequestUriInvalid"),
            (Failure::RequestBody, "HttpProtocolError"),
            (Failure::Incomplete, "HttpResponseIncomplete"),
            (Failure::HeadTooLarge, "HttpResponseHeaderSectionSize"),
            (Failure::TransferCoding("gzip".to_owned()), "HttpResponseTransferCoding"),
            (Failure::Upgraded, "HttpUpgradeFailed"),
            (Failure::Protocol, "HttpProtocolError"),
        ] {
            let told = format!("{:?}", code_of(&error_of(failure.clone())));
            let name: String = told.chars().skip("ErrorCode::".len()).take_while(char::is_ascii_alphanumeric).collect();
            assert_eq!(name, code, "{failure:?}: {told}");
        }
    }
}
