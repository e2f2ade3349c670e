//! `outgoing-handler` and the responses that come of it: as wasmtime has them, with one task for each request instead of two,
//! and with each head built once.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{self, ErrorCode, Method as WasiMethod, Scheme as WasiScheme};
use wasmtime_wasi_http::p2::body::HostIncomingBody;
use wasmtime_wasi_http::p2::http_request_error;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{Error, FieldMap, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpView};
use wasmtime_wasi_io::async_trait;

/// Replaces `handle` and `future-incoming-response`.
///
/// Besides what it costs, wasmtime's `handle` leaves the options of each request in the table for good, although they were
/// handed over: a store would have to end with its millionth request.
pub(super) fn add<T>(linker: &mut Linker<T>) -> wasmtime::Result<()>
where
    T: WasiHttpView + 'static,
{
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.resource("future-incoming-response", ResourceType::host::<Answer>(), |mut store, rep| {
        store.data_mut().http().table.delete(Resource::<Answer>::new_own(rep))?;
        Ok(())
    })?;
    types.func_wrap(
        "[method]future-incoming-response.subscribe",
        |mut store: StoreContextMut<'_, T>,
         (answer,): (Resource<Answer>,)|
         -> wasmtime::Result<(Resource<DynPollable>,)> {
            Ok((subscribe(store.data_mut().http().table, answer)?,))
        },
    )?;
    types.func_wrap(
        "[method]future-incoming-response.get",
        |mut store: StoreContextMut<'_, T>, (answer,): (Resource<Answer>,)| {
            Ok((get(&answer, store.data_mut().http())?,))
        },
    )?;
    type Arguments = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, T>, (request, options): Arguments| {
            Ok((handle(request, options, store.data_mut().http())?,))
        },
    )
}

/// The answer to a request. Dropping it gives up what is still under way.
enum Answer {
    Awaited(AbortOnDropJoinHandle<Result<Arrived, Error>>),
    Arrived(Result<Arrived, Error>),
    /// One that wasmtime's own `handle` began.
    Stock(HostFutureIncomingResponse),
    Taken,
}

struct Arrived {
    response: Response<WasiBody>,
    /// What remains to be done while the response is read.
    rest: Option<AbortOnDropJoinHandle<()>>,
}

#[async_trait]
impl Pollable for Answer {
    async fn ready(&mut self) {
        match self {
            Self::Awaited(task) => *self = Self::Arrived(task.await),
            Self::Stock(answer) => answer.ready().await,
            Self::Arrived(_) | Self::Taken => {}
        }
    }
}

fn handle(
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
    mut view: WasiHttpCtxView<'_>,
) -> wasmtime::Result<Result<Resource<Answer>, ErrorCode>> {
    let head = view.table.get(&request)?;
    if head.body.is_none() && head.headers.contains_key(CONTENT_LENGTH) {
        // A length of what does not come: wasmtime judges it, so that it is judged in one place.
        return stock(request, options, view);
    }
    let options = options.map(|options| view.table.delete(options)).transpose()?;
    let request = match compose(view.table.delete(request)?, &mut view) {
        Ok(request) => request,
        Err(code) => return Ok(Err(code)),
    };
    let sending = Pin::from(view.hooks.send_request(request, options, Box::new(async { Ok(()) })));
    let task = spawn(async move {
        let (response, rest) = sending.await?;
        let mut rest = Pin::from(rest);
        // Most often there is nothing left to do, which is not worth a task.
        let done = rest.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let rest = match done {
            Poll::Ready(ended) => {
                tell(ended);
                None
            }
            Poll::Pending => Some(spawn(async { tell(rest.await) })),
        };
        Ok(Arrived { response, rest })
    });
    Ok(Ok(view.table.push(Answer::Awaited(task))?))
}

/// What fails once the response is there shows in its body as well.
fn tell(ended: Result<(), Error>) {
    if let Err(error) = ended {
        tracing::warn!(%error, "the rest of a request failed");
    }
}

