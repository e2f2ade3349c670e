//! What a sequence of bytes means as an answer: a strict reading of RFC 9112, which shares no code with the client.
//!
//! Where the RFC lets a recipient repair what is malformed, both the repaired answer and an error are right. Where a client
//! would have to guess, only an error is.
//!
//! Longer than a file should be: a third of it is tests.

/// An answer as the caller is to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// What may be made of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Any of these answers.
    Whole(Vec<Answer>),
    /// Any of these answers, or an error.
    Repairable(Vec<Answer>),
    /// Whatever the decoder makes of a body that was tampered with and has no checksum.
    Undetectable,
    /// An error.
    Malformed,
    /// An error: the bytes are the beginning of an answer.
    Unfinished(Place),
}

/// How far an unfinished answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Head,
    /// In the body of an answer with this status.
    Body(u16),
    /// At the end of a body that only the end of the connection ends, and whose coding is not at its end.
    Coding,
}

/// How the bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In order.
    Closed,
    /// By a reset.
    Reset,
    /// They did not: nothing more comes.
    Silence,
}

/// What the untouched answer would say of its coded body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coded {
    /// The codings, as `Content-Encoding` names them.
    pub(crate) codings: &'static str,
    /// Each length of the coded body at which it may end, and what it decodes to there.
    pub(crate) ends: Vec<(usize, Vec<u8>)>,
    /// The coded body.
    pub(crate) bytes: Vec<u8>,
    /// Whether a checksum tells what was tampered with.
    pub(crate) checked: bool,
}

/// Reads `bytes` as the answer to a request.
pub(crate) fn read(bytes: &[u8], ending: Ending, to_head: bool, coded: &Coded) -> Meaning {
    let mut rest = bytes;
    let mut repaired = false;
    let head = loop {
        let head = match Head::read(&mut rest) {
            Ok(head) => head,
            Err(Wrong::Malformed) => return Meaning::Malformed,
            Err(Wrong::Unfinished) => return Meaning::Unfinished(Place::Head),
        };
        repaired |= head.repaired;
        match head.status {
            // Nobody asked for another protocol.
            101 => return Meaning::Malformed,
            100..=199 => {}
            _ => break head,
        }
    };
    let (raw, whole) = match head.body(rest, to_head) {
        Ok(Body { raw, repaired: by_body }) => {
            repaired |= by_body;
            (raw, true)
        }
        Err(Framed::Malformed) => return Meaning::Malformed,
        Err(Framed::Unfinished) => return Meaning::Unfinished(Place::Body(head.status)),
        Err(Framed::UntilClose(raw)) => (raw, ending == Ending::Closed),
    };
    if !whole {
        return Meaning::Unfinished(Place::Body(head.status));
    }
    let bodies = match head.decoded(raw, to_head, coded) {
        Decoded::Bodies(bodies) => bodies,
        Decoded::Tampered(bodies) => {
            repaired = true;
            bodies
        }
        Decoded::Undetectable => return Meaning::Undetectable,
        Decoded::Cut => return Meaning::Unfinished(Place::Coding),
        Decoded::Malformed => return Meaning::Malformed,
    };
    let answers = bodies.into_iter().map(|body| Answer { status: head.status, body }).collect();
    if repaired { Meaning::Repairable(answers) } else { Meaning::Whole(answers) }
}

enum Wrong {
    Malformed,
    Unfinished,
}

struct Head {
    old: bool,
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    repaired: bool,
}

struct Body {
    raw: Vec<u8>,
    repaired: bool,
}

enum Framed {
    Malformed,
    Unfinished,
    UntilClose(Vec<u8>),
}

enum Decoded {
    Bodies(Vec<Vec<u8>>),
    Tampered(Vec<Vec<u8>>),
    Undetectable,
    Cut,
    Malformed,
}

