//! What a case is: the play, what the client is asked, and the judgement.

use std::fmt;

use urlpool_conformance::{Log, Reply, Request};

/// One thing that a server may do to a client.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name in the tables, such as `gzip-members`.
    pub id: &'static str,
    /// The part of the table it stands in.
    pub group: Group,
    /// What the server does, or the caller asks for.
    pub title: &'static str,
    /// What is right then.
    pub right: &'static str,
    /// What says so.
    pub source: &'static str,
    /// What is played.
    pub play: fn(&Urls) -> Play,
    /// Whether it was right.
    pub judge: fn(&Told) -> Verdict,
}

/// The parts of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Content codings.
    Decoding,
    /// Where a message ends, and interim responses.
    Framing,
    /// Redirects.
    Redirects,
    /// Kept connections, and what is sent again.
    Connections,
    /// What is sent of forms and headers.
    Requests,
}

impl Group {
    /// All parts, in order.
    pub const ALL: [Self; 5] = [Self::Decoding, Self::Framing, Self::Redirects, Self::Connections, Self::Requests];

    /// The heading of the part.
    pub fn title(self) -> &'static str {
        match self {
            Self::Decoding => "Content codings",
            Self::Framing => "Framing and interim responses",
            Self::Redirects => "Redirects and credentials",
            Self::Connections => "Connections and retries",
            Self::Requests => "Forms and headers",
        }
    }
}

/// The URLs of the two servers, without a path.
#[derive(Clone, Debug)]
pub struct Urls {
    /// The one that the client is sent to.
    pub a: String,
    /// Another origin.
    pub b: String,
}

/// What the servers answer, and what the client is asked to do.
#[derive(Default)]
pub struct Play {
    /// The replies of the first server by path: the n-th request gets the n-th, and further ones the last.
    pub a: Vec<(&'static str, Vec<Reply>)>,
    /// Those of the other one.
    pub b: Vec<(&'static str, Vec<Reply>)>,
    /// The requests, one after the other, by one client that keeps its connections.
    pub asks: Vec<Ask>,
}

impl Play {
    /// The first server has these replies at `/`, and the client is asked for a GET of it.
    pub(crate) fn get(replies: impl Into<Vec<Reply>>) -> Self {
        Self::ask(Ask::new("GET", "/"), replies)
    }

    /// The first server has these replies at `/`, and the client is asked for this.
    pub(crate) fn ask(ask: Ask, replies: impl Into<Vec<Reply>>) -> Self {
        Self { a: vec![("/", replies.into())], b: Vec::new(), asks: vec![ask] }
    }

    /// The first server also has these replies at this path.
    pub(crate) fn at(mut self, path: &'static str, replies: impl Into<Vec<Reply>>) -> Self {
        self.a.push((path, replies.into()));
        self
    }

    /// The other server has these replies at this path.
    pub(crate) fn elsewhere(mut self, path: &'static str, replies: impl Into<Vec<Reply>>) -> Self {
        self.b.push((path, replies.into()));
        self
    }

    /// Then the client is asked for this.
    pub(crate) fn then(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }
}

/// One request, to the first server.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// The headers.
    pub headers: Vec<(&'static str, &'static str)>,
    /// A body of text.
    pub body: Option<&'static str>,
    /// The fields of a multipart form.
    pub form: Option<Vec<Field>>,
    /// Whether the first server has ended the first connection before, and the client has had the time to notice.
    pub after_end: bool,
}

/// A field of a form: its name, the name of a file, and the content.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name.
    pub name: &'static str,
    /// The name of a file; none for a plain field.
    pub filename: Option<&'static str>,
    /// The content.
    pub content: &'static str,
}

