//! One request, as it is put together.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use wasip2::http::types::IncomingBody;

use crate::body::Body;
use crate::convert;
use crate::error::{Error, ErrorKind};
use crate::form::Form;
use crate::pending::Pending;
use crate::policy::{Redirect, Retry, Timeouts};
use crate::pool::Pool;
use crate::response::Response;
use crate::wit::messages as wit;

/// A request that is being put together; [`send`](Self::send) or [`start`](Self::start) ends that.
///
/// What cannot be part of a request is told when it is sent, not before. Whatever is not set here is taken from the pool, and
/// a policy set here replaces the pool's as a whole.
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    pool: Pool,
    open: Result<wit::Request, Error>,
    parents: Vec<IncomingBody>,
}

impl RequestBuilder {
    pub(crate) fn new(pool: &Pool, method: &Method, url: &str) -> Self {
        let open = pool.raw().request(&convert::method(method), url).map_err(Error::from);
        Self { pool: pool.clone(), open, parents: Vec::new() }
    }

    /// Appends one pair to the query of the URL, percent-encoded.
    pub fn query(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.set(|request| request.append_query(name.as_ref(), value.as_ref()))
    }

    /// Appends one header, keeping earlier ones of the same name and replacing the pool's.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: std::error::Error + Send + Sync + 'static>,
        V: TryInto<HeaderValue, Error: std::error::Error + Send + Sync + 'static>,
    {
        self.try_set(|request| {
            let (name, value) = header(name, value)?;
            Ok(request.append_headers(&[(name.as_str().to_owned(), value.as_bytes().to_vec())])?)
        })
    }

    /// Appends many headers, byte for byte, such as those of a request to forward.
    pub fn headers(self, headers: &HeaderMap) -> Self {
        self.try_set(|request| Ok(request.append_headers(&convert::fields(headers))?))
    }

    /// Sends no header of this name, neither the pool's nor the client's own.
    pub fn without_header(self, name: impl AsRef<str>) -> Self {
        self.set(|request| request.remove_header(name.as_ref()))
    }

    /// Sends basic credentials, replacing any `Authorization`.
    pub fn basic_auth(self, username: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.try_set(|request| Ok(request.basic_auth(username.as_ref(), password.as_ref())?))
    }

