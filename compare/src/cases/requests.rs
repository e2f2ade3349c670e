//! What goes out: names of forms, and headers.

use urlpool_conformance::reply::ok;

use crate::case::{Answer, Ask, Case, Group, Play, Told, Verdict};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "quote-in-filename",
        group: Group::Requests,
        title: "a file named `a\"b.txt`",
        right: "`%22`, or a backslash before it: the name does not end there",
        source: "HTML §4.10.21.8, RFC 7578 §4.2",
        play: |_| posted(Ask::new("POST", "/").form("f", Some("a\"b.txt"))),
        judge: |told| disposition(told, &["filename=\"a%22b.txt\"", "filename=\"a\\\"b.txt\""]),
    },
    Case {
        id: "quote-in-name",
        group: Group::Requests,
        title: "a field named `a\"b`",
        right: "`%22`, or a backslash before it: the name does not end there",
        source: "HTML §4.10.21.8, RFC 7578 §4.2",
        play: |_| posted(Ask::new("POST", "/").form("a\"b", None)),
        judge: |told| disposition(told, &["name=\"a%22b\"", "name=\"a\\\"b\""]),
    },
    Case {
        id: "line-in-filename",
        group: Group::Requests,
        title: "a file named with a line break, and a header after it",
        right: "`%0D%0A`, or an error: no header of a part comes from a name",
        source: "HTML §4.10.21.8, RFC 7578 §4.2",
        play: |_| posted(Ask::new("POST", "/").form("f", Some("a\r\nX-Evil: 1\r\n\r\nb.txt"))),
        judge: one_line,
    },
    Case {
        id: "line-in-name",
        group: Group::Requests,
        title: "a field named with a line break, and a header after it",
        right: "`%0D%0A`, or an error: no header of a part comes from a name",
        source: "HTML §4.10.21.8, RFC 7578 §4.2",
        play: |_| posted(Ask::new("POST", "/").form("a\r\nX-Evil: 1\r\n\r\nb", None)),
        judge: one_line,
    },
    Case {
        id: "utf-8-filename",
        group: Group::Requests,
        title: "a file named `☃.txt`",
        right: "as UTF-8, or percent-encoded; never as `filename*`",
        source: "RFC 7578 §4.2",
        play: |_| posted(Ask::new("POST", "/").form("f", Some("☃.txt"))),
        judge: |told| disposition(told, &["filename=\"☃.txt\"", "filename=\"%E2%98%83.txt\""]),
    },
    Case {
        id: "utf-8-name",
        group: Group::Requests,
        title: "a field named `ä`",
        right: "as UTF-8: a server takes the name as it stands",
        source: "HTML §4.10.21.8, RFC 7578 §5.1",
        play: |_| posted(Ask::new("POST", "/").form("ä", None)),
        judge: |told| disposition(told, &["name=\"ä\""]),
    },
    Case {
        id: "space-in-name",
        group: Group::Requests,
        title: "a field named `a b/c`",
        right: "as it is: a server takes the name as it stands",
        source: "HTML §4.10.21.8, RFC 7578 §5.1",
        play: |_| posted(Ask::new("POST", "/").form("a b/c", None)),
        judge: |told| disposition(told, &["name=\"a b/c\""]),
    },
    Case {
        id: "length-of-form",
        group: Group::Requests,
        title: "a form of known size",
        right: "arrives whole; with a `Content-Length`, it is exact",
        source: "RFC 9110 §8.6",
        play: |_| posted(Ask::new("POST", "/").form("f", Some("a.txt"))),
        judge: |told| match told.at("/") {
            Some(request) if request.whole && request.text().contains("\r\n\r\nx\r\n--") => told.response(200, "read"),
            Some(_) => Verdict::Wrong("the form does not arrive whole".to_owned()),
            None => Verdict::Wrong(told.last().to_string()),
        },
    },
    Case {
        id: "line-in-header",
        group: Group::Requests,
        title: "a header value with a line break, and a header after it",
        right: "an error: a value cannot hold one",
        source: "RFC 9110 §5.5",
        play: |_| posted(Ask::new("GET", "/").header("X-Odd", "a\r\nX-Evil: 1")),
        judge: |told| match told.at("/") {
            Some(request) if request.header("x-evil").is_some() => {
                Verdict::Wrong("sends a header that the value made up".to_owned())
            }
            _ => refused(told),
        },
    },
    Case {
        id: "line-in-method",
        group: Group::Requests,
        title: "a method with a line break, and a header after it",
        right: "an error: a method is a token",
        source: "RFC 9110 §9.1",
        play: |_| posted(Ask::new("GET / HTTP/1.1\r\nX-Evil: 1\r\nX:", "/")),
        judge: |told| match told.a.requests.first() {
            Some(request) if request.header("x-evil").is_some() => {
                Verdict::Wrong("sends a header that the method made up".to_owned())
            }
            _ => refused(told),
        },
    },
    Case {
        id: "post-without-body",
        group: Group::Requests,
        title: "a POST without a body",
        right: "`Content-Length: 0`",
        source: "RFC 9110 §8.6",
        play: |_| posted(Ask::new("POST", "/")),
        judge: |told| match told.at("/").map(|request| request.header("content-length")) {
            Some(Some("0")) => told.response(200, "read"),
            Some(length) => Verdict::Wrong(format!("sends the length {}", length.unwrap_or("nowhere"))),
            None => Verdict::Wrong(told.last().to_string()),
        },
    },
];

fn posted(ask: Ask) -> Play {
    Play::ask(ask, [ok("read")])
}

/// A mistake of the caller may be any error, as long as it is one.
fn refused(told: &Told) -> Verdict {
    match told.last() {
        Answer::Error { .. } => Verdict::Right,
        other => Verdict::Wrong(other.to_string()),
    }
}

/// The header of the only part, without the line break that ends it.
fn part_header(told: &Told) -> Option<String> {
    let text = told.at("/")?.text();
    let (_, after) = text.split_once("\r\n")?;
    let (header, _) = after.split_once("\r\n\r\n")?;
    Some(header.to_owned())
}

/// Right when the disposition of the only part holds one of these parameters.
fn disposition(told: &Told, parameters: &[&str]) -> Verdict {
    let Some(header) = part_header(told) else {
        return Verdict::Wrong(told.last().to_string());
    };
    let line = header.split("\r\n").find(|line| line.to_lowercase().starts_with("content-disposition"));
    let line = line.unwrap_or_default();
    // At the start of a parameter: `name=` is the end of `filename=` as well.
    let found = parameters.iter().any(|parameter| line.contains(&format!("; {parameter}")));
    let seen = line.split_once("form-data; ").map_or(line, |(_, parameters)| parameters);
    Verdict::that(found, format!("sends `{seen}`")).and(|| told.response(200, "read"))
}

/// Right when the name stays in its line.
fn one_line(told: &Told) -> Verdict {
    let Some(request) = told.at("/") else {
        return refused(told);
    };
    let text = request.text();
    if text.contains("\nX-Evil: 1") || text.contains("\rX-Evil: 1") {
        return Verdict::Wrong("the part gets a header that the name made up".to_owned());
    }
    let line = part_header(told).unwrap_or_default();
    let line = line.split("\r\n").next().unwrap_or_default();
    Verdict::that(!line.contains(['\r', '\n']), format!("a bare line break stays in the header: {line:?}"))
        .and(|| told.response(200, "read"))
}
