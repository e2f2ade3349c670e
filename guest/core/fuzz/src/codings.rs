//! Bodies under lists of codings, as a response delivers them, and the limits they are held to.

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use urlpool_core::decode::{Coding, Codings, MAX_CODINGS};
use urlpool_core::delivery::{Collected, Delivery, Part, RATIO_FROM, Read, Terms};
use urlpool_core::error::{Cause, SizeLimit};
use urlpool_core::exchange::Head;
use urlpool_core::timeouts::Clock;
use urlpool_core::{Entropy, Headers, Timeouts, decode};

use crate::coding::{self, Decoded, some};
use crate::encode::encode;
use crate::exchange::at;

/// Holds of a body, whatever codings it names and has:
///
/// - however it is cut and read, it gives the same and ends the same, and every read after the end says so again
/// - it gives no more than the limit of its size, and little more than the limit of its ratio
/// - what a list of encoders wrote comes back
/// - what was cut, or has another length than the head declares, is no success
pub fn codings(input: &[u8]) {
    let mut input = Unstructured::new(input);
    if let Ok(body) = Body::arbitrary(&mut input) {
        body.check(input.take_rest());
    }
}

#[derive(Arbitrary, Debug)]
struct Body {
    names: Vec<Name>,
    /// How the content comes to be.
    content: Content,
    max_body: Option<u16>,
    max_ratio: Option<u8>,
    /// Which length the head declares, by how much it is wrong.
    declared: Option<i8>,
    cut: bool,
    seed: u32,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Name {
    Gzip,
    XGzip,
    Deflate,
    Br,
    Zstd,
    Identity,
    Unknown,
    Empty,
}

#[derive(Arbitrary, Debug, PartialEq)]
enum Content {
    /// The rest of the input as it is.
    Plain,
    /// The rest of the input, encoded as the head says.
    Encoded,
    /// Zeros, encoded as the head says.
    Bomb(u8),
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::XGzip => "X-Gzip",
            Self::Deflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "ZSTD",
            Self::Identity => "identity",
            Self::Unknown => "compress",
            Self::Empty => "",
        }
    }

    fn coding(self) -> Option<Coding> {
        match self {
            Self::Gzip | Self::XGzip => Some(Coding::Gzip),
            Self::Deflate => Some(Coding::Deflate),
            Self::Br => Some(Coding::Br),
            Self::Zstd => Some(Coding::Zstd),
            Self::Identity | Self::Unknown | Self::Empty => None,
        }
    }
}

/// What a reader got, and how it ended.
#[derive(PartialEq)]
struct Got {
    bytes: Vec<u8>,
    cause: Option<Cause>,
}

impl Body {
    fn check(&self, rest: &[u8]) {
        let applied: Vec<Coding> = self.names.iter().filter_map(|name| name.coding()).collect();
        let unknown = self.names.contains(&Name::Unknown);
        let named = applied.len() + self.names.iter().filter(|name| **name == Name::Unknown).count();
        let codings = decode::codings(&self.headers(None));
        match named {
            0 => assert_eq!(codings, Codings::None),
            named if named > MAX_CODINGS => assert_eq!(codings, Codings::TooMany),
            _ if unknown => assert_eq!(codings, Codings::Passthrough),
            _ => assert_eq!(codings, Codings::Decode(applied.clone())),
        }

        let mut entropy = Entropy::seeded(u64::from(self.seed));
        let plain = match self.content {
            Content::Plain | Content::Encoded => rest.to_vec(),
            // Few of more than the ratio is judged from, as each of them takes long.
            Content::Bomb(size @ 0..8) => vec![0; RATIO_FROM as usize + (usize::from(size) << 15)],
            Content::Bomb(size) => vec![0; usize::from(size) << 6],
        };
        let encoded = match self.content {
            Content::Plain => plain.clone(),
            Content::Encoded | Content::Bomb(_) if named > MAX_CODINGS => return,
            Content::Encoded | Content::Bomb(_) => {
                applied.iter().fold(plain.clone(), |body, coding| encode(*coding, &body, &mut entropy))
            }
        };

        let whole = self.read(&encoded, None);
        let pieces = self.read(&encoded, Some(entropy.clone()));
        let by_ratio = |got: &Got| matches!(got.cause, Some(Cause::TooLarge { limit: SizeLimit::Ratio(_) }));
        // How much came by the time that a ratio is judged depends on the pieces.
        let length = self.declared(&encoded);
        // Once the declared length came, nothing more is asked for; what comes with it all the same is an error.
        let asked = length.is_none_or(|length| length >= encoded.len() as u64);
        if asked && !by_ratio(&whole) && !by_ratio(&pieces) {
            match &applied[..] {
                // Which stage meets its error first depends on the pieces as well, and so does how much br gives before one.
                [Coding::Br] | [_, _, ..] => assert_eq!(whole.cause.is_some(), pieces.cause.is_some()),
                _ => assert_eq!(whole.cause, pieces.cause),
            }
        }
        assert!(whole.bytes.starts_with(&pieces.bytes) || pieces.bytes.starts_with(&whole.bytes));
        assert!(!asked || whole.cause.is_some() || pieces.cause.is_some() || whole == pieces);
        if pieces.cause.is_none() {
            match length {
                None => assert!(!self.cut, "cut, and no error"),
                Some(length) => assert!(length <= encoded.len() as u64, "less than declared, and no error"),
            }
        }
        let decoding = matches!(codings, Codings::Decode(_));
        let (expected, undoes) = match codings {
            Codings::None | Codings::Passthrough => (encoded.clone(), true),
            Codings::TooMany => (Vec::new(), false),
            Codings::Decode(_) => (plain, self.content != Content::Plain),
        };
        for got in [&whole, &pieces] {
            assert!(self.max_body.is_none_or(|most| got.bytes.len() <= usize::from(most)));
            if let Some(ratio) = self.max_ratio {
                let most = (encoded.len() * usize::from(ratio.max(1))).max(RATIO_FROM as usize);
                assert!(got.bytes.len() <= most + AHEAD, "{} bytes of {}", got.bytes.len(), encoded.len());
            }
            if undoes {
                assert!(expected.starts_with(&got.bytes));
                assert!(got.cause.is_some() || !asked || got.bytes == expected);
            }
        }
        let unlimited = self.max_body.is_none() && self.max_ratio.is_none() && !self.cut && self.declared.is_none();
        if unlimited && undoes {
            assert_eq!(pieces.cause, None);
        }
        if unlimited && decoding && self.content == Content::Plain {
            // As the decoder by itself has it.
            match coding::decode(&applied, &encoded, Some(entropy)) {
                Decoded::Whole(body) => assert_eq!((pieces.bytes, pieces.cause), (body, None)),
                Decoded::Failed(body, _) => {
                    assert!(matches!(pieces.cause, Some(Cause::Undecodable { .. })));
                    assert!(body.starts_with(&pieces.bytes) || pieces.bytes.starts_with(&body));
                }
                Decoded::Much(body) => assert!(pieces.cause.is_some() || pieces.bytes.starts_with(&body)),
            }
        }
    }