impl Ask {
    /// A request without headers or a body.
    pub(crate) fn new(method: &'static str, path: &'static str) -> Self {
        Self { method, path, headers: Vec::new(), body: None, form: None, after_end: false }
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With this body, as plain text.
    pub(crate) fn body(mut self, body: &'static str) -> Self {
        self.body = Some(body);
        self.header("Content-Type", "text/plain")
    }

    /// With a form of one field.
    pub(crate) fn form(mut self, name: &'static str, filename: Option<&'static str>) -> Self {
        self.form = Some(vec![Field { name, filename, content: "x" }]);
        self
    }

    /// Once the first server has ended the first connection.
    pub(crate) fn after_end(mut self) -> Self {
        self.after_end = true;
        self
    }
}

/// What a caller got.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A response, read to its end.
    Response {
        /// The status.
        status: u16,
        /// The headers in order.
        headers: Vec<(String, String)>,
        /// The body as the caller gets it.
        body: Vec<u8>,
    },
    /// An error.
    Error {
        /// Whether it is one of those that the client's documentation tells its users to catch.
        typed: bool,
        /// Its text.
        text: String,
    },
    /// Neither, long after the client should have given up.
    Silence,
}

/// What an answer is in short, as a table tells it.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response { status, body, .. } if body.is_empty() => write!(f, "{status} without a body"),
            Self::Response { status, body, .. } => match std::str::from_utf8(body) {
                Ok(text) if text.len() <= 60 && !text.contains(char::is_control) => write!(f, "{status} with `{text}`"),
                _ => write!(f, "{status} with {} bytes of something else", body.len()),
            },
            Self::Error { typed: true, text } => write!(f, "error `{text}`"),
            Self::Error { typed: false, text } => write!(f, "an exception it does not document: `{text}`"),
            Self::Silence => f.write_str("no answer, long after its limit"),
        }
    }
}

/// All that a judge knows.
#[derive(Debug)]
pub struct Told {
    /// What the caller got for each request.
    pub answers: Vec<Answer>,
    /// What the first server saw.
    pub a: Log,
    /// What the other one saw.
    pub b: Log,
}

impl Told {
    /// What the caller got for the last request.
    pub(crate) fn last(&self) -> &Answer {
        self.answers.last().unwrap_or(&Answer::Silence)
    }

    /// Right when the last answer is a response with this status and body.
    pub(crate) fn response(&self, status: u16, body: &str) -> Verdict {
        match self.last() {
            Answer::Response { status: got, body: content, .. } if *got == status && content == body.as_bytes() => {
                Verdict::Right
            }
            other => Verdict::Wrong(other.to_string()),
        }
    }

    /// Right when the last answer is a response with this status.
    pub(crate) fn status(&self, status: u16) -> Verdict {
        match self.last() {
            Answer::Response { status: got, .. } if *got == status => Verdict::Right,
            other => Verdict::Wrong(other.to_string()),
        }
    }

    /// Right when the last answer is an error that a caller can catch.
    pub(crate) fn error(&self) -> Verdict {
        match self.last() {
            Answer::Error { typed: true, .. } => Verdict::Right,
            other => Verdict::Wrong(other.to_string()),
        }
    }

    /// The first request to the first server at this path.
    pub(crate) fn at(&self, path: &str) -> Option<&Request> {
        self.a.requests.iter().find(|request| request.path() == path)
    }

    /// Right when the first request at `/to` has this method and body.
    pub(crate) fn followed_as(&self, method: &str, body: &str) -> Verdict {
        match self.at("/to") {
            Some(to) if to.method == method && to.text() == body => self.response(200, "arrived"),
            Some(to) if to.body.is_empty() => Verdict::Wrong(format!("follows by {} without a body", to.method)),
            Some(to) => Verdict::Wrong(format!("follows by {} with the body `{}`", to.method, to.text())),
            None => Verdict::Wrong(format!("does not follow: {}", self.last())),
        }
    }
}

/// Whether what came of a case was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was.
    Right,
    /// The specification leaves it open, but the caller is worse off than with what is right.
    Allowed(String),
    /// It was not, and this is what happened.
    Wrong(String),
}

impl Verdict {
    /// Right, or what the other says.
    pub(crate) fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::Right { self } else { other() }
    }

    /// What the other says, unless it was wrong already.
    pub(crate) fn and(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::Right { other() } else { self }
    }

    /// Right where the fact holds, else wrong with what happened.
    pub(crate) fn that(fact: bool, otherwise: impl Into<String>) -> Self {
        if fact { Self::Right } else { Self::Wrong(otherwise.into()) }
    }
}
