//! What `-v` tells: requests as they were asked for, responses as they came, without secrets.

use std::borrow::Cow;
use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};
use urlpool_core::headers;
use urlpool_core::target::{redact, redact_text};
use urlpool_script::{Failure, Fields, Head, Past, Request};

/// Tells on stderr, or nothing.
pub(crate) struct Verbose {
    told: bool,
    dim: bool,
}

impl Verbose {
    pub(crate) fn new(told: bool) -> Self {
        Self { told, dim: stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    /// Tells that a request is being sent.
    pub(crate) fn sending(&self, request: &Request) {
        self.tell(format!("> {} {}", request.method, redact_text(&request.url)));
        for (name, value) in &request.headers {
            self.tell(format!("> {name}: {}", shown(name, value)));
        }
        if request.basic.is_some() {
            self.tell("> Authorization: Basic (not shown)".into());
        }
        if request.bearer.is_some() {
            self.tell("> Authorization: Bearer (not shown)".into());
        }
    }

    /// Tells how a response came about, and its head.
    pub(crate) fn head(&self, head: &Head) {
        self.history(&head.history);
        self.tell(format!("< {} {}", head.status, redact(&head.url)));
        self.fields(&head.headers);
        if let Some(reason) = &head.not_retried {
            self.tell(format!("* not retried: {reason}"));
        }
    }

    /// Tells how it ended.
    pub(crate) fn ended(&self, head: Option<&Head>, failure: Option<&Failure>, took: Duration) {
        if let (None, Some(Failure::Call(error))) = (head, failure) {
            self.history(&error.history);
        }
        let decoded = if head.is_some_and(|head| head.decoded) { ", decoded" } else { "" };
        match failure {
            None => self.tell(format!("* done in {} ms{decoded}", took.as_millis())),
            Some(failure) => self.tell(format!("* {} after {} ms", failure.kind(), took.as_millis())),
        }
    }

    fn history(&self, history: &[Past]) {
        for past in history {
            self.tell(attempt(past));
        }
    }

    fn fields(&self, fields: &Fields) {
        for (name, value) in fields {
            self.tell(format!("< {name}: {}", shown(name, &String::from_utf8_lossy(value))));
        }
    }

    fn tell(&self, line: String) {
        // A control character of a server must not reach a terminal.
        let line: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        match (self.told, self.dim) {
            (false, _) => {}
            (true, false) => eprintln!("{line}"),
            (true, true) => eprintln!("\x1b[2m{line}\x1b[0m"),
        }
    }
}

fn attempt(past: &Past) -> String {
    let outcome = match (&past.status, &past.error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => error.clone(),
        (None, None) => "nothing".into(),
    };
    let delay = past.delay.as_millis();
    format!("* {} {}: {outcome}; {} after {delay} ms", past.method, past.url, past.kind)
}

/// A header's value without what is secret in it.
fn shown<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    headers::redact(name, value).unwrap_or("(not shown)".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for name in ["Authorization", "cookie", "Set-Cookie", "X-Api-Key", "X-Auth-Token"] {
            assert_eq!(shown(name, "abc"), "(not shown)", "{name}");
        }
        assert_eq!(shown("Accept", "abc"), "abc");
    }
}
