//! One instance of the component and typed calls into it.
//!
//! Longer than other files since every function of the interface has its method here.

use crate::{
    bindings::{Client, exports::urlpool::client::messages},
    error::{CallError, Failure, Past},
    pieces::Timer,
    policy::Options,
    raw::RawBody,
    request::{Field, Request},
    script::Names,
    state::{State, Transport},
    trace::Mark,
};
use std::time::Duration;
use tokio::time::Instant;
use urlpool_host::Host;
use wasmtime::{Store, component::ResourceAny};

/// Header or trailer fields in order, byte for byte.
pub type Fields = Vec<(String, Vec<u8>)>;

/// One instance of the component: pools, requests and responses live in it.
///
/// Every method is one call of the interface, or the few that belong together. What a method hands out must be given
/// back by [`Session::release`], unless another method takes it: dropping the Rust value frees nothing in the
/// component. A trap ends the session; every call after it fails with [`Failure::Trap`] as well.
pub struct Session {
    pub(crate) store: Store<State>,
    pub(crate) client: Client,
    pub(crate) names: Names,
    host: Option<Host>,
    trapped: Option<String>,
}

/// A pool in the component.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    pub(crate) any: ResourceAny,
    /// Whether targets may be relative.
    pub(crate) from_url: bool,
}

/// A request being sent.
#[derive(Debug)]
pub struct Pending {
    any: ResourceAny,
    begun: Instant,
}

/// A response in the component.
#[derive(Debug)]
pub struct Response {
    any: ResourceAny,
    begun: Instant,
    took: Duration,
}

impl Response {
    fn since(begun: Instant) -> impl FnOnce(ResourceAny) -> Self {
        move |any| Self { any, begun, took: begun.elapsed() }
    }

    /// How long it took from the sending of the request to this response.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// How long ago its request was sent.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// What can be given back.
pub trait Handle {
    /// The resource behind it.
    fn any(self) -> ResourceAny;
}

impl Handle for Pool {
    fn any(self) -> ResourceAny {
        self.any
    }
}

impl Handle for Pending {
    fn any(self) -> ResourceAny {
        self.any
    }
}

impl Handle for Response {
    fn any(self) -> ResourceAny {
        self.any
    }
}

/// The head of a response, and how it came about.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status of the last attempt.
    pub status: u16,
    /// The URL that answered.
    pub url: String,
    /// The headers.
    pub headers: Fields,
    /// Whether a coding of the body is undone.
    pub decoded: bool,
    /// The attempts before this one.
    pub history: Vec<Past>,
    /// Why a retry that was due was not made.
    pub not_retried: Option<String>,
}

/// The figures of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Calls begun.
    pub requests: u64,
    /// Requests handed to the host.
    pub attempts: u64,
    /// Attempts that the retry policy caused.
    pub retries: u64,
    /// Attempts that the redirect policy caused.
    pub redirects: u64,
    /// Slots taken now.
    pub in_flight: u32,
    /// Exchanges waiting for a slot now.
    pub queued: u32,
    /// Origins remembered now.
    pub origins: u32,
}

impl Session {
    pub(crate) fn new(store: Store<State>, client: Client, transport: Transport) -> Self {
        let host = match transport {
            Transport::Pooled(host) => Some(host),
            Transport::Stock | Transport::Hooks(_) => None,
        };
        Self { store, client, names: Names::default(), host, trapped: None }
    }

    /// The host behind it; `None` with another transport.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// How many bytes of linear memory the component has taken. It never gives any back.
    pub fn memory(&self) -> usize {
        self.store.data().memory.bytes
    }

    /// How many things the host holds for the component: streams, bodies, timers and so on.
    pub fn held(&mut self) -> usize {
        self.store.data_mut().table().iter_mut().count()
    }

    /// Makes a pool.
    ///
    /// # Errors
    ///
    /// Those of `options.append-header` and `pool.from-url`.
    pub async fn open(&mut self, options: &Options) -> Result<Pool, Failure> {
        let lent = self.lend_options(options).await?;
        let made = match &options.url {
            None => {
                let pool = self.client.urlpool_client_pool().pool();
                let made = pool.call_constructor(&mut self.store, Some(lent)).await;
                self.settled(made)
            }
            Some(url) => {
                let pool = self.client.urlpool_client_pool().pool();
                let made = pool.call_from_url(&mut self.store, url, Some(lent)).await;
                self.told(made).await
            }
        };
        self.release_any(lent).await?;
        Ok(Pool { any: made?, from_url: options.url.is_some() })
    }

