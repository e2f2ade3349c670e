//! What one call sends: composed of what the request, the pool and the client want, and changed by hops.

use http::Method;

use crate::decode;
use crate::entropy::Entropy;
use crate::error::Invalid;
use crate::headers::Headers;
use crate::policy::Policy;
use crate::redirect::{Hop, Redirect};
use crate::request::{Body, Content, Request, defines_content};
use crate::span;
use crate::target::Target;
use crate::timeouts::HostOptions;
use crate::upload::Upload;

/// The value of `User-Agent` unless the caller has one.
pub const USER_AGENT: &str = concat!("urlpool/", env!("CARGO_PKG_VERSION"));

/// One attempt, ready to be sent.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// All headers to send.
    pub headers: Headers,
    /// The trailers to end the body with.
    pub trailers: Headers,
    /// Whether there is a body to write.
    pub has_body: bool,
    /// What the host is asked to limit as well.
    pub options: HostOptions,
}

/// The request of a call as its next attempt sends it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) target: Target,
    /// All headers but those that each attempt has anew: the length, the names of the trailers, credentials of the origin, the span.
    pub(crate) headers: Headers,
    trailers: Headers,
    pub(crate) upload: Upload,
    /// False where the caller removed `Content-Length`.
    declare_length: bool,
    /// False where the caller names the trailers, or removed `Trailer`.
    name_trailers: bool,
    /// Whether the caller declared a length.
    declared: bool,
    /// False where the caller removed `Authorization`.
    authorize: bool,
}

