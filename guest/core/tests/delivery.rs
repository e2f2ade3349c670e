//! A response on its way to the caller: lengths, limits, decoding and how a body ends.
//!
//! Longer than most files: how a body can end, by how it is read and what it is held to, is a table of many cells.

#![cfg(all(feature = "gzip", feature = "deflate", feature = "br", feature = "zstd"))]

mod scenario;

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use urlpool_core::delivery::{BARREN, Collected, Delivery, Part, RATIO_FROM, Read, Terms};
use urlpool_core::error::SizeLimit;
use urlpool_core::exchange::Head;
use urlpool_core::timeouts::Clock;
use urlpool_core::{Cause, Error, ErrorCode, Headers, Kind, Phase, Timeouts};

use scenario::{Response, at, headers, millis, seconds};

/// The answer that is delivered.
struct Answer {
    status: u16,
    fields: Vec<(&'static str, String)>,
    terms: Terms,
}

fn answer(fields: &[(&'static str, &str)]) -> Answer {
    let terms = Terms {
        method: http::Method::GET,
        decode: true,
        max_body: None,
        max_ratio: Some(200),
        clock: Clock::begin(&Timeouts::default(), at(seconds(0))),
    };
    Answer { status: 200, fields: fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), terms }
}

/// An answer that is encoded so.
fn encoded(codings: &str) -> Answer {
    answer(&[("Content-Encoding", codings)])
}

impl Answer {
    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn terms(mut self, set: impl FnOnce(&mut Terms)) -> Self {
        set(&mut self.terms);
        self
    }

    fn limits(self, timeouts: Timeouts) -> Self {
        self.terms(|terms| terms.clock = Clock::begin(&timeouts, at(seconds(0))))
    }

    fn deliver(self) -> Response {
        let fields: Vec<(&str, &str)> = self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let head = Head { status: self.status, headers: headers(&fields) };
        let now = at(seconds(0));
        let delivery = Delivery::new(head, "http://a.test/".to_owned(), Vec::new(), None, self.terms, now);
        Response { delivery: Box::new(delivery), now }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let fast = brotli::enc::BrotliEncoderParams { quality: 2, ..Default::default() };
    brotli::BrotliCompress(&mut &bytes[..], &mut out, &fast).expect("a vector takes all");
    out
}

fn too_large(limit: SizeLimit) -> Cause {
    Cause::TooLarge { limit }
}

/// Bytes that no coding makes small.
fn noise(size: usize) -> Vec<u8> {
    let mut entropy = urlpool_core::Entropy::seeded(1);
    (0..size).map(|_| entropy.draw() as u8).collect()
}

// --- reading ---

#[test]
fn a_body_is_read_piece_by_piece() {
    let mut response = answer(&[]).deliver().chunk("hello");
    assert_eq!(response.read(2), Read::Bytes(Bytes::from_static(b"he")));
    assert_eq!(response.read(100), Read::Bytes(Bytes::from_static(b"llo")));
    assert_eq!(response.read(100), Read::Wait);
    let mut response = response.chunk("!").end();
    assert_eq!(response.read(100), Read::Bytes(Bytes::from_static(b"!")));
    assert_eq!((response.read(100), response.read(100)), (Read::End, Read::End));
}

#[test]
fn a_read_of_nothing_reads_a_byte() {
    assert_eq!(answer(&[]).deliver().chunk("hi").read(0), Read::Bytes(Bytes::from_static(b"h")));
    assert_eq!(encoded("gzip").deliver().chunk(gzip(b"hi")).read(0), Read::Bytes(Bytes::from_static(b"h")));
}

#[test]
fn a_chunk_of_nothing_is_no_end() {
    let mut response = answer(&[]).deliver().chunk("");
    assert_eq!(response.read(9), Read::Wait);
}

#[test]
fn what_comes_after_the_end_is_not_heard() {
    let mut response = answer(&[]).deliver().chunk("hi").end().chunk("more").cut();
    assert_eq!(response.body(), b"hi");
}

#[test]
fn a_body_is_over_with_the_last_byte_of_its_length() {
    let mut response = answer(&[("Content-Length", "3")]).deliver().chunk("ab");
    assert!(!response.delivery.is_ended());
    response = response.chunk("c");
    assert!(response.delivery.is_ended());
    assert_eq!(response.body(), b"abc");
}

/// HTTP/2 allows for trailers behind a body whose length was declared; they were lost before.
#[test]
fn b11_trailers_that_the_head_announces_are_waited_for_behind_any_length() {
    let response = answer(&[("Content-Length", "1"), ("Trailer", "x-sum")]).deliver().chunk("a");
    assert!(!response.delivery.is_ended() && response.delivery.may_have_trailers());
}

#[test]
fn b11_trailers_are_there_after_the_end() {
    let response = answer(&[]).deliver().chunk("hi");
    assert!(response.delivery.may_have_trailers() && response.delivery.trailers().is_empty());
    let response = response.on(Part::End(headers(&[("X-Sum", "1")])));
    assert_eq!(response.delivery.trailers().get("x-sum"), Some(b"1".as_slice()));
    assert!(!response.delivery.may_have_trailers());
}

#[test]
fn a_body_may_be_taken_as_it_was_sent_until_it_is_read() {
    let reason = |response: &Response| response.delivery.raw().err().map(|error| error.cause.to_string());
    let mut response = answer(&[]).deliver();
    assert_eq!(reason(&response), None);
    response.read(1);
    assert!(reason(&response).is_some_and(|reason| reason.contains("was read")));
    assert!(reason(&answer(&[]).deliver().chunk("x")).is_some_and(|reason| reason.contains("was read")));
    let mut response = answer(&[]).deliver();
    response.delivery.collect(10, response.now);
    assert!(reason(&response.end()).is_some_and(|reason| reason.contains("preloaded")));
}

/// Once a 204 or an answer to a HEAD could not be forwarded.
#[test]
fn a_body_that_is_empty_from_the_start_may_be_taken_as_well() {
    assert_eq!(answer(&[]).status(204).deliver().delivery.raw(), Ok(()));
    assert_eq!(answer(&[("Content-Length", "0")]).deliver().delivery.raw(), Ok(()));
}

/// Once a loop that subscribed before it read waited for the server while bytes lay ready.
#[test]
fn what_is_at_hand_can_be_read_without_another_piece() {
    let mut response = answer(&[]).deliver();
    assert!(!response.delivery.has_at_hand());
    response = response.chunk("hello");
    assert!(response.delivery.has_at_hand());
    response.read(2);
    assert!(response.delivery.has_at_hand());
    response.read(9);
    assert_eq!((response.delivery.has_at_hand(), response.read(9)), (false, Read::Wait));
    assert!(response.end().delivery.has_at_hand());
    assert!(answer(&[]).deliver().cut().delivery.has_at_hand());
    assert!(answer(&[]).status(204).deliver().delivery.has_at_hand());
}

/// Once a server that sent single bytes made a preload take sixty times its limit of memory.
#[test]
fn many_small_pieces_are_kept_as_few() {
    let plain = noise(100_000);
    let mut response = answer(&[]).deliver();
    for byte in plain.chunks(1) {
        response = response.chunk(byte.to_vec());
        response.delivery.collect(u64::MAX, response.now);
    }
    response = response.end();
    let (mut pieces, mut read) = (0, Vec::new());
    while let Read::Bytes(bytes) = response.read(usize::MAX) {
        pieces += 1;
        read.extend_from_slice(&bytes);
    }
    assert!(read == plain && pieces <= 8, "{pieces} pieces");
}

#[test]
fn large_and_small_pieces_stay_in_order() {
    let plain = noise(200_000);
    let mut response = answer(&[]).deliver();
    let mut rest = &plain[..];
    for size in [10, 20_000, 10, 10, 50_000, 100].into_iter().cycle() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        response = response.chunk(piece.to_vec());
        response.delivery.collect(u64::MAX, response.now);
        if rest.is_empty() {
            break;
        }
    }
    assert!(response.end().body() == plain);
}

#[test]
fn e26_text_is_read_by_the_charset_of_the_head() {
    let response = answer(&[("Content-Type", "text/plain; charset=iso-8859-1")]).deliver();
    assert_eq!(response.delivery.text(b"caf\xe9"), "caf\u{e9}");
}

// --- reading the rest ---

#[test]
fn the_rest_is_read_at_once_and_goes_on_where_it_waited() {
    let mut response = answer(&[]).deliver().chunk("he").chunk("ll");
    let mut whole = Vec::new();
    assert_eq!(response.delivery.read_all(&mut whole, 5, response.now), Read::Wait);
    let mut response = response.chunk("o").end();
    assert_eq!(response.delivery.read_all(&mut whole, 5, response.now), Read::End);
    assert_eq!(whole, b"hello");
}

#[test]
fn more_than_was_asked_for_at_once_is_too_large_for_good() {
    let mut response = answer(&[]).deliver().chunk("hello");
    let now = response.now;
    let Read::Fail(error) = response.delivery.read_all(&mut Vec::new(), 4, now) else { panic!("it is larger") };
    assert_eq!(error.cause, too_large(SizeLimit::Collect(4)));
    assert!(response.delivery.is_ended());
    assert_eq!(response.delivery.read_all(&mut Vec::new(), 100, now), Read::Fail(error.clone()));
    assert_eq!(response.chunk("more").read(100), Read::Fail(error));
}

#[test]
fn a_failure_comes_after_the_rest() {
    let mut response = answer(&[("Content-Length", "9")]).deliver().chunk("hello").cut();
    let mut whole = Vec::new();
    let now = response.now;
    assert!(matches!(response.delivery.read_all(&mut whole, 100, now), Read::Fail(_)));
    assert_eq!(whole, b"hello");
}

// --- collecting ---

#[test]
fn collecting_goes_on_until_more_than_the_limit_is_there() {
    let mut response = answer(&[]).deliver();
    let now = response.now;
    assert_eq!(response.delivery.collect(4, now), Collected::More);
    let mut response = response.chunk("abcd");
    assert_eq!(response.delivery.collect(4, now), Collected::More);
    let mut response = response.chunk("e");
    assert_eq!(response.delivery.collect(4, now), Collected::Full);
    let mut response = response.end();
    assert_eq!(response.delivery.collect(5, now), Collected::Whole);
    assert_eq!(response.body(), b"abcde");
}

#[test]
fn a_body_of_exactly_the_limit_is_whole() {
    let mut response = encoded("gzip").deliver().chunk(gzip(b"abcd")).end();
    assert_eq!(response.delivery.collect(4, response.now), Collected::Whole);
    let mut response = answer(&[]).deliver().end();
    assert_eq!(response.delivery.collect(0, response.now), Collected::Whole);
}

#[test]
fn e21_collecting_decodes_little_more_than_its_limit() {
    let mut response = encoded("gzip").deliver().chunk(gzip(&vec![0; 1 << 20]));
    assert_eq!(response.delivery.collect(1_000, response.now), Collected::Full);
    let mut read = 0;
    // What is there without decoding more is all that memory holds.
    while let Read::Bytes(bytes) = response.read(usize::MAX) {
        read = bytes.len().max(read);
    }
    assert!(read <= 64 * 1024, "{read}");
}

// --- bodies that end at once ---

#[test]
fn b15_responses_that_have_no_body_end_at_once() {
    let head = answer(&[("Content-Length", "5"), ("Content-Encoding", "gzip")]);
    let mut responses = vec![head.terms(|terms| terms.method = http::Method::HEAD).deliver()];
    for status in [204, 304] {
        responses.push(answer(&[("Content-Length", "5"), ("Content-Encoding", "gzip")]).status(status).deliver());
    }
    for response in &mut responses {
        assert!(response.delivery.is_ended() && !response.delivery.may_have_trailers());
        assert_eq!((response.delivery.deadline(), response.body()), (None, vec![]));
        // What describes the body that a GET would get is not touched.
        assert!(!response.delivery.is_decoded());
        let head = response.delivery.headers();
        assert!(head.contains("content-length") && head.contains("content-encoding"));
    }
}

#[test]
fn a_body_of_the_length_zero_ends_at_once() {
    let mut response = answer(&[("Content-Length", "0"), ("Content-Encoding", "gzip")]).deliver();
    assert!(response.delivery.is_ended());
    assert_eq!(response.body(), b"");
}

#[test]
fn a_head_of_a_large_body_is_not_too_large() {
    let large = answer(&[("Content-Length", "500")]).terms(|terms| {
        terms.method = http::Method::HEAD;
        terms.max_body = Some(5);
    });
    assert_eq!(large.deliver().body(), b"");
}

// --- lengths ---

#[test]
fn b1_a_body_shorter_than_its_length_is_interrupted() {
    let ends: [fn(Response) -> Response; 2] = [Response::end, Response::cut];
    for end in ends {
        let (read, error) = end(answer(&[("Content-Length", "10")]).deliver().chunk("abc")).failure();
        assert_eq!(read, b"abc");
        assert_eq!(error.cause, Cause::Interrupted { code: None, expected: Some(10), received: Some(3) });
    }
}

#[test]
fn b9_a_cut_without_a_length_tells_what_came() {
    let (_, error) = answer(&[]).deliver().chunk("abc").cut().failure();
    assert_eq!(error.cause, Cause::Interrupted { code: None, expected: None, received: Some(3) });
}

#[test]
fn the_code_of_the_host_names_the_failure() {
    let failed = |code| answer(&[]).deliver().on(Part::Cut(Some(code))).failure().1;
    assert_eq!(failed(ErrorCode::HttpProtocolError).kind(), Kind::Protocol);
    assert_eq!(failed(ErrorCode::ConnectionReadTimeout).cause.phase(), Some(Phase::BetweenBytes));
    let cut = failed(ErrorCode::ConnectionTerminated).cause;
    assert_eq!(cut.code(), Some(&ErrorCode::ConnectionTerminated));
}

/// Once the bytes beyond the length were handed over before the failure.
#[test]
fn b2_what_comes_beyond_the_length_is_not_handed_over() {
    let mut response = answer(&[("Content-Length", "5")]).deliver().chunk("hel").chunk("lo HTTP/1.1 200 OK");
    let (read, error) = response.failure();
    assert_eq!((read, error.kind()), (b"hello".to_vec(), Kind::Protocol));
}

#[test]
fn b4_the_same_length_twice_is_one() {
    let (_, error) = answer(&[("Content-Length", "9, 9"), ("Content-Length", "9")]).deliver().cut().failure();
    assert_eq!(error.cause.expected(), Some(9));
}

#[test]
fn b3_lengths_that_make_no_sense_are_none() {
    for length in ["9, 8", "-9", "+9", "9.0", "", "0x9", "99999999999999999999"] {
        assert_eq!(answer(&[("Content-Length", length)]).deliver().chunk("hi").end().body(), b"hi", "{length}");
    }
}

#[test]
fn b5_a_transfer_coding_overrides_the_length() {
    let fields = [("Transfer-Encoding", "chunked"), ("Content-Length", "9")];
    assert_eq!(answer(&fields).deliver().chunk("hi").end().body(), b"hi");
}

// --- sizes ---

#[test]
fn l1_a_declared_length_beyond_the_limit_fails_before_a_byte_is_read() {
    let mut response = answer(&[("Content-Length", "6")]).terms(|terms| terms.max_body = Some(5)).deliver();
    assert!(response.delivery.is_ended());
    assert_eq!(response.failure().1.cause, too_large(SizeLimit::Body(5)));
}

#[test]
fn l1_a_body_may_be_as_large_as_the_limit_and_not_a_byte_larger() {
    let limited = |body: &'static str| answer(&[]).terms(|terms| terms.max_body = Some(5)).deliver().chunk(body).end();
    assert_eq!(limited("12345").body(), b"12345");
    let mut response = limited("123456");
    let (read, error) = response.failure();
    assert_eq!((read, error.cause.clone()), (b"12345".to_vec(), too_large(SizeLimit::Body(5))));
    assert_eq!(response.failure(), (vec![], error));
}

#[test]
fn l1_the_limit_is_of_decoded_bytes() {
    let limited = |limit| encoded("gzip").terms(|terms| terms.max_body = Some(limit)).deliver();
    assert_eq!(limited(1_000).chunk(gzip(&[0; 1_000])).end().body().len(), 1_000);
    let (read, error) = limited(999).chunk(gzip(&[0; 1_000])).failure();
    assert_eq!((read.len(), error.cause), (999, too_large(SizeLimit::Body(999))));
    // The declared length is that of the encoded bytes, and says nothing of the decoded ones.
    let small = answer(&[("Content-Encoding", "gzip"), ("Content-Length", "100")]);
    assert!(!small.terms(|terms| terms.max_body = Some(50)).deliver().delivery.is_ended());
}

#[test]
fn e21_a_bomb_ends_soon_after_the_ratio_is_judged() {
    let (read, error) = encoded("gzip").deliver().chunk(gzip(&vec![0; 16 << 20])).failure();
    assert_eq!(error.cause, too_large(SizeLimit::Ratio(200)));
    let judged = usize::try_from(RATIO_FROM).unwrap();
    assert!((judged..judged * 4).contains(&read.len()), "{}", read.len());
}

#[test]
fn e21_a_bomb_in_a_bomb_is_one() {
    let bomb = gzip(&gzip(&vec![0; 16 << 20]));
    let (read, error) = encoded("gzip, gzip").deliver().chunk(bomb).failure();
    assert_eq!(error.cause, too_large(SizeLimit::Ratio(200)));
    assert!(read.len() < 4 << 20);
}

#[test]
fn l6_a_ratio_is_not_judged_below_a_mebibyte() {
    let size = usize::try_from(RATIO_FROM).unwrap();
    assert_eq!(encoded("gzip").deliver().chunk(gzip(&vec![0; size])).end().body().len(), size);
}

#[test]
fn l6_without_a_limit_of_the_ratio_everything_is_decoded() {
    let unlimited = encoded("gzip").terms(|terms| terms.max_ratio = None).deliver();
    assert_eq!(unlimited.chunk(gzip(&vec![0; 4 << 20])).end().body().len(), 4 << 20);
}

#[test]
fn l6_the_ratio_is_of_all_that_came() {
    let mut body = noise(100_000);
    body.resize(2 << 20, 0);
    assert_eq!(encoded("gzip").deliver().chunk(gzip(&body)).end().body(), body);
}

// --- decoding ---

#[test]
fn e1_a_decoded_response_says_so_and_loses_what_describes_the_encoding() {
    let fields = [("Content-Encoding", "gzip"), ("Content-Length", "30"), ("X-Own", "1")];
    let response = answer(&fields).deliver();
    assert!(response.delivery.is_decoded());
    let names: Vec<&str> = response.delivery.headers().iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["X-Own"]);
}

#[test]
fn e11_codings_are_undone_in_reverse() {
    let body = noise(300_000);
    let coded = brotli(&zlib(&gzip(&body)));
    let mut response = answer(&[("Content-Encoding", "gzip, deflate"), ("Content-Encoding", "br")]).deliver();
    response = coded.chunks(1_000).fold(response, |response, chunk| response.chunk(chunk.to_vec())).end();
    assert_eq!(response.body(), body);
}

#[test]
fn e13_more_than_five_codings_are_refused_unread() {
    let mut response = encoded("gzip,gzip,gzip,gzip,gzip,gzip").deliver();
    assert!(response.delivery.is_ended());
    assert_eq!(response.failure().1.kind(), Kind::Undecodable);
}

#[test]
fn e15_an_unknown_coding_is_handed_over_as_it_is() {
    let mut response = encoded("gzip, compress").deliver().chunk("as it is").end();
    assert!(!response.delivery.is_decoded() && response.delivery.headers().contains("content-encoding"));
    assert_eq!(response.body(), b"as it is");
}

#[test]
fn e24_nothing_is_decoded_where_nobody_wants_it() {
    let raw = encoded("gzip").terms(|terms| terms.decode = false).deliver().chunk("raw").end();
    assert_eq!({ raw }.body(), b"raw");
}

#[test]
fn e25_a_part_of_a_body_is_not_decoded() {
    let mut response = encoded("gzip").status(206).deliver().chunk("part").end();
    assert_eq!((response.delivery.is_decoded(), response.body()), (false, b"part".to_vec()));
}

#[test]
fn e8_what_was_decoded_comes_before_the_failure() {
    let body = noise(100_000);
    let coded = gzip(&body);
    let (read, error) = encoded("gzip").deliver().chunk(coded[..coded.len() - 1].to_vec()).end().failure();
    assert_eq!((read, error.kind()), (body, Kind::Undecodable));
}

/// Once such a body ended well when its last bytes and its end came before a read: they gave no output, and the end was not judged.
#[test]
fn e8_a_body_that_ends_early_fails_though_its_last_bytes_gave_nothing() {
    let coded = gzip(b"hello");
    let mut response = encoded("gzip").deliver().chunk(coded[..10].to_vec()).end();
    let now = response.now;
    assert!(matches!(response.delivery.read(9, now), Read::Fail(_)));
}

#[test]
fn e9_a_checksum_that_is_wrong_fails_after_the_body() {
    let mut coded = gzip(b"hello");
    let checksum = coded.len() - 8;
    coded[checksum] ^= 1;
    let mut response = encoded("gzip").deliver().chunk(coded);
    let (read, error) = response.failure();
    assert_eq!((read, error.kind()), (b"hello".to_vec(), Kind::Undecodable));
    assert!(response.delivery.is_ended());
    assert_eq!(response.chunk("more").end().failure(), (vec![], error));
}

#[test]
fn a_cut_of_an_encoded_body_is_a_cut() {
    let coded = gzip(&noise(1_000));
    let (_, error) = encoded("gzip").deliver().chunk(coded[..500].to_vec()).cut().failure();
    assert_eq!(error.kind(), Kind::Interrupted);
}

#[test]
fn b1_the_length_of_an_encoded_body_is_that_of_its_encoded_bytes() {
    let coded = gzip(b"hello");
    let length = coded.len().to_string();
    let fields = [("Content-Encoding", "gzip"), ("Content-Length", length.as_str())];
    assert_eq!(answer(&fields).deliver().chunk(coded.clone()).end().body(), b"hello");
    let (_, error) = answer(&fields).deliver().chunk(coded[..20].to_vec()).end().failure();
    assert_eq!((error.cause.expected(), error.cause.received()), (Some(coded.len() as u64), Some(20)));
}

/// Once the failure to decode took the place of the limit that was passed before it.
#[test]
fn a_limit_passed_before_the_encoding_fails_is_what_the_reader_hears() {
    let mut coded = gzip(b"hello");
    let checksum = coded.len() - 8;
    coded[checksum] ^= 1;
    let (read, error) = encoded("gzip").terms(|terms| terms.max_body = Some(4)).deliver().chunk(coded).failure();
    assert_eq!((read, error.cause), (b"hell".to_vec(), too_large(SizeLimit::Body(4))));
}

// --- deadlines ---

#[test]
fn t3_only_a_reader_who_waits_is_held_to_the_pause_between_bytes() {
    let mut response = answer(&[]).deliver();
    assert_eq!(response.delivery.deadline(), None);
    response.now = at(seconds(100));
    assert_eq!(response.read(1), Read::Wait);
    let deadline = response.delivery.deadline().unwrap();
    assert_eq!((deadline.at, deadline.phase), (at(seconds(160)).mono, Phase::BetweenBytes));
    // Asking again does not prolong it, a piece does.
    response.now = at(seconds(150));
    assert_eq!(response.read(1), Read::Wait);
    assert_eq!(response.delivery.deadline(), Some(deadline));
    let response = response.chunk("x");
    assert_eq!(response.delivery.deadline(), None);
}

#[test]
fn t3_a_stalled_body_fails_after_what_came() {
    let mut response = answer(&[]).deliver().chunk("hi");
    response.now = at(seconds(60));
    let (read, error) = response.on(Part::Expired).failure();
    assert_eq!((read, error.elapsed), (b"hi".to_vec(), seconds(60)));
    assert_eq!(error.cause, Cause::TimedOut { phase: Phase::BetweenBytes, limit: Some(seconds(60)) });
}

#[test]
fn t4_the_total_limit_cuts_a_body_that_drips() {
    let mut response = answer(&[]).limits(Timeouts::default().with_total(Some(seconds(5)))).deliver();
    assert_eq!(response.delivery.deadline().unwrap().phase, Phase::Total);
    response.now = at(millis(4_999));
    response = response.chunk("a");
    assert_eq!(response.read(9), Read::Bytes(Bytes::from_static(b"a")));
    response.now = at(seconds(5));
    let (read, error) = response.chunk("b").failure();
    assert_eq!(read, b"b");
    assert_eq!(error.cause, Cause::TimedOut { phase: Phase::Total, limit: Some(seconds(5)) });
}

#[test]
fn a_body_that_is_there_outlives_the_total_limit() {
    let mut response = answer(&[]).limits(Timeouts::default().with_total(Some(seconds(5)))).deliver();
    response = response.chunk("hello").end();
    response.now = at(seconds(100));
    assert_eq!((response.delivery.deadline(), response.body()), (None, b"hello".to_vec()));
}

// --- any cut of any body ---

/// All that a reader gets who reads up to so many bytes at a time.
fn read_by(mut response: Response, max: usize, chunks: &[&[u8]]) -> (Vec<u8>, Read) {
    let mut bytes = Vec::new();
    for chunk in chunks {
        response = response.chunk(chunk.to_vec());
        while let Read::Bytes(more) = response.read(max) {
            assert!(!more.is_empty() && more.len() <= max);
            bytes.extend_from_slice(&more);
        }
    }
    response = response.on(Part::End(Headers::new()));
    loop {
        match response.read(max) {
            Read::Bytes(more) => bytes.extend_from_slice(&more),
            end => return (bytes, end),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_is_the_same_however_it_is_cut_and_read(
        body in prop::collection::vec(0_u8..4, 0..2_000),
        codings in prop::sample::select(vec!["", "gzip", "deflate", "br", "gzip, br", "br, deflate"]),
        size in 1_usize..300,
        max in 1_usize..300,
    ) {
        let mut coded = body.clone();
        for coding in codings.split(", ") {
            coded = match coding {
                "gzip" => gzip(&coded),
                "deflate" => zlib(&coded),
                "br" => brotli(&coded),
                _ => coded,
            };
        }
        let length = coded.len().to_string();
        let fields = [("Content-Encoding", codings), ("Content-Length", length.as_str())];
        let chunks: Vec<&[u8]> = coded.chunks(size).collect();
        let (read, end) = read_by(answer(&fields).deliver(), max, &chunks);
        prop_assert_eq!((read, end), (body, Read::End));
    }

    /// Nothing that a server sends goes past the limit, and a failure stays.
    #[test]
    fn no_body_gets_past_its_limit(
        body in prop::collection::vec(any::<u8>(), 0..500),
        codings in prop::sample::select(vec!["", "gzip", "deflate", "br", "zstd", "gzip, br"]),
        length in prop::option::of(0_u64..500),
        limit in 0_u64..400,
        size in 1_usize..100,
    ) {
        let length = length.map(|length| length.to_string());
        let mut fields = vec![("Content-Encoding", codings)];
        fields.extend(length.as_deref().map(|length| ("Content-Length", length)));
        let mut response = answer(&fields).terms(|terms| terms.max_body = Some(limit)).deliver();
        for chunk in body.chunks(size) {
            response = response.chunk(chunk.to_vec());
        }
        let mut response = response.end();
        let (read, end) = response.drain();
        prop_assert!(read.len() as u64 <= limit);
        prop_assert!(response.delivery.is_ended() && end != Read::Wait);
        prop_assert_eq!(response.drain(), (vec![], end));
    }
}

// --- bytes that decode to nothing ---

/// How a body of these pieces, sent again and again, ends, and after how many bytes.
fn without_end(coding: &str, start: &[u8], piece: &[u8]) -> (u64, Option<Error>) {
    let mut response = encoded(coding).deliver().chunk(start.to_vec());
    let mut sent = 0;
    while sent < 4 * BARREN {
        response = response.chunk(piece.to_vec());
        sent += piece.len() as u64;
        if let (_, Read::Fail(error)) = response.drain() {
            return (sent, Some(error));
        }
    }
    (sent, None)
}

/// Once a server could send such bytes for good: no limit counted them.
#[test]
fn a_body_that_decodes_to_nothing_ends_in_a_failure() {
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 0xf8, 0xff, 0, 0][..], &[0; 0xfff8]].concat();
    let empty = gzip(b"").repeat(1000);
    let after = vec![b'x'; 10_000];
    for (coding, start, piece) in [
        ("zstd", &[][..], &skipped),
        ("gzip", &[], &empty),
        ("gzip", &gzip(b"hello"), &after),
        ("br", &brotli(b"hi"), &after),
    ] {
        let (sent, error) = without_end(coding, start, piece);
        let error = error.expect("it fails");
        assert_eq!(error.kind(), Kind::Undecodable);
        assert!(error.to_string().contains("decode to nothing"), "{error}");
        assert!((BARREN..=BARREN + 100_000).contains(&sent), "{coding}: {sent}");
    }
}

#[test]
fn a_body_of_many_small_members_is_read() {
    let members = gzip(b"x").repeat(1000);
    assert_eq!(without_end("gzip", b"", &members).1, None);
}
