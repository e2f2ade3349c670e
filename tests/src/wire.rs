//! Just enough HTTP/1.1 to take requests apart without hiding anything of them.

use bytes::Bytes;

/// Header or trailer fields in order, values as Latin-1.
pub(crate) type Fields = Vec<(String, String)>;

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Empty,
    Length(usize),
    Chunked,
}

impl Framing {
    /// By its headers; chunks win over a length (RFC 9112 section 6.3).
    pub(crate) fn of(headers: &Fields) -> Self {
        let find = |name: &str| headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        if find("transfer-encoding").is_some() {
            return Self::Chunked;
        }
        match find("content-length").and_then(|(_, value)| value.trim().parse().ok()) {
            None | Some(0) => Self::Empty,
            Some(length) => Self::Length(length),
        }
    }
}

/// Takes a whole head off `unread`, with its empty line; none when it is not whole yet.
pub(crate) fn head(unread: &mut Vec<u8>) -> Option<Bytes> {
    let end = unread.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    Some(Bytes::from(unread.drain(..end).collect::<Vec<_>>()))
}

/// The method, the target and the headers of a head.
pub(crate) fn parse(head: &[u8]) -> (String, String, Fields) {
    let text = latin1(head);
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    (method, target, fields(lines))
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Fields {
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Each byte as the character of the same number.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// A body on its way in.
pub(crate) struct Body {
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: Fields,
    framing: Framing,
    in_trailers: bool,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { content: Vec::new(), trailers: Vec::new(), framing, in_trailers: false }
    }

    /// Takes what is there off `unread`; true once the body is whole.
    pub(crate) fn take(&mut self, unread: &mut Vec<u8>) -> bool {
        match self.framing {
            Framing::Empty => true,
            Framing::Length(length) => {
                let count = unread.len().min(length - self.content.len());
                self.content.extend(unread.drain(..count));
                self.content.len() == length
            }
            Framing::Chunked => {
                while !self.in_trailers {
                    let Some(line_end) = find_line(unread) else { return false };
                    let line = latin1(&unread[..line_end]);
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let Ok(size) = usize::from_str_radix(size, 16) else { return false };
                    if size == 0 {
                        unread.drain(..line_end + 2);
                        self.in_trailers = true;
                        break;
                    }
                    if unread.len() < line_end + 2 + size + 2 {
                        return false;
                    }
                    self.content.extend_from_slice(&unread[line_end + 2..line_end + 2 + size]);
                    unread.drain(..line_end + 2 + size + 2);
                }
                while let Some(line_end) = find_line(unread) {
                    let line = latin1(&unread[..line_end]);
                    unread.drain(..line_end + 2);
                    if line.is_empty() {
                        return true;
                    }
                    self.trailers.extend(fields(std::iter::once(line.as_str())));
                }
                false
            }
        }
    }
}

fn find_line(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|window| window == b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::{Body, Framing, head, parse};

    #[test]
    fn a_head_is_taken_only_when_whole() {
        let mut unread = b"GET /a HTTP/1.1\r\nHost: a.test\r\n".to_vec();
        assert!(head(&mut unread).is_none());
        unread.extend_from_slice(b"\r\nrest");
        let head = head(&mut unread).unwrap();
        let (method, target, headers) = parse(&head);
        assert_eq!((method.as_str(), target.as_str()), ("GET", "/a"));
        assert_eq!(headers, [("Host".to_owned(), "a.test".to_owned())]);
        assert_eq!(unread, b"rest");
    }

    #[test]
    fn a_chunked_body_is_taken_byte_by_byte() {
        let mut body = Body::new(Framing::Chunked);
        let mut unread = Vec::new();
        let sent = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n";
        for (index, &byte) in sent.iter().enumerate() {
            unread.push(byte);
            assert_eq!(body.take(&mut unread), index + 1 == sent.len());
        }
        assert_eq!(body.content, b"abcde");
        assert_eq!(body.trailers, [("X-Sum".to_owned(), "5".to_owned())]);
    }

    #[test]
    fn a_body_with_a_length_leaves_what_follows() {
        let mut body = Body::new(Framing::Length(3));
        let mut unread = b"abcGET".to_vec();
        assert!(body.take(&mut unread));
        assert_eq!(unread, b"GET");
    }
}