impl Outgoing {
    /// What the request asks for by itself, not [composed](Self::compose) yet.
    pub(crate) fn new(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            trailers: request.trailers.clone(),
            upload: Upload::new(Body::default()),
            declare_length: true,
            name_trailers: true,
            declared: false,
            authorize: true,
        }
    }

    /// Adds what the pool and the client want sent, and checks it as a whole.
    pub(crate) fn compose(
        &mut self,
        content: Content,
        removed: &[String],
        pool: &Policy,
        decode: bool,
        entropy: [u8; 16],
    ) -> Result<(), Invalid> {
        if let Some(own) = pool.scope.as_ref().filter(|own| *own != self.target.origin()) {
            return Err(Invalid::OtherOrigin { asked: self.target.origin().to_string(), own: own.to_string() });
        }
        let named = |names: &[String], name: &str| names.iter().any(|other| other == name);
        let is_typed = matches!(content, Content::Form(_) | Content::Json(_));
        let own_names: Vec<String> = self.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        for (name, value) in pool.headers.iter() {
            let lower = name.to_ascii_lowercase();
            // The type of a form or of JSON is the request's own, and replaces the pool's as any header of a request does.
            // Credentials of an origin are meant more exactly than those of a pool.
            let replaced = named(&own_names, &lower)
                || (is_typed && lower == "content-type")
                || (lower == "authorization" && pool.keyring.get(self.target.origin()).is_some());
            if !replaced && !named(removed, &lower) {
                self.headers.append_valid(name, value);
            }
        }
        let wanted = |name: &str| !named(removed, name) && !named(&pool.removed, name);
        let absent = |headers: &Headers, name: &str| !headers.contains(name) && wanted(name);
        if absent(&self.headers, "user-agent") {
            self.headers.append_own("User-Agent", USER_AGENT);
        }
        if let Some(codings) = decode::accept_encoding()
            && decode
            && absent(&self.headers, "accept-encoding")
        {
            self.headers.append_own("Accept-Encoding", codings);
        }
        let body = match content {
            Content::Nothing => Body::default(),
            Content::Body(body) => body,
            Content::Json(body) => {
                if !self.headers.contains("content-type") && !named(removed, "content-type") {
                    self.headers.append_own("Content-Type", "application/json");
                }
                body
            }
            Content::Form(form) => {
                let encoded = form.encode(entropy)?;
                if self.headers.contains("content-type") || !named(removed, "content-type") {
                    self.type_form(&encoded.content_type)?;
                }
                encoded.body
            }
        };
        self.upload = Upload::new(body);
        self.declare_length = self.headers.contains("content-length") || wanted("content-length");
        self.take_length()?;
        self.name_trailers = absent(&self.headers, "trailer");
        self.target.check_size()?;
        self.authorize = !named(removed, "authorization");
        self.dressed(pool, pool.trace_context.then(|| Entropy::seeded(0)).as_mut()).check_size()?;
        self.trailers.check_size()
    }

    /// Goes on as the hop does, which this policy allowed.
    pub(crate) fn follow(&mut self, hop: Hop, policy: &Redirect) {
        if hop.target.origin() != self.target.origin() {
            // Fields are as private at the end of a message as in its head.
            policy.strip(&mut self.trailers);
        }
        self.method = hop.method;
        self.target = hop.target;
        self.headers = hop.headers;
        if hop.drop_body {
            self.upload.discard();
            self.trailers = Headers::default();
            self.declared = false;
        } else {
            self.upload.rewind();
        }
    }

    /// The attempt with these options, in a span drawn from `spans` where that is wanted.
    pub(crate) fn attempt(&self, options: HostOptions, policy: &Policy, spans: Option<&mut Entropy>) -> Outbound {
        Outbound {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.dressed(policy, spans),
            trailers: self.trailers.clone(),
            has_body: !self.upload.is_empty() || !self.trailers.is_empty(),
            options,
        }
    }

    /// The headers with all that one attempt adds to them.
    fn dressed(&self, policy: &Policy, spans: Option<&mut Entropy>) -> Headers {
        let mut headers = self.framed();
        if let Some(authorization) = policy.keyring.get(self.target.origin())
            && self.authorize
            && !headers.contains("authorization")
        {
            headers.append_valid("Authorization", authorization.as_bytes());
        }
        if let Some(entropy) = spans {
            span::begin(&mut headers, entropy);
        }
        headers
    }

    /// The headers with what they say of the body as it is now: its length, or the names of its trailers.
    fn framed(&self) -> Headers {
        let mut headers = self.headers.clone();
        if !self.trailers.is_empty() {
            if self.name_trailers {
                // RFC 9110 section 6.6.2; hyper sends only the trailers that this names.
                let names: Vec<&str> = self.trailers.iter().map(|(name, _)| name).collect();
                headers.append_valid("Trailer", names.join(", ").as_bytes());
            }
            return headers;
        }
        let length = if self.upload.is_empty() { self.empty_length() } else { self.upload.length() };
        if let Some(length) = length.filter(|_| self.declare_length) {
            headers.append_valid("Content-Length", length.to_string().as_bytes());
        }
        headers
    }

    /// Sets the `Content-Type` of a form, unless the request has one that is right.
    fn type_form(&mut self, content_type: &str) -> Result<(), Invalid> {
        let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if let Some(own) = self.headers.get("content-type") {
            let own = String::from_utf8_lossy(own).into_owned();
            if essence(&own) != essence(content_type) {
                return Err(Invalid::FormType(own));
            }
            // Theirs may lack the boundary; for a form without one it is as good as ours.
            if essence(&own) != "multipart/form-data" {
                return Ok(());
            }
            self.headers.remove("content-type");
        }
        self.headers.append_valid("Content-Type", content_type.as_bytes());
        Ok(())
    }

    /// Takes a `Content-Length` of the caller out of the headers: each attempt declares its own.
    fn take_length(&mut self) -> Result<(), Invalid> {
        let Some(header) = self.headers.joined("content-length") else { return Ok(()) };
        self.headers.remove("content-length");
        let digits = !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit());
        match header.parse::<u64>().ok().filter(|_| digits) {
            Some(length) if self.upload.declare(length) => {
                self.declared = true;
                Ok(())
            }
            Some(_) | None => Err(Invalid::ContentLength { header, body: self.upload.length() }),
        }
    }

    /// RFC 9110 section 8.6: a method that defines content says that there is none.
    fn empty_length(&self) -> Option<u64> {
        (defines_content(&self.method) || self.declared).then_some(0)
    }
}