impl Head {
    /// Takes a head off `rest`.
    fn read(rest: &mut &[u8]) -> Result<Self, Wrong> {
        let mut repaired = false;
        // RFC 9112 section 2.2: empty lines before a message may be skipped.
        let first = loop {
            let line = line(rest, &mut repaired)?;
            if !line.is_empty() {
                break line;
            }
            repaired = true;
        };
        let (old, status) = status_line(&first, &mut repaired)?;
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        loop {
            let line = line(rest, &mut repaired)?;
            if line.is_empty() {
                return Ok(Self { old, status, fields, repaired });
            }
            // Section 5.2: a folded line is refused, or joined to the one before.
            if matches!(line[0], b' ' | b'\t') {
                repaired = true;
                let Some((_, value)) = fields.last_mut() else { return Err(Wrong::Malformed) };
                value.push(b' ');
                value.extend_from_slice(trimmed(&line));
                continue;
            }
            fields.push(field(&line)?);
        }
    }

    fn all(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_slice()).collect()
    }

    /// The body without its framing, RFC 9112 section 6.3.
    fn body(&self, rest: &[u8], to_head: bool) -> Result<Body, Framed> {
        let mut repaired = false;
        let codings = self.all("transfer-encoding");
        let lengths = self.all("content-length");
        let bodyless = to_head || self.status == 204 || self.status == 304;
        let length = match length(&lengths, &mut repaired) {
            Ok(length) => length,
            // Chunks win over a length, whatever it says, and no body has none; refusing both is right as well.
            Err(()) if !codings.is_empty() || bodyless => {
                repaired = true;
                None
            }
            Err(()) => return Err(Framed::Malformed),
        };
        if !codings.is_empty() {
            // Chunks in HTTP/1.0 are faulty framing; so is any other coding, which nobody asked for.
            repaired |= self.old;
            let chunked = codings.len() == 1 && codings[0].eq_ignore_ascii_case(b"chunked");
            if !chunked && !bodyless {
                return Err(Framed::Malformed);
            }
            repaired |= !chunked;
        }
        if bodyless {
            return Ok(Body { raw: Vec::new(), repaired });
        }
        if !codings.is_empty() {
            let raw = chunks(rest, &mut repaired)?;
            return Ok(Body { raw, repaired });
        }
        match length {
            None => Err(Framed::UntilClose(rest.to_vec())),
            Some(length) => match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
                None => Err(Framed::Unfinished),
                Some(raw) => Ok(Body { raw: raw.to_vec(), repaired }),
            },
        }
    }

    fn decoded(&self, raw: Vec<u8>, to_head: bool, coded: &Coded) -> Decoded {
        // A part of a coded body is no coded body.
        if to_head || raw.is_empty() || self.status == 206 {
            return Decoded::Bodies(vec![raw]);
        }
        let named: Vec<_> = self
            .all("content-encoding")
            .into_iter()
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        let known = |name: &String| ["gzip", "x-gzip", "deflate", "br", "zstd"].contains(&name.as_str());
        match named.len() {
            0 => return Decoded::Bodies(vec![raw]),
            6.. => return Decoded::Malformed,
            _ if !named.iter().all(known) => return Decoded::Bodies(vec![raw]),
            _ => {}
        }
        if named.join(", ").replace("x-gzip", "gzip") != coded.codings {
            return Decoded::Undetectable;
        }
        if let Some((_, body)) = coded.ends.iter().find(|(end, _)| raw == coded.bytes[..*end]) {
            return Decoded::Bodies(vec![body.clone()]);
        }
        if coded.bytes.starts_with(&raw) {
            // The first bytes of a further member or frame could be anything that follows the one before.
            let before = coded.ends.iter().filter(|(end, _)| (*end..*end + 4).contains(&raw.len()));
            let before: Vec<_> = before.map(|(_, body)| body.clone()).collect();
            return if before.is_empty() { Decoded::Cut } else { Decoded::Tampered(before) };
        }
        match coded.checked {
            // What follows the end of a member or frame, and is none, is ignored.
            true => Decoded::Tampered(coded.ends.iter().map(|(_, body)| body.clone()).collect()),
            false => Decoded::Undetectable,
        }
    }
}

/// Takes a line off `rest`, without its end.
fn line(rest: &mut &[u8], repaired: &mut bool) -> Result<Vec<u8>, Wrong> {
    let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
        return Err(Wrong::Unfinished);
    };
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    // RFC 9112 section 2.2: a line feed alone may end a line.
    match line.strip_suffix(b"\r") {
        Some(line) => Ok(line.to_vec()),
        None => {
            *repaired = true;
            Ok(line.to_vec())
        }
    }
}