    /// The length that the head declares.
    fn declared(&self, body: &[u8]) -> Option<u64> {
        self.declared.map(|wrong| (body.len() as u64).saturating_add_signed(i64::from(wrong)))
    }

    fn headers(&self, length: Option<u64>) -> Headers {
        let mut headers = Headers::new();
        // A list may go on over several fields.
        for names in self.names.chunks(2) {
            let names: Vec<&str> = names.iter().map(|name| name.text()).collect();
            headers.append_received("Content-Encoding", names.join(" ,"));
        }
        if let Some(length) = length {
            headers.append_received("content-length", length.to_string());
        }
        headers
    }

    /// Delivers the body in pieces of random sizes, or in one, and reads it in as many.
    fn read(&self, body: &[u8], mut entropy: Option<Entropy>) -> Got {
        let now = at(0);
        let mut delivery = Delivery::new(
            Head { status: 200, headers: self.headers(self.declared(body)) },
            "http://a.test/".to_owned(),
            Vec::new(),
            None,
            Terms {
                method: http::Method::GET,
                decode: true,
                max_body: self.max_body.map(u64::from),
                max_ratio: self.max_ratio.map(u32::from),
                clock: Clock::begin(&Timeouts::default(), now),
            },
            now,
        );
        let mut size = |most: usize| entropy.as_mut().map_or(most, |entropy| some(entropy, most));
        let (mut bytes, mut rest) = (Vec::new(), body);
        // The beginning may be collected, as a preload does, and read afterwards.
        let preload = size(1 << 20) as u64;
        loop {
            let collected = delivery.collect(preload, now);
            if collected != Collected::More {
                break;
            }
            self.next(&mut delivery, &mut rest, &mut size);
        }
        loop {
            match delivery.read(size(1 << 20), now) {
                Read::Bytes(some) => {
                    assert!(!some.is_empty());
                    bytes.extend_from_slice(&some);
                }
                Read::Wait => {
                    assert!(!delivery.is_ended(), "it waits for what cannot come");
                    self.next(&mut delivery, &mut rest, &mut size);
                }
                end => {
                    assert!(delivery.is_ended());
                    assert_eq!(delivery.deadline(), None);
                    assert_eq!(delivery.read(1, now), end, "what ended stays so");
                    let cause = match end {
                        Read::Fail(error) => Some(error.cause),
                        Read::Bytes(_) | Read::Wait | Read::End => None,
                    };
                    return Got { bytes, cause };
                }
            }
        }
    }

    /// Lets the server send the next piece, or the end.
    fn next(&self, delivery: &mut Delivery, rest: &mut &[u8], size: &mut impl FnMut(usize) -> usize) {
        let (piece, left) = rest.split_at(size(rest.len()));
        *rest = left;
        let part = match (piece, self.cut) {
            ([], true) => Part::Cut(None),
            ([], false) => Part::End(Headers::new()),
            (piece, _) => Part::Chunk(Bytes::copy_from_slice(piece)),
        };
        delivery.on(part, at(0));
    }
}

/// What is decoded at once, and so comes on top of a limit: as `delivery.rs` has it.
const AHEAD: usize = 64 * 1024;