    /// Checks a request as far as that goes without sending it; files are not opened.
    ///
    /// # Errors
    ///
    /// Those of building the request.
    pub async fn validate(&mut self, request: &Request, pool: Pool) -> Result<(), Failure> {
        let mut request = Request { body_file: None, ..request.clone() };
        for field in request.form.iter_mut().flatten() {
            if let Some(path) = field.file.take() {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                field.filename.get_or_insert(name);
                field.content = Some(String::new());
            }
        }
        let built = self.build(&request, pool).await?;
        self.release_any(built).await
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    ///
    /// Those of building the request, and those of `pool.send`.
    pub async fn send(&mut self, request: &Request, pool: Pool) -> Result<Response, Failure> {
        let request = self.build(request, pool).await?;
        let begun = Instant::now();
        let guest = self.client.urlpool_client_pool().pool();
        let answer = guest.call_send(&mut self.store, pool.any, request).await;
        self.told(answer).await.map(Response::since(begun))
    }

    /// Sends requests side by side and waits for all of their responses.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`]; what fails otherwise fails alone.
    pub async fn send_all(
        &mut self,
        requests: &[Request],
        pool: Pool,
    ) -> Result<Vec<Result<Response, Failure>>, Failure> {
        let mut built = Vec::new();
        let mut refused = Vec::new();
        for request in requests {
            match self.build(request, pool).await {
                Ok(request) => {
                    built.push(request);
                    refused.push(None);
                }
                Err(Failure::Trap(message)) => return Err(Failure::Trap(message)),
                Err(failure) => refused.push(Some(failure)),
            }
        }
        let begun = Instant::now();
        let guest = self.client.urlpool_client_pool().pool();
        let answers = guest.call_send_all(&mut self.store, pool.any, &built).await;
        let mut answers = self.settled(answers)?.into_iter();
        let mut all = Vec::new();
        for refused in refused {
            all.push(match refused {
                Some(failure) => Err(failure),
                None => match answers.next() {
                    Some(answer) => self.told(Ok(answer)).await.map(Response::since(begun)),
                    None => return Err(self.trap("send-all: an answer is missing".into())),
                },
            });
        }
        Ok(all)
    }

    /// Sends a GET in the words of the interface's `get`.
    ///
    /// # Errors
    ///
    /// Those of `pool.get`.
    pub async fn get(&mut self, url: &str, fields: &[(String, String)], pool: Pool) -> Result<Response, Failure> {
        self.alive()?;
        let begun = Instant::now();
        let guest = self.client.urlpool_client_pool().pool();
        let answer = guest.call_get(&mut self.store, pool.any, url, fields).await;
        self.told(answer).await.map(Response::since(begun))
    }

    /// Sends a form in the words of the interface's `post`; `form` is what a request's form would be.
    ///
    /// # Errors
    ///
    /// Those of building the form, and those of `pool.post`.
    pub async fn post(
        &mut self,
        url: &str,
        form: &[Field],
        multipart: Option<Option<&str>>,
        pool: Pool,
    ) -> Result<Response, Failure> {
        let form = self.build_form(form, multipart).await?;
        let begun = Instant::now();
        let guest = self.client.urlpool_client_pool().pool();
        let answer = guest.call_post(&mut self.store, pool.any, url, form).await;
        self.told(answer).await.map(Response::since(begun))
    }

    /// Begins to send a request.
    ///
    /// # Errors
    ///
    /// Those of building the request.
    pub async fn start(&mut self, request: &Request, pool: Pool) -> Result<Pending, Failure> {
        let request = self.build(request, pool).await?;
        let begun = Instant::now();
        let guest = self.client.urlpool_client_pool().pool();
        let pending = guest.call_start(&mut self.store, pool.any, request).await;
        Ok(Pending { any: self.settled(pending)?, begun })
    }

    /// Moves everything as far as it goes without blocking; whether this one has finished.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn advance(&mut self, pending: &Pending) -> Result<bool, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_pool().pending();
        let finished = guest.call_advance(&mut self.store, pending.any).await;
        self.settled(finished)
    }