fn status_line(line: &[u8], repaired: &mut bool) -> Result<(bool, u16), Wrong> {
    let rest = line.strip_prefix(b"HTTP/1.").ok_or(Wrong::Malformed)?;
    let [minor, b' ', hundreds, tens, ones, reason @ ..] = rest else { return Err(Wrong::Malformed) };
    if ![minor, hundreds, tens, ones].iter().all(|digit| digit.is_ascii_digit()) || *hundreds == b'0' {
        return Err(Wrong::Malformed);
    }
    match reason {
        [b' ', text @ ..] if text.iter().all(|&byte| is_text(byte)) => {}
        [] => *repaired = true,
        _ => return Err(Wrong::Malformed),
    }
    // A later minor version is to be read like 1.1, and no server of ours has one; statuses beyond 599 are invalid.
    *repaired |= !matches!(minor, b'0' | b'1') || *hundreds > b'5';
    let status = [hundreds, tens, ones].iter().fold(0, |status, digit| status * 10 + u16::from(**digit - b'0'));
    Ok((*minor == b'0', status))
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), Wrong> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(Wrong::Malformed)?;
    let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(token) || !value.iter().all(|&byte| is_text(byte)) {
        return Err(Wrong::Malformed);
    }
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()))
}

/// Without the spaces and tabs around it.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// What a value or a reason may hold: tabs, and all that is visible or beyond ASCII.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn length(fields: &[&[u8]], repaired: &mut bool) -> Result<Option<u64>, ()> {
    let mut all = None;
    for &field in fields {
        for (nth, text) in field.split(|&byte| byte == b',').enumerate() {
            // A list of equal lengths may be read as one.
            *repaired |= nth > 0;
            let text = std::str::from_utf8(text).map_err(drop)?.trim_matches([' ', '\t']);
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(());
            }
            let length: u64 = text.parse().map_err(drop)?;
            if all.is_some_and(|all| all != length) {
                return Err(());
            }
            all = Some(length);
        }
    }
    *repaired |= fields.len() > 1;
    Ok(all)
}

/// The content of chunks, RFC 9112 section 7.1.
fn chunks(mut rest: &[u8], repaired: &mut bool) -> Result<Vec<u8>, Framed> {
    let mut content = Vec::new();
    let mut lenient = false;
    loop {
        let line = chunk_line(&mut rest, &mut lenient)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let mut size = 0_u64;
        for digit in &line[..digits] {
            let digit = char::from(*digit).to_digit(16).ok_or(Framed::Malformed)?;
            size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit))).ok_or(Framed::Malformed)?;
        }
        let after = line[digits..].trim_ascii_start();
        if digits == 0 || !(after.is_empty() || after[0] == b';') {
            return Err(Framed::Malformed);
        }
        // Space before the end of the line or an extension is bad, and may be skipped; so is what is no text.
        lenient |= after.len() != line.len() - digits || !after.iter().all(|&byte| is_text(byte));
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).map_err(|_| Framed::Unfinished)?;
        // What is there of the end of the chunk tells that it is wrong even before all of it is there.
        match rest.get(size..) {
            None => return Err(Framed::Unfinished),
            Some([]) => return Err(Framed::Unfinished),
            Some([b'\r']) => return Err(Framed::Unfinished),
            Some([b'\r', b'\n', ..]) => {}
            Some(_) => return Err(Framed::Malformed),
        }
        content.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
    loop {
        let trailer = match line(&mut rest, &mut lenient) {
            Ok(trailer) => trailer,
            Err(Wrong::Malformed) => return Err(Framed::Malformed),
            Err(Wrong::Unfinished) => return Err(Framed::Unfinished),
        };
        if trailer.is_empty() {
            *repaired |= lenient;
            return Ok(content);
        }
        // The body is whole whatever its trailers are.
        lenient |= field(&trailer).is_err();
    }
}

