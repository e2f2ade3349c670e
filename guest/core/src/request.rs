//! Requests and bodies, valid by construction.

use bytes::Bytes;
use http::Method;

use crate::error::{Cause, Error, Invalid};
use crate::form::Form;
use crate::headers::{FORBIDDEN_TRAILERS, Headers};
use crate::redirect::Redirect;
use crate::retry::Retry;
use crate::target::{Credentials, Target};
use crate::timeouts::Timeouts;

/// Whether a request of this method may be repeated though the server may have acted on it.
///
/// GET, HEAD, OPTIONS, TRACE, PUT and DELETE (RFC 9110 section 9.2.2), and QUERY.
pub fn is_idempotent(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE" | "QUERY")
}

/// Whether a request of this method says how long its body is although it has none (RFC 9110 section 8.6).
pub fn defines_content(method: &Method) -> bool {
    matches!(method.as_str(), "POST" | "PUT" | "PATCH" | "QUERY")
}

/// The method of this name.
///
/// # Errors
///
/// [`Invalid::Method`] when it is no token (RFC 9110 section 9.1), and for
/// CONNECT, which asks for a tunnel and not for a resource.
pub fn method(name: &str) -> Result<Method, Invalid> {
    match Method::from_bytes(name.as_bytes()) {
        Ok(method) if !name.eq_ignore_ascii_case("CONNECT") => Ok(method),
        Ok(_) | Err(_) => Err(Invalid::Method(name.to_owned())),
    }
}

/// One request, valid by construction.
///
/// What is not set here is taken from the pool that sends it. A policy set here
/// replaces the pool's as a whole.
#[derive(Debug)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: Headers,
    /// Names in lower case that are neither taken from the pool nor added by the client.
    pub(crate) removed: Vec<String>,
    pub(crate) content: Content,
    pub(crate) trailers: Headers,
    pub(crate) retry: Option<Retry>,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) timeouts: Option<Timeouts>,
    pub(crate) decode: Option<bool>,
    pub(crate) preload: Option<Option<u64>>,
    pub(crate) max_body: Option<Option<u64>>,
    pub(crate) max_ratio: Option<Option<u32>>,
}

/// What a request carries, before the boundary of a form is drawn.
#[derive(Clone, Debug, Default)]
pub(crate) enum Content {
    #[default]
    Nothing,
    Body(Body),
    /// A body that is JSON, which its type says.
    Json(Body),
    Form(Form),
}

impl Request {
    /// A request for this target; the userinfo of its URL becomes basic credentials.
    pub fn new(method: Method, target: Target, credentials: Option<Credentials>) -> Self {
        let mut request = Self {
            method,
            target,
            headers: Headers::default(),
            removed: Vec::new(),
            content: Content::Nothing,
            trailers: Headers::default(),
            retry: None,
            redirect: None,
            timeouts: None,
            decode: None,
            preload: None,
            max_body: None,
            max_ratio: None,
        };
        if let Some(credentials) = credentials {
            request.set_authorization(&credentials.authorization());
        }
        request
    }

    /// A request for an absolute http or https URL.
    ///
    /// # Errors
    ///
    /// [`Invalid::Method`], [`Invalid::Url`] and [`Invalid::UrlTooLong`].
    pub fn create(method: &str, url: &str) -> Result<Self, Invalid> {
        let method = self::method(method)?;
        let (target, credentials) = Target::parse(url)?;
        Ok(Self::new(method, target, credentials))
    }

    /// A request whose target may be relative to a base, and is then held to its origin.
    ///
    /// # Errors
    ///
    /// Those of [`Self::create`], and [`Invalid::OtherOrigin`].
    pub fn within(base: Option<&Target>, method: &str, target: &str) -> Result<Self, Invalid> {
        let Some(base) = base else { return Self::create(method, target) };
        let method = self::method(method)?;
        let (target, credentials) = base.resolve(target)?;
        if target.origin() != base.origin() {
            return Err(Invalid::OtherOrigin { asked: target.origin().to_string(), own: base.origin().to_string() });
        }
        Ok(Self::new(method, target, credentials))
    }

    /// A copy to send as well.
    ///
    /// # Errors
    ///
    /// [`Cause::NotReplayable`] when its body or a part of its form is a stream, which is read once.
    #[expect(clippy::result_large_err, reason = "it is returned once in a call, and is the type that shells report")]
    pub fn try_clone(&self) -> Result<Self, Error> {
        if self.has_streams() {
            return Err(Error { url: Some(self.target.redacted()), ..Error::new(Cause::NotReplayable { code: None }) });
        }
        Ok(Self {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            removed: self.removed.clone(),
            content: self.content.clone(),
            trailers: self.trailers.clone(),
            retry: self.retry.clone(),
            redirect: self.redirect.clone(),
            timeouts: self.timeouts.clone(),
            decode: self.decode,
            preload: self.preload,
            max_body: self.max_body,
            max_ratio: self.max_ratio,
        })
    }

    /// Appends one pair to the query of the URL.
    pub fn append_query(&mut self, name: &str, value: &str) {
        self.target.append_query(name, value);
    }

    /// Appends a header, as [`Self::append_headers`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Headers::append`].
    pub fn append_header(&mut self, name: &str, value: &[u8]) -> Result<(), Invalid> {
        self.append_headers(&[(name.to_owned(), value.to_vec())])
    }