/// Lets wasmtime's own `handle` do it.
fn stock(
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
    mut view: WasiHttpCtxView<'_>,
) -> wasmtime::Result<Result<Resource<Answer>, ErrorCode>> {
    let spent = options.as_ref().map(|options| Resource::<RequestOptions>::new_own(options.rep()));
    let answer = view.handle(request, options);
    if let Some(spent) = spent {
        view.table.delete(spent)?;
    }
    match answer {
        Ok(answer) => {
            let answer = view.table.delete(answer)?;
            Ok(Ok(view.table.push(Answer::Stock(answer))?))
        }
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

/// The request as the hooks get it: its URI absolute, and the field Host first.
fn compose(request: HostOutgoingRequest, view: &mut WasiHttpCtxView<'_>) -> Result<Request<WasiBody>, ErrorCode> {
    let HostOutgoingRequest { method, scheme, authority, path_with_query, headers, body } = request;
    let method = method_of(method)?;
    let scheme = match scheme {
        Some(scheme) => {
            let scheme = match scheme {
                WasiScheme::Http => Scheme::HTTP,
                WasiScheme::Https => Scheme::HTTPS,
                WasiScheme::Other(name) => Scheme::try_from(name.as_str()).map_err(|_| ErrorCode::HttpProtocolError)?,
            };
            if !view.hooks.is_supported_scheme(&scheme) {
                return Err(ErrorCode::HttpProtocolError);
            }
            scheme
        }
        None => view.hooks.default_scheme().ok_or(ErrorCode::HttpProtocolError)?,
    };
    let malformed = |error: http::uri::InvalidUri| http_request_error(error.into());
    let authority = Authority::try_from(authority.unwrap_or_default()).map_err(malformed)?;
    let path = path_with_query.map(PathAndQuery::try_from).transpose().map_err(malformed)?;

    let mut fields = HeaderMap::with_capacity(headers.len() + 1);
    if view.hooks.set_host_header() {
        let host = HeaderValue::from_str(authority.as_str());
        fields.insert(HOST, host.map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?);
    }
    let mut last = None;
    for (name, value) in HeaderMap::from(headers) {
        // Further values of a name come without it.
        last = name.or(last);
        if let Some(name) = &last {
            fields.append(name.clone(), value);
        }
    }

    let mut parts = http::uri::Parts::default();
    (parts.scheme, parts.authority, parts.path_and_query) = (Some(scheme), Some(authority), path);
    let uri = Uri::from_parts(parts).map_err(|error| http_request_error(error.into()))?;
    let body = body.unwrap_or_else(|| Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync());
    let mut composed = Request::new(body);
    (*composed.method_mut(), *composed.uri_mut(), *composed.headers_mut()) = (method, uri, fields);
    Ok(composed)
}

fn method_of(method: WasiMethod) -> Result<Method, ErrorCode> {
    Ok(match method {
        WasiMethod::Get => Method::GET,
        WasiMethod::Head => Method::HEAD,
        WasiMethod::Post => Method::POST,
        WasiMethod::Put => Method::PUT,
        WasiMethod::Delete => Method::DELETE,
        WasiMethod::Connect => Method::CONNECT,
        WasiMethod::Options => Method::OPTIONS,
        WasiMethod::Trace => Method::TRACE,
        WasiMethod::Patch => Method::PATCH,
        WasiMethod::Other(name) => {
            Method::from_bytes(name.as_bytes()).map_err(|_| ErrorCode::HttpRequestMethodInvalid)?
        }
    })
}

type Got = Option<Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>>;

fn get(answer: &Resource<Answer>, mut view: WasiHttpCtxView<'_>) -> wasmtime::Result<Got> {
    let place = view.table.get_mut(answer)?;
    let arrived = match place {
        Answer::Awaited(_) | Answer::Stock(HostFutureIncomingResponse::Pending(_)) => return Ok(None),
        Answer::Taken => return Ok(Some(Err(()))),
        Answer::Arrived(_) | Answer::Stock(_) => std::mem::replace(place, Answer::Taken),
    };
    match arrived {
        Answer::Arrived(Ok(Arrived { response, rest })) => {
            let (head, body) = response.into_parts();
            let headers = FieldMap::new_immutable(view.hooks, head.headers);
            let mut body = HostIncomingBody::new(body);
            if let Some(rest) = rest {
                body.retain_worker(rest);
            }
            let status = head.status.as_u16();
            let response = view.table.push(HostIncomingResponse { status, headers, body: Some(body) })?;
            Ok(Some(Ok(Ok(response))))
        }
        // wasmtime knows the code of an error, and gives it away in this place alone.
        Answer::Arrived(Err(error)) => by_wasmtime(HostFutureIncomingResponse::Ready(Err(error)), &mut view),
        Answer::Stock(answer) => by_wasmtime(answer, &mut view),
        Answer::Awaited(_) | Answer::Taken => Ok(Some(Err(()))),
    }
}

fn by_wasmtime(answer: HostFutureIncomingResponse, view: &mut WasiHttpCtxView<'_>) -> wasmtime::Result<Got> {
    let answer = view.table.push(answer)?;
    let got = types::HostFutureIncomingResponse::get(view, Resource::new_borrow(answer.rep()))?;
    view.table.delete(answer)?;
    Ok(got)
}