fn chunk_line(rest: &mut &[u8], lenient: &mut bool) -> Result<Vec<u8>, Framed> {
    line(rest, lenient).map_err(|wrong| match wrong {
        Wrong::Malformed => Framed::Malformed,
        Wrong::Unfinished => Framed::Unfinished,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(bytes: &str) -> Meaning {
        read(bytes.as_bytes(), Ending::Closed, false, &Coded::default())
    }

    fn answer(status: u16, body: &str) -> Vec<Answer> {
        vec![Answer { status, body: body.as_bytes().to_vec() }]
    }

    #[test]
    fn a_length_decides_where_a_body_ends() {
        let whole = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(closed(whole), Meaning::Whole(answer(200, "abc")));
        assert_eq!(closed(&format!("{whole}more")), Meaning::Whole(answer(200, "abc")));
        for cut in 0..whole.len() - 3 {
            assert_eq!(closed(&whole[..cut]), Meaning::Unfinished(Place::Head), "{cut}");
        }
        for cut in whole.len() - 3..whole.len() {
            assert_eq!(closed(&whole[..cut]), Meaning::Unfinished(Place::Body(200)), "{cut}");
        }
        for lengths in ["3, 4", "x", "", "-3", "+3", "0x3", "18446744073709551616"] {
            let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {lengths}\r\n\r\nabcd");
            assert_eq!(closed(&bytes), Meaning::Malformed, "{lengths}");
        }
        let twice = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(closed(twice), Meaning::Repairable(answer(200, "abc")));
    }

    #[test]
    fn chunks_are_read_to_the_end_of_their_trailers() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n";
        let whole = "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n";
        assert_eq!(closed(&format!("{head}{whole}")), Meaning::Whole(answer(200, "abcde")));
        for cut in 0..whole.len() {
            let bytes = format!("{head}{}", &whole[..cut]);
            assert_eq!(closed(&bytes), Meaning::Unfinished(Place::Body(200)), "{cut}");
        }
        for wrong in ["zz\r\n", "\r\n", "-1\r\n", "10000000000000000\r\n", "1\r\nab"] {
            assert_eq!(closed(&format!("{head}{wrong}")), Meaning::Malformed, "{wrong:?}");
        }
        assert_eq!(closed(&format!("{head}3\nabc\r\n0\r\n\r\n")), Meaning::Repairable(answer(200, "abc")));
        let gzip = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(closed(gzip), Meaning::Malformed);
    }

    #[test]
    fn the_end_of_the_connection_ends_a_body_only_in_order() {
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nabc";
        let told = |ending, to_head| read(bytes, ending, to_head, &Coded::default());
        assert_eq!(told(Ending::Closed, false), Meaning::Whole(answer(200, "abc")));
        assert_eq!(told(Ending::Reset, false), Meaning::Unfinished(Place::Body(200)));
        assert_eq!(told(Ending::Silence, false), Meaning::Unfinished(Place::Body(200)));
        assert_eq!(told(Ending::Silence, true), Meaning::Whole(answer(200, "")));
    }

    #[test]
    fn heads_are_repaired_where_that_is_allowed() {
        for repairable in [
            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
            "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 1\r\n\r\nx",
        ] {
            assert_eq!(closed(repairable), Meaning::Repairable(answer(200, "x")), "{repairable:?}");
        }
        for malformed in [
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX A: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-A: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert_eq!(closed(malformed), Meaning::Malformed, "{malformed:?}");
        }
    }

    #[test]
    fn a_coded_body_ends_only_where_its_coding_does() {
        let coded = Coded {
            codings: "gzip",
            ends: vec![(5, b"one".to_vec()), (10, b"onetwo".to_vec())],
            bytes: b"AAAAABBBBB".to_vec(),
            checked: true,
        };
        let told = |body: &str| {
            let bytes = format!("HTTP/1.1 200 OK\r\nContent-Encoding: x-gzip\r\n\r\n{body}");
            read(bytes.as_bytes(), Ending::Closed, false, &coded)
        };
        assert_eq!(told(""), Meaning::Whole(answer(200, "")));
        assert_eq!(told("AAAAA"), Meaning::Whole(answer(200, "one")));
        assert_eq!(told("AAAAABBBBB"), Meaning::Whole(answer(200, "onetwo")));
        assert_eq!(told("AAAA"), Meaning::Unfinished(Place::Coding));
        assert_eq!(told("AAAAABBBB"), Meaning::Unfinished(Place::Coding));
        assert_eq!(told("AAAAAB"), Meaning::Repairable(answer(200, "one")));
        assert_eq!(told("xAAAA"), Meaning::Repairable([answer(200, "one"), answer(200, "onetwo")].concat()));
    }
}