    /// Appends many headers, or none of them when one is malformed, keeping earlier ones of the same name.
    ///
    /// An `Authorization` is the exception: a request has one (RFC 9110 section 11.6.2), so it replaces an earlier one, such as that of
    /// the URL's userinfo.
    ///
    /// # Errors
    ///
    /// Those of [`Headers::append`].
    pub fn append_headers(&mut self, fields: &[(String, Vec<u8>)]) -> Result<(), Invalid> {
        let authorizes = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let before = authorizes.then(|| self.headers.clone());
        if authorizes {
            self.headers.remove("authorization");
        }
        let appended = self.headers.append_all(fields.iter().map(|(name, value)| (name, value.as_slice())));
        if let (Err(_), Some(before)) = (&appended, before) {
            self.headers = before;
        }
        appended
    }

    /// Sends no header of this name, neither the pool's nor the client's own.
    pub fn remove_header(&mut self, name: &str) {
        self.headers.remove(name);
        self.removed.push(name.to_ascii_lowercase());
    }

    /// Sends basic credentials, replacing any `Authorization`.
    ///
    /// # Errors
    ///
    /// [`Invalid::Username`] when the username holds a colon.
    pub fn basic_auth(&mut self, username: &str, password: &str) -> Result<(), Invalid> {
        let credentials = Credentials::new(username, password)?;
        self.set_authorization(&credentials.authorization());
        Ok(())
    }

    /// Sends a bearer token, replacing any `Authorization`.
    ///
    /// # Errors
    ///
    /// [`Invalid::HeaderValue`] when the token holds a control character other than a tab.
    pub fn bearer_auth(&mut self, token: &str) -> Result<(), Invalid> {
        let mut headers = self.headers.clone();
        headers.remove("authorization");
        headers.append("Authorization", format!("Bearer {token}").as_bytes())?;
        self.headers = headers;
        Ok(())
    }

    /// Sets a body in memory.
    pub fn set_body(&mut self, content: Bytes) {
        self.content = Content::Body(Body::of(content));
    }

    /// Sets a body that is read while it is sent: the shell's only stream of this request.
    pub fn set_body_stream(&mut self, length: Option<u64>) {
        self.content = Content::Body(Body::new(vec![Piece::Stream { index: 0, length }]));
    }

    /// Sets a JSON text as the body, and its `Content-Type` unless the request has one.
    pub fn set_json(&mut self, text: Bytes) {
        self.content = Content::Json(Body::of(text));
    }

    /// Sets a form as the body.
    pub fn set_form(&mut self, form: Form) {
        self.content = Content::Form(form);
    }

    /// Replaces the pool's retry policy.
    pub fn set_retry(&mut self, retry: Retry) {
        self.retry = Some(retry);
    }

    /// Replaces the pool's redirect policy.
    pub fn set_redirect(&mut self, redirect: Redirect) {
        self.redirect = Some(redirect);
    }

    /// Replaces the pool's timeouts.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        self.timeouts = Some(timeouts);
    }

    /// Replaces the pool's choice of whether `Content-Encoding` is undone.
    pub fn set_decode(&mut self, decode: bool) {
        self.decode = Some(decode);
    }

    /// Replaces the pool's choice of how much is collected before delivery.
    pub fn set_preload(&mut self, limit: Option<u64>) {
        self.preload = Some(limit);
    }

    /// Replaces the pool's limit of the decoded body.
    pub fn set_max_body(&mut self, limit: Option<u64>) {
        self.max_body = Some(limit);
    }

    /// Replaces the pool's limit of the ratio of decoded to encoded bytes.
    pub fn set_max_ratio(&mut self, limit: Option<u32>) {
        self.max_ratio = Some(limit);
    }

    /// Sets the trailers; a body with trailers is sent in chunks.
    ///
    /// # Errors
    ///
    /// Those of [`Headers::append`], and [`Invalid::ForbiddenTrailer`] for a name of [`FORBIDDEN_TRAILERS`].
    pub fn set_trailers(&mut self, fields: &[(String, Vec<u8>)]) -> Result<(), Invalid> {
        let forbids = |name: &str| FORBIDDEN_TRAILERS.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name));
        if let Some((name, _)) = fields.iter().find(|(name, _)| forbids(name)) {
            return Err(Invalid::ForbiddenTrailer(name.clone()));
        }
        let mut trailers = Headers::default();
        trailers.append_all(fields.iter().map(|(name, value)| (name, value.as_slice())))?;
        self.trailers = trailers;
        Ok(())
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether the body, or a part of its form, is a stream.
    pub fn has_streams(&self) -> bool {
        match &self.content {
            Content::Nothing => false,
            Content::Body(body) | Content::Json(body) => body.has_streams(),
            Content::Form(form) => form.has_streams(),
        }
    }

    /// Whether a boundary will be drawn for its form: one that will be multipart, without a boundary of the caller.
    pub fn needs_boundary(&self) -> bool {
        match &self.content {
            Content::Nothing | Content::Body(_) | Content::Json(_) => false,
            Content::Form(form) => form.needs_boundary(),
        }
    }

    fn set_authorization(&mut self, value: &str) {
        self.headers.remove("authorization");
        self.headers.append_valid("Authorization", value.as_bytes());
    }
}

/// A stretch of a request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stream that the shell holds.
    Stream {
        /// Which of the request's streams.
        index: usize,
        /// Its exact length, when known.
        length: Option<u64>,
    },
}

impl Piece {
    /// Its length in bytes, when known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream { length, .. } => *length,
        }
    }
}

/// The body of a request: pieces that are sent one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pieces: Vec<Piece>,
}

impl Body {
    /// A body of these pieces.
    pub fn new(pieces: Vec<Piece>) -> Self {
        Self { pieces }
    }

    fn of(content: Bytes) -> Self {
        Self::new(vec![Piece::Bytes(content)])
    }

    /// Whether a piece of it is a stream.
    pub fn has_streams(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Stream { .. }))
    }

    pub(crate) fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }
}