    /// The attempts so far that another followed.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn history(&mut self, pending: &Pending) -> Result<Vec<Past>, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_pool().pending();
        let history = guest.call_history(&mut self.store, pending.any).await;
        Ok(self.settled(history)?.into_iter().map(Past::from).collect())
    }

    /// What has happened so far in a call that is on its way.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn trace_pending(&mut self, pending: &Pending) -> Result<Vec<Mark>, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_pool().pending();
        let trace = guest.call_trace(&mut self.store, pending.any).await;
        Ok(self.settled(trace)?.into_iter().map(Mark::from).collect())
    }

    /// Waits until at least one has finished or the time is over; the indices of those that have.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn wait(
        &mut self,
        pending: &[&Pending],
        timeout: Option<Duration>,
        pool: Pool,
    ) -> Result<Vec<usize>, Failure> {
        self.alive()?;
        let handles: Vec<ResourceAny> = pending.iter().map(|pending| pending.any).collect();
        let table = self.store.data_mut().table();
        let timer = timeout.map(|timeout| {
            let timer = table.push(Timer(Instant::now() + timeout))?;
            wasmtime_wasi_io::poll::subscribe(table, timer)
        });
        let timer = self.settled(timer.transpose())?;
        let also: Vec<_> = timer.into_iter().collect();
        let guest = self.client.urlpool_client_pool().pool();
        let finished = guest.call_wait(&mut self.store, pool.any, &handles, &also).await;
        let finished = self.settled(finished)?;
        Ok(finished.into_iter().map(|index| index as usize).collect())
    }

    /// Waits for the response of a pending request.
    ///
    /// # Errors
    ///
    /// Those of `pending.finish`.
    pub async fn finish(&mut self, pending: Pending) -> Result<Response, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_pool().pending();
        let answer = guest.call_finish(&mut self.store, pending.any).await;
        self.told(answer).await.map(Response::since(pending.begun))
    }

    /// The head of a response; it stays readable after the end of the body.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn head(&mut self, response: &Response) -> Result<Head, Failure> {
        self.alive()?;
        let head = self.read_head(response.any).await;
        self.settled(head)
    }

    async fn read_head(&mut self, any: ResourceAny) -> wasmtime::Result<Head> {
        let guest = self.client.urlpool_client_messages().response();
        Ok(Head {
            status: guest.call_status(&mut self.store, any).await?,
            url: guest.call_url(&mut self.store, any).await?,
            headers: guest.call_headers(&mut self.store, any).await?,
            decoded: guest.call_decoded(&mut self.store, any).await?,
            history: guest.call_history(&mut self.store, any).await?.into_iter().map(Past::from).collect(),
            not_retried: guest.call_not_retried(&mut self.store, any).await?,
        })
    }

    /// What happened in the call so far; the end of the body is the last of it.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn trace(&mut self, response: &Response) -> Result<Vec<Mark>, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_messages().response();
        let trace = guest.call_trace(&mut self.store, response.any).await;
        Ok(self.settled(trace)?.into_iter().map(Mark::from).collect())
    }

    /// Reads up to `max` bytes of the body; empty means the end.
    ///
    /// # Errors
    ///
    /// Those of `response.read`.
    pub async fn read(&mut self, response: &Response, max: u32) -> Result<Vec<u8>, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_messages().response();
        let piece = guest.call_read(&mut self.store, response.any, max).await;
        self.told(piece).await
    }

    /// Reads like [`Session::read`], but answers `None` instead of blocking.
    ///
    /// # Errors
    ///
    /// Those of `response.try-read`.
    pub async fn try_read(&mut self, response: &Response, max: u32) -> Result<Option<Vec<u8>>, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_messages().response();
        let piece = guest.call_try_read(&mut self.store, response.any, max).await;
        self.told(piece).await
    }

    /// Reads the rest of the body, up to `limit` bytes.
    ///
    /// # Errors
    ///
    /// Those of `response.read-all`.
    pub async fn read_all(&mut self, response: &Response, limit: u32) -> Result<Vec<u8>, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_messages().response();
        let body = guest.call_read_all(&mut self.store, response.any, limit).await;
        self.told(body).await
    }

    /// Reads the rest of the body as text, up to `limit` bytes.
    ///
    /// # Errors
    ///
    /// Those of `response.read-text`.
    pub async fn read_text(&mut self, response: &Response, limit: u32) -> Result<String, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_messages().response();
        let text = guest.call_read_text(&mut self.store, response.any, limit).await;
        self.told(text).await
    }

    /// The trailers; empty before the end of the body.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn trailers(&mut self, response: &Response) -> Result<Fields, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_messages().response();
        let trailers = guest.call_trailers(&mut self.store, response.any).await;
        self.settled(trailers)
    }

    /// Takes the body as the server sent it, to be read here, outside the component.
    ///
    /// # Errors
    ///
    /// Those of `response.take-raw`.
    pub async fn take_raw(&mut self, response: Response) -> Result<RawBody, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_messages().response();
        let body = guest.call_take_raw(&mut self.store, response.any).await;
        let body = self.told(body).await?;
        let body = self.store.data_mut().table().delete(body).map_err(wasmtime::Error::from);
        let mut body = self.settled(body)?;
        let stream = body.take_stream();
        Ok(RawBody { stream, body, begun: response.begun, received: 0 })
    }

    /// Closes a pool.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn close(&mut self, pool: Pool) -> Result<(), Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_pool().pool();
        let closed = guest.call_close(&mut self.store, pool.any).await;
        self.settled(closed)
    }

    /// The figures of a pool.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn stats(&mut self, pool: Pool) -> Result<PoolStats, Failure> {
        self.alive()?;
        let stats = self.read_stats(pool.any).await;
        self.settled(stats)
    }

    async fn read_stats(&mut self, pool: ResourceAny) -> wasmtime::Result<PoolStats> {
        let guest = self.client.urlpool_client_pool();
        let any = guest.pool().call_stats(&mut self.store, pool).await?;
        let stats = guest.stats();
        let read = PoolStats {
            requests: stats.call_requests(&mut self.store, any).await?,
            attempts: stats.call_attempts(&mut self.store, any).await?,
            retries: stats.call_retries(&mut self.store, any).await?,
            redirects: stats.call_redirects(&mut self.store, any).await?,
            in_flight: stats.call_in_flight(&mut self.store, any).await?,
            queued: stats.call_queued(&mut self.store, any).await?,
            origins: stats.call_origins(&mut self.store, any).await?,
        };
        any.resource_drop_async(&mut self.store).await?;
        Ok(read)
    }

    /// Gives a pool, a pending request or a response back.
    ///
    /// # Errors
    ///
    /// [`Failure::Trap`].
    pub async fn release(&mut self, handle: impl Handle) -> Result<(), Failure> {
        self.release_any(handle.any()).await
    }

    pub(crate) async fn release_any(&mut self, any: ResourceAny) -> Result<(), Failure> {
        self.alive()?;
        let dropped = any.resource_drop_async(&mut self.store).await;
        self.settled(dropped)
    }

    /// Fails once the component has trapped.
    pub(crate) fn alive(&self) -> Result<(), Failure> {
        match &self.trapped {
            Some(message) => Err(Failure::Trap(message.clone())),
            None => Ok(()),
        }
    }

    /// Takes the answer of a call that cannot fail but by a trap.
    pub(crate) fn settled<T>(&mut self, answer: wasmtime::Result<T>) -> Result<T, Failure> {
        answer.map_err(|error| self.trap(format!("{error:#}")))
    }

    fn trap(&mut self, message: String) -> Failure {
        self.trapped = Some(message.clone());
        Failure::Trap(message)
    }

    /// Takes the answer of a call that can fail, with all that the component knows of the failure.
    pub(crate) async fn told<T>(&mut self, answer: wasmtime::Result<Result<T, messages::Error>>) -> Result<T, Failure> {
        match self.settled(answer)? {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let read = self.read_details(error).await;
                Err(Failure::Call(Box::new(self.settled(read)?)))
            }
        }
    }

    async fn read_details(&mut self, error: messages::Error) -> wasmtime::Result<CallError> {
        let any = error.details;
        let details = self.client.urlpool_client_messages().details();
        let code = details.call_code(&mut self.store, any).await?;
        let read = CallError {
            kind: error.kind,
            message: error.message,
            url: details.call_url(&mut self.store, any).await?,
            phase: details.call_phase(&mut self.store, any).await?,
            limit: details.call_limit(&mut self.store, any).await?.map(Duration::from_nanos),
            elapsed: Duration::from_nanos(details.call_elapsed(&mut self.store, any).await?),
            code: code.as_ref().map(crate::error::code_name),
            status: details.call_status(&mut self.store, any).await?,
            location: details.call_location(&mut self.store, any).await?,
            expected: details.call_expected(&mut self.store, any).await?,
            received: details.call_received(&mut self.store, any).await?,
            history: details.call_history(&mut self.store, any).await?.into_iter().map(Past::from).collect(),
            trace: details.call_trace(&mut self.store, any).await?.into_iter().map(Mark::from).collect(),
        };
        any.resource_drop_async(&mut self.store).await?;
        Ok(read)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("trapped", &self.trapped).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_and_their_calls_may_move_between_threads() {
        fn sent<T: Send>(_: impl FnOnce(&'static mut Session) -> T) {}
        sent(|session| session);
        sent(|session| session.op(serde_json::Value::Null));
    }
}