    /// Sends a bearer token, replacing any `Authorization`.
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        self.try_set(|request| Ok(request.bearer_auth(token.as_ref())?))
    }

    /// Sets the body, replacing any earlier one. No `Content-Type` is added.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        if let Ok(request) = &self.open {
            self.parents.extend(body.into().set(request));
        }
        self
    }

    /// Sets a form as the body and its `Content-Type`, unless the request has one; it replaces any earlier body.
    pub fn form(self, form: impl Into<Form>) -> Self {
        self.try_set(|request| {
            request.set_form(form.into().lower()?);
            Ok(())
        })
    }

    /// Sets a value as JSON, with its `Content-Type`, unless the request has one; it replaces any earlier body.
    #[cfg(feature = "json")]
    pub fn json(self, value: &(impl serde::Serialize + ?Sized)) -> Self {
        self.try_set(|request| {
            let text = serde_json::to_string(value).map_err(|error| {
                Error::with_source(ErrorKind::InvalidRequest, "body: cannot be written as JSON", error)
            })?;
            request.set_json(&text);
            Ok(())
        })
    }

    /// Sets trailers; a body with trailers is sent in chunks, whatever its length.
    pub fn trailers(self, trailers: &HeaderMap) -> Self {
        self.try_set(|request| Ok(request.set_trailers(&convert::fields(trailers))?))
    }

    /// Replaces the pool's retry policy.
    pub fn retry(self, retry: Retry) -> Self {
        self.set(|request| request.set_retry(&retry.lower()))
    }

    /// Replaces the pool's redirect policy.
    pub fn redirect(self, redirect: Redirect) -> Self {
        self.set(|request| request.set_redirect(&redirect.lower()))
    }

    /// Replaces the pool's timeouts.
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.set(|request| request.set_timeouts(&timeouts.lower()))
    }

    /// Replaces the pool's choice of whether `Content-Encoding` is undone.
    pub fn decode(self, decode: bool) -> Self {
        self.set(|request| request.set_decode(decode))
    }

    /// Replaces the pool's limit up to which a body is collected before its response is delivered.
    pub fn preload(self, limit: u64) -> Self {
        self.set(|request| request.set_preload(Some(limit)))
    }

    /// Delivers the response at its head. It then holds its slot until its body was read to the end or it is dropped.
    pub fn stream(self) -> Self {
        self.set(|request| request.set_preload(None))
    }

    /// Replaces the pool's limit of the response body; `None` removes it.
    pub fn max_body(self, limit: impl Into<Option<u64>>) -> Self {
        let limit = limit.into();
        self.set(|request| request.set_max_body(limit))
    }

    /// Replaces the pool's limit of the ratio of decoded to encoded bytes; `None` removes it.
    pub fn max_ratio(self, limit: impl Into<Option<u32>>) -> Self {
        let limit = limit.into();
        self.set(|request| request.set_max_ratio(limit))
    }

    /// The normalised URL with the query so far, without userinfo; none where it was malformed.
    pub fn url(&self) -> Option<String> {
        self.open.as_ref().ok().map(wit::Request::url)
    }

    /// Makes a second request with the same settings.
    ///
    /// # Errors
    ///
    /// [`NotReplayable`](ErrorKind::NotReplayable) when the body holds a stream, and what was wrong so far.
    pub fn try_clone(&self) -> Result<Self, Error> {
        match &self.open {
            Ok(request) => Ok(Self { pool: self.pool.clone(), open: Ok(request.clone()?), parents: Vec::new() }),
            Err(error) => Err(Error::here(error.kind(), error.to_string())),
        }
    }

    /// Sends it and waits for the response: its head, and its body up to what is preloaded.
    ///
    /// # Errors
    ///
    /// Of any kind; see [`ErrorKind`].
    pub fn send(self) -> Result<Response, Error> {
        let Self { pool, open, parents } = self;
        let response = pool.raw().send(open?);
        drop(parents);
        Response::wrap(response?)
    }

    /// Begins to send it and returns at once. What goes wrong is told when the [`Pending`] is finished.
    pub fn start(self) -> Pending {
        let Self { pool, open, parents } = self;
        match open {
            Ok(request) => Pending::begun(pool.raw().start(request), pool, parents),
            Err(error) => Pending::failed(error, pool),
        }
    }

    /// The request itself and what it borrows from, for sending many.
    pub(crate) fn open(self) -> (Result<wit::Request, Error>, Vec<IncomingBody>) {
        (self.open, self.parents)
    }

    fn set(self, set: impl FnOnce(&wit::Request)) -> Self {
        if let Ok(request) = &self.open {
            set(request);
        }
        self
    }

    fn try_set(mut self, set: impl FnOnce(&wit::Request) -> Result<(), Error>) -> Self {
        if let Ok(request) = &self.open
            && let Err(error) = set(request)
        {
            self.open = Err(error);
        }
        self
    }
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.open {
            Ok(request) => write!(f, "RequestBuilder({:?} {})", request.method(), request.url()),
            Err(error) => write!(f, "RequestBuilder({error})"),
        }
    }
}

/// A header of these, where it can be one.
pub(crate) fn header<N, V>(name: N, value: V) -> Result<(HeaderName, HeaderValue), Error>
where
    N: TryInto<HeaderName, Error: std::error::Error + Send + Sync + 'static>,
    V: TryInto<HeaderValue, Error: std::error::Error + Send + Sync + 'static>,
{
    let invalid = |what: &str, source: Box<dyn std::error::Error + Send + Sync>| {
        Error::with_source(ErrorKind::InvalidRequest, format!("header: {what}: {source}"), source)
    };
    let name = name.try_into().map_err(|error| invalid("name", Box::new(error)))?;
    let value = value.try_into().map_err(|error| invalid(name.as_str(), Box::new(error)))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_cannot_be_one_says_which() {
        let error = header("x-a", "a\nb").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().starts_with("header: x-a: "), "{error}");
        assert!(header("x a", "b").unwrap_err().to_string().starts_with("header: name: "));
        assert_eq!(header("X-A", "b").unwrap().0, "x-a");
    }
}
