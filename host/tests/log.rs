//! What a log is told.
//!
//! Alone in its program: whether anybody listens is decided once for all of its threads, when something is told for the first time.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use rig::{Server, fetch, host, post, text, within};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::{Metadata, Subscriber, span};
use urlpool_host::{Failure, Timeouts};

#[tokio::test]
async fn the_log_names_no_path_no_query_and_no_field() {
    let server = Server::always("HTTP/1.1 200 OK\r\nSet-Cookie: sesame\r\nContent-Length: 2\r\n\r\nok").await;
    let log = Log::default();
    let uri = server.uri("/sesame?token=sesame");
    let sent = async {
        let host = host();
        let guest = host.guest().tenant("ours").build().unwrap();
        for _ in 0..2 {
            let mut request = post(uri.clone(), "sesame");
            request.headers_mut().insert("authorization", "Bearer sesame".parse().unwrap());
            assert_eq!(text(guest.send(request, Timeouts::default()).await).await.unwrap(), "ok");
        }
        let refused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let failed = fetch(&host, format!("http://{refused}/sesame?token=sesame")).await;
        assert_eq!(failed, Err(Failure::Refused));
    };
    within(sent.with_subscriber(log.clone())).await;
    let lines = log.0.lock().unwrap().clone();
    let text = lines.join("\n");
    assert!(!text.contains("sesame"), "{text}");
    for told in ["request method=POST host=\"127.0.0.1\"", "tenant=\"ours\"", "connection opened", "connection reused"]
    {
        assert!(text.contains(told), "{told} is not in:\n{text}");
    }
}

/// Keeps spans and events of our own as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn keep(&self, what: &Metadata<'_>, fields: impl FnOnce(&mut Line)) {
        let mut line = Line(what.name().to_owned());
        fields(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

impl Subscriber for Log {
    fn enabled(&self, what: &Metadata<'_>) -> bool {
        what.target().starts_with("urlpool")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.keep(span.metadata(), |line| span.record(line));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn event(&self, event: &tracing::Event<'_>) {
        self.keep(event.metadata(), |line| event.record(line));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
