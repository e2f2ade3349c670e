//! What a call is asked to do, at random.

use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::Method;
use urlpool_core::backoff::Jitter;
use urlpool_core::retry::AtLimit;
use urlpool_core::upload::REPLAY;
use urlpool_core::{Policy, Redirect, Request, Retry, Timeouts};

use super::shell::noise;

/// The settings of one call.
#[derive(Arbitrary, Debug)]
pub(super) struct Settings {
    pub(super) url: Start,
    pub(super) method: Verb,
    pub(super) body: Carried,
    /// Whether the body is written as far as it goes as soon as a request is sent.
    pub(super) eager: bool,
    pub(super) idempotency_key: bool,
    pub(super) trailers: bool,
    /// Whether the pool is for one origin only.
    pub(super) scoped: bool,
    pub(super) whole: bool,
    pub(super) preload: Option<u16>,
    pub(super) max_body: Option<u16>,
    pub(super) decode: bool,
    retries: Option<u8>,
    connect: Option<u8>,
    read: Option<u8>,
    status: Option<u8>,
    other: Option<u8>,
    pub(super) any_method: bool,
    retry_deliver: bool,
    base: u16,
    ceiling: u16,
    jitter: u8,
    retry_after: Option<u8>,
    hops: u8,
    redirect_deliver: bool,
    pub(super) downgrade: bool,
    pub(super) https_only: bool,
    total: Option<u16>,
    slot: u16,
    connecting: u16,
    write: u16,
    first_byte: u16,
    between_bytes: u16,
    /// Which of the phases have no limit of their own, where there is a total one.
    unlimited: u8,
    /// Whether the URL has credentials.
    pub(super) userinfo: bool,
    /// Which of the origins the pool has credentials for.
    keys: u8,
    pub(super) trace_context: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Start {
    A,
    B,
    SecureA,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Head,
    Own,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Carried {
    Nothing,
    Memory(u16),
    Stream { size: Size, declared: Declared },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Size {
    Any(u16),
    /// As much as is kept of a stream, or a little more or less.
    Kept(i8),
    Twice,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Declared {
    Nothing,
    Right,
    Less,
    More,
}

impl Settings {
    /// The request, with secrets in its URL, its headers and its trailers.
    pub(super) fn request(&self) -> Request {
        let (scheme, rest) = match self.url {
            Start::A => ("http", "a.test/"),
            Start::B => ("http", "b.test/x#f"),
            Start::SecureA => ("https", "a.test/"),
        };
        let userinfo = if self.userinfo { "ann:hunter2@" } else { "" };
        let mut request =
            Request::create(self.method().as_str(), &format!("{scheme}://{userinfo}{rest}")).expect("it is valid");
        request.append_header("cookie", b"hunter2").expect("it may be sent");
        request.append_header("X-Private", b"hunter2").expect("it may be sent");
        if self.idempotency_key {
            request.append_header("Idempotency-Key", b"1").expect("it may be sent");
        }
        if self.trailers {
            request.set_trailers(&[("x-private".to_owned(), b"hunter2".to_vec())]).expect("it may follow a body");
        }
        match self.body {
            Carried::Nothing => {}
            Carried::Memory(size) => request.set_body(Bytes::from_static(&noise()[..usize::from(size)])),
            Carried::Stream { declared, .. } => request.set_body_stream(match declared {
                Declared::Nothing => None,
                Declared::Right => Some(self.stream_size()),
                Declared::Less => Some(self.stream_size().saturating_sub(1)),
                Declared::More => Some(self.stream_size() + 1),
            }),
        }
        request
    }

    pub(super) fn policy(&self) -> Policy {
        let deliver = |deliver| if deliver { AtLimit::Deliver } else { AtLimit::Fail };
        let millis = |millis: u16| Duration::from_millis(u64::from(millis));
        let jitter = [Jitter::None, Jitter::Full, Jitter::Decorrelated, Jitter::Additive(millis(self.base))];
        let mut retry = Retry::default()
            .with_total(self.retries())
            .with_connect(self.connect())
            .with_read(self.limit(self.read))
            .with_status(self.status())
            .with_other(self.limit(self.other))
            .with_statuses([500, 503])
            .with_backoff(millis(self.base), millis(self.ceiling))
            .with_jitter(jitter[usize::from(self.jitter % 4)])
            .with_retry_after(self.retry_after())
            .with_at_limit(deliver(self.retry_deliver));
        if self.any_method {
            retry.set_methods(None);
        }
        let redirect = Redirect::default()
            .with_limit(self.hops())
            .with_private_headers(["x-private"])
            .with_downgrade(self.downgrade)
            .with_https_only(self.https_only)
            .with_at_limit(deliver(self.redirect_deliver));
        let mut policy = Policy {
            retry,
            redirect,
            timeouts: self.timeouts(),
            decode: self.decode,
            preload: self.preload.map(u64::from),
            max_body: self.max_body.map(u64::from),
            trace_context: self.trace_context,
            ..Policy::default()
        };
        for origin in ORIGINS {
            if let Some(token) = self.token(origin) {
                policy.keyring.set_bearer(origin, &token).expect("it is a URL, and a token");
            }
        }
        if self.scoped {
            let base = self.request();
            policy.bind(base.target(), None);
        }
        policy
    }

    /// The token that the pool has for this origin.
    pub(super) fn token(&self, origin: &str) -> Option<String> {
        let place = ORIGINS.iter().position(|other| *other == origin)?;
        (self.keys >> place & 1 == 1).then(|| format!("hunter2-{place}"))
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        let limit = |bit: u8, millis: u16| {
            // What has no limit at all never ends.
            let unlimited = self.total.is_some() && self.unlimited >> bit & 1 == 1;
            (!unlimited).then(|| Duration::from_millis(u64::from(millis)))
        };
        Timeouts::default()
            .with_slot(limit(0, self.slot))
            .with_connect(limit(1, self.connecting))
            .with_write(limit(2, self.write))
            .with_first_byte(limit(3, self.first_byte))
            .with_between_bytes(limit(4, self.between_bytes))
            .with_total(self.total())
    }

    pub(super) fn method(&self) -> Method {
        let name = match self.method {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Head => "HEAD",
            Verb::Own => "MKCOL",
        };
        name.parse().expect("it is a token")
    }

    /// The bytes that the stream has.
    pub(super) fn stream_size(&self) -> u64 {
        match self.body {
            Carried::Nothing | Carried::Memory(_) => 0,
            Carried::Stream { size: Size::Any(size), .. } => u64::from(size),
            Carried::Stream { size: Size::Kept(more), .. } => (REPLAY as u64).saturating_add_signed(i64::from(more)),
            Carried::Stream { size: Size::Twice, .. } => 2 * REPLAY as u64,
        }
    }

    pub(super) fn total(&self) -> Option<Duration> {
        self.total.map(|total| Duration::from_millis(u64::from(total)))
    }

    /// The most retries of the whole call, where they have a limit of their own.
    fn retries(&self) -> Option<u32> {
        self.retries.map(|limit| u32::from(limit % 5))
    }

    /// The most retries that all limits together allow.
    pub(super) fn most_retries(&self) -> u32 {
        let causes = [self.connect, self.read, self.status, self.other].map(|limit| self.limit(limit));
        let causes = causes.into_iter().try_fold(0, |sum, limit| Some(sum + limit?));
        self.retries().into_iter().chain(causes).min().expect("one of both is limited")
    }

    pub(super) fn connect(&self) -> Option<u32> {
        self.limit(self.connect)
    }

    pub(super) fn status(&self) -> Option<u32> {
        self.limit(self.status)
    }

    pub(super) fn hops(&self) -> u32 {
        u32::from(self.hops % 5)
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after.map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// The longest delay before a retry that no header asked for.
    pub(super) fn ceiling(&self) -> Duration {
        Duration::from_millis(u64::from(self.ceiling))
    }

    /// A limit of one cause; there is one where the retries have none in total, as what has no limit at all never ends.
    fn limit(&self, limit: Option<u8>) -> Option<u32> {
        limit.or(self.retries.is_none().then_some(1)).map(|limit| u32::from(limit % 3))
    }
}

/// All that are ever asked.
const ORIGINS: [&str; 3] = ["http://a.test", "http://b.test", "https://a.test"];
