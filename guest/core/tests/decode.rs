//! Undoing `Content-Encoding`, with every coding built in.
//!
//! Longer than 400 lines: each coding has its facts, and the lists of them.
#![cfg(all(feature = "gzip", feature = "deflate", feature = "br", feature = "zstd"))]

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use urlpool_core::Headers;
use urlpool_core::decode::{Coding, Codings, DecodeError, Decoder, accept_encoding, codings};

// --- which codings ---

#[test]
fn a_response_without_content_encoding_is_not_decoded() {
    assert_eq!(codings(&Headers::new()), Codings::None);
}

#[test]
fn e14_identity_is_no_coding() {
    assert_eq!(named(&["identity", ""]), Codings::None);
    assert_eq!(named(&["identity, gzip"]), Codings::Decode(vec![Coding::Gzip]));
}

#[test]
fn e16_names_count_in_any_case_and_x_gzip_is_gzip() {
    assert_eq!(named(&["GZIP"]), Codings::Decode(vec![Coding::Gzip]));
    assert_eq!(named(&["x-gzip"]), Codings::Decode(vec![Coding::Gzip]));
    assert_eq!(named(&["Br , ZSTD"]), Codings::Decode(vec![Coding::Br, Coding::Zstd]));
}

#[test]
fn e12_a_list_may_go_on_in_a_second_field() {
    assert_eq!(named(&["deflate", "gzip"]), Codings::Decode(vec![Coding::Deflate, Coding::Gzip]));
}

#[test]
fn e13_six_codings_are_too_many() {
    assert_eq!(named(&["gzip,gzip,gzip", "gzip,gzip"]), Codings::Decode(vec![Coding::Gzip; 5]));
    assert_eq!(named(&["gzip,gzip,gzip", "gzip,gzip,br"]), Codings::TooMany);
}

#[test]
fn e15_an_unknown_coding_passes_the_body_through() {
    assert_eq!(named(&["compress"]), Codings::Passthrough);
    assert_eq!(named(&["gzip, aws-chunked"]), Codings::Passthrough);
}

#[test]
fn what_is_built_in_is_asked_for() {
    assert_eq!(accept_encoding(), Some("gzip, deflate, br, zstd"));
}

// --- what they decode to ---

#[test]
fn e1_to_e5_each_coding_is_undone() {
    for (coding, encoded) in samples() {
        assert_eq!(decode(&[coding], &encoded), Ok(text()), "{coding:?}");
    }
}

#[test]
fn e17_an_empty_body_is_empty_in_every_coding() {
    for coding in ALL {
        assert_eq!(decode(&[coding], b""), Ok(Vec::new()), "{coding:?}");
        assert_eq!(decode(&[coding, Coding::Gzip], b""), Ok(Vec::new()), "{coding:?}");
    }
    assert_eq!(decode(&[Coding::Gzip], &gzip(b"")), Ok(Vec::new()));
}

#[test]
fn e11_codings_are_undone_from_the_last_to_the_first() {
    let body = gzip(&zlib(&brotli(b"hello")));
    assert_eq!(decode(&[Coding::Br, Coding::Deflate, Coding::Gzip], &body), Ok(b"hello".to_vec()));
    assert!(decode(&[Coding::Gzip, Coding::Deflate, Coding::Br], &body).is_err());
}

#[test]
fn e6_every_member_and_every_frame_counts() {
    let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(decode(&[Coding::Gzip], &members), Ok(b"one two".to_vec()));
    // A frame to skip, of three bytes, between two frames.
    let frames = [hex(HELLO), hex("502a4d1803000000ffffff"), hex(EMPTY), hex(HELLO)].concat();
    assert_eq!(decode(&[Coding::Zstd], &frames), Ok(b"hellohello".to_vec()));
}

#[test]
fn e7_what_follows_the_end_is_ignored() {
    for (coding, encoded) in samples() {
        for tail in [&b"\0"[..], b"\0\0\0\0\0\0", b"garbage", b"\x1f"] {
            let body = [&encoded, tail].concat();
            for cut in [1, body.len()] {
                assert_eq!(run(&[coding], &body, cut, 1 << 20), Ok(text()), "{coding:?} {tail:?}");
            }
        }
    }
}

#[test]
fn e8_a_body_that_ends_early_is_an_error_wherever_it_ends() {
    for (coding, encoded) in samples() {
        for end in 1..encoded.len() {
            let error = decode(&[coding], &encoded[..end]).expect_err("it is cut");
            assert_eq!((error.coding, error.reason.as_str()), (coding.name(), "ends too early"), "{end}");
        }
    }
}

#[test]
fn a_second_member_that_ends_early_is_an_error() {
    let members = [gzip(b"one"), gzip(b"two")].concat();
    assert!(decode(&[Coding::Gzip], &members[..members.len() - 1]).is_err());
}

#[test]
fn e9_wrong_checksums_and_lengths_are_errors() {
    let sums = [(Coding::Gzip, gzip(b"hello"), 8), (Coding::Deflate, zlib(b"hello"), 4), (Coding::Zstd, hex(HELLO), 4)];
    for (coding, body, sums) in sums {
        for index in body.len() - sums..body.len() {
            let mut body = body.clone();
            body[index] ^= 1;
            assert!(decode(&[coding], &body).is_err(), "{coding:?} {index}");
        }
    }
}

#[test]
fn e10_a_body_of_another_kind_is_an_error_that_names_the_coding() {
    for coding in ALL {
        let error = decode(&[coding], b"<html>not encoded at all</html>").expect_err("it is no coding");
        assert_eq!(error.coding, coding.name());
        assert!(error.to_string().starts_with(coding.name()));
    }
}

#[test]
fn every_part_of_a_gzip_header_is_read() {
    let plain = gzip(b"hello");
    let deflated = &plain[10..];
    let mut head = vec![0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 1, 2, 3, 4, 0, 3];
    head.extend(b"\x03\0ext");
    head.extend(b"name\0comment\0");
    let mut crc = flate2::Crc::new();
    crc.update(&head);
    head.extend((crc.sum() as u16).to_le_bytes());
    assert_eq!(decode(&[Coding::Gzip], &[&head, deflated].concat()), Ok(b"hello".to_vec()));

    let last = head.len() - 1;
    head[last] ^= 1;
    assert!(decode(&[Coding::Gzip], &[&head, deflated].concat()).is_err(), "the checksum of the header is wrong");
    let empty_extra = [&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0, 0, 0][..], deflated].concat();
    assert_eq!(decode(&[Coding::Gzip], &empty_extra), Ok(b"hello".to_vec()));
    let reserved = [&[0x1f, 0x8b, 8, 32, 0, 0, 0, 0, 0, 0][..], deflated].concat();
    assert!(decode(&[Coding::Gzip], &reserved).is_err());
}

#[test]
fn a_zstd_frame_is_put_out_block_by_block() {
    let mut decoder = Decoder::new(&[Coding::Zstd]);
    let mut out = Vec::new();
    // A frame with a window of 8 MiB, and one raw block which is not the last.
    let start = hex("28b52ffd0068").into_iter().chain([0x28, 0, 0]).chain(*b"hello").collect::<Vec<_>>();
    decoder.push(&start, &mut out, 100).expect("it is zstd");
    assert_eq!(out, b"hello");
    assert!(decoder.finish().is_err());
}

#[test]
fn a_zstd_window_of_more_than_8_mib_is_refused() {
    let error = decode(&[Coding::Zstd], &hex("28b52ffd007009000078")).expect_err("its window has 16 MiB");
    assert_eq!(error.reason, "needs a window of more than 8 MiB");
}

#[test]
fn zstd_of_another_encoder_and_of_many_blocks_is_undone() {
    let long = text().repeat(100);
    let encoded = ruzstd::encoding::compress_to_vec(&*long, ruzstd::encoding::CompressionLevel::Fastest);
    assert!(decode(&[Coding::Zstd], &encoded) == Ok(long));
    assert_eq!(decode(&[Coding::Zstd], &hex(REPEATED)), Ok(vec![b'a'; 300_000]));
    assert_eq!(decode(&[Coding::Zstd], &hex(FAST)), Ok(text()));
}

#[test]
fn e21_a_bomb_is_put_out_in_pieces_of_the_room_there_is() {
    const SIZE: usize = 4 << 20;
    let mut bombs = vec![
        (Coding::Gzip, gzip(&vec![0; SIZE])),
        (Coding::Deflate, zlib(&vec![0; SIZE])),
        (Coding::Br, brotli(&vec![0; SIZE])),
    ];
    // Blocks of 128 KiB that each repeat one byte.
    let mut frame = hex("28b52ffd0068");
    for left in (0..SIZE / (128 << 10)).rev() {
        frame.extend(((128_u32 << 10) << 3 | 2 | u32::from(left == 0)).to_le_bytes()[..3].iter());
        frame.push(0);
    }
    bombs.push((Coding::Zstd, frame));
    for (coding, bomb) in bombs {
        let (mut decoder, mut input, mut total) = (Decoder::new(&[coding]), &*bomb, 0);
        while !input.is_empty() {
            let mut out = Vec::new();
            let progress = decoder.push(input, &mut out, 10_000).expect("it is well formed");
            assert!(out.len() <= 10_000, "{coding:?}");
            input = &input[progress.consumed..];
            total += out.len();
        }
        assert_eq!(decoder.finish(), Ok(()), "{coding:?}");
        assert_eq!(total, SIZE, "{coding:?}");
    }
}

#[test]
fn nothing_is_held_back_once_all_input_is_consumed() {
    for (coding, encoded) in samples() {
        let (mut decoder, mut out) = (Decoder::new(&[coding]), Vec::new());
        let progress = decoder.push(&encoded, &mut out, 1).expect("it is well formed");
        assert!(progress.consumed < encoded.len(), "{coding:?}");
        assert_eq!(out.len(), 1, "{coding:?}");
    }
}

/// Before, a reader of pieces that do not divide the window of deflate was told that a body is cut when a window ended within what
/// the last bytes encode. Since then these are decoded to their end.
#[test]
fn a_body_may_end_soon_after_a_window_did() {
    for size in (1..4).flat_map(|windows| (0..1500).step_by(10).map(move |more| windows * 32_768 + more)) {
        let plain = vec![0; size];
        for (coding, body) in
            [(Coding::Deflate, raw_deflate(&plain)), (Coding::Deflate, zlib(&plain)), (Coding::Gzip, gzip(&plain))]
        {
            let decoded = run(&[coding], &body, body.len(), 10_000);
            assert!(decoded.as_ref() == Ok(&plain), "{coding:?} {size}: {:?}", decoded.err());
        }
    }
}

/// Before, what a server had flushed of a body in br was held back by a reader of small pieces until the next bytes came. Since
/// then it is put out at once.
#[test]
fn what_was_flushed_is_put_out_however_little_room_there_is() {
    let mut flushed = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut flushed, 4096, 5, 20);
    writer.write_all(&text()).and_then(|()| writer.flush()).expect("memory takes it");
    let begun = writer.get_ref().len();
    drop(writer);
    for room in [1, 7, 100] {
        let (mut decoder, mut input, mut out) = (Decoder::new(&[Coding::Br]), &flushed[..begun], Vec::new());
        while !input.is_empty() {
            let progress = decoder.push(input, &mut out, room).expect("it is well formed");
            input = &input[progress.consumed..];
        }
        assert_eq!(out, text(), "{room}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_output_does_not_depend_on_how_the_input_is_cut(
        plain in proptest::collection::vec(0_u8..4, 0..3000),
        first in 0..4_usize,
        second in proptest::option::of(0..4_usize),
        cut in 1..200_usize,
        room in 1..300_usize,
    ) {
        let applied: Vec<_> = [Some(first), second].into_iter().flatten().map(|index| ALL[index]).collect();
        let body = applied.iter().fold(plain.clone(), |body, &coding| encode(coding, &body));
        prop_assert_eq!(run(&applied, &body, cut, room), Ok(plain));
    }

    #[test]
    fn random_bytes_end_in_an_error_or_a_body_and_never_in_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        coding in 0..4_usize,
        cut in 1..50_usize,
    ) {
        let coding = ALL[coding];
        // The start of each coding leads past its first check.
        for start in [&b""[..], b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x78\x9c", &hex("28b52ffd0048")] {
            let body = [start, &bytes].concat();
            let whole = run(&[coding], &body, body.len().max(1), 1 << 16);
            let pieces = run(&[coding], &body, cut, 1000);
            prop_assert_eq!(whole.map_err(|error| error.coding), pieces.map_err(|error| error.coding));
        }
    }

    #[test]
    fn a_damaged_body_never_panics(
        damage in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
        sample in 0..7_usize,
    ) {
        let (coding, mut body) = samples().swap_remove(sample);
        for (place, byte) in damage {
            let place = usize::from(place) % body.len();
            body[place] = byte;
        }
        let _ = run(&[coding], &body, 100, 1000);
    }
}

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Br, Coding::Zstd];

fn named(values: &[&str]) -> Codings {
    let mut headers = Headers::new();
    for value in values {
        headers.append_received("Content-Encoding", *value);
    }
    codings(&headers)
}

fn decode(applied: &[Coding], body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    run(applied, body, body.len().max(1), 16 << 20)
}

/// Decodes a body that comes in pieces of this size into pieces of this size.
fn run(applied: &[Coding], body: &[u8], cut: usize, room: usize) -> Result<Vec<u8>, DecodeError> {
    let (mut decoder, mut out) = (Decoder::new(applied), Vec::new());
    for mut piece in body.chunks(cut) {
        while !piece.is_empty() {
            let before = out.len();
            let progress = decoder.push(piece, &mut out, room)?;
            assert!(out.len() - before <= room, "no more than there is room for");
            assert!(progress.consumed > 0 || out.len() > before, "each push gets on");
            piece = &piece[progress.consumed..];
        }
    }
    decoder.finish().map(|()| out)
}

/// What each coding makes of [`text`].
fn samples() -> Vec<(Coding, Vec<u8>)> {
    vec![
        (Coding::Gzip, gzip(&text())),
        (Coding::Deflate, zlib(&text())),
        (Coding::Deflate, raw_deflate(&text())),
        (Coding::Br, brotli(&text())),
        (Coding::Zstd, hex(SMALL)),
        (Coding::Zstd, hex(FAST)),
        (Coding::Zstd, encode(Coding::Zstd, &text())),
    ]
}

fn encode(coding: Coding, plain: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => gzip(plain),
        Coding::Deflate => zlib(plain),
        Coding::Br => brotli(plain),
        Coding::Zstd => ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest),
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    // A quality of 5 is quick even without optimisation.
    brotli::CompressorWriter::new(&mut encoded, 4096, 5, 20).write_all(plain).expect("memory takes it");
    encoded
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("it is hex")).collect()
}

fn text() -> Vec<u8> {
    (0..120_u32)
        .map(|i| format!("line {i} of a text that repeats itself, {} times over\n", i * i))
        .collect::<String>()
        .into()
}

/// What `zstd` makes of `hello`, of nothing, and of 300000 times the letter a.
const HELLO: &str = "28b52ffd045829000068656c6c6fa36d9f88";
const EMPTY: &str = "28b52ffd240001000099e9d851";
const REPEATED: &str = "28b52ffd04585400001061610100fbff39c00202001061039f04618d5f04a6";

/// What `zstd -1` makes of [`text`].
const FAST: &str = "28b52ffd04488d0f00d61d42188029690388fdc33f46281d83263122376ddaa946bf71ac604a00350037005473ed5acacfb963674565e9e7fbd8ad90b4f3ed5c\
    9f53e9f48d4b0ee2e05000a04030208c05c2e0500c19010305c44271180b85009140288c4280a0184503510c8131803064100787821efa0cb943c3a1215e49ac\
    24559297a824ae656a694dd652cfd9e6aa4f5f4c37b619d694431ad2239c11ce6f6e6cb56aabf5be456d76b4eb95b9ca4e6537652d232933bbb56ea79b6feecb\
    e4d5a3aaa23a5599aa4365a4b2509debe5f7bed9a7f1eb9ff8bfb96dde9a7f6e01a7d91bda87e4618777e5ab34959d92a591c2934293c29242526842e18542b7\
    42a108856277f23bf11d7b27776376bedd6d670d80eea8217cd1f7ff0d703392546312f8110434842e42087e94db0780fab99c79d71dca9dbb1b53f720bb3224\
    3dbf4ad7eff0a8172eeba8572ce3a8972adba8ba469146dbe2b78ccd556f189be5281fa8932cfc2bec2ab09db9e9ab83cecff5d5d1bee77e722cdb113f79d2ed\
    b8fe0edaef6abf86f63395d343db9bcaef87efdd7cbbc3d38eebefa0fdaef66bc8cf3a05519c7d8c66b54111baf3d958c36cac8c840359a1f1fce098922e79cb\
    0a8df864afd6249fd7d359eb7bbdfc4007b4bcfd4dbf3906e382890b4135f6c68e05160a3c021b9b9b737f35e7feadae99ffc5908137d21674154fdffbe1";

/// What `zstd -19 --no-check` makes of [`text`].
const SMALL: &str = "28b52ffd0068351000d6ac5a18b027cb01edacb1b5c5dcd8f1c34ca59449269926cb25e94a66004d0050005b2d68aa9a865a9de9e7aff4d28fb855899adcd266\
    37af7c14dd20167578e929adf045b3cea0cd9225b97124954fe5795c2aa72b5c12c0010382028504c380834361850006088684c34121e1506030603850381408\
    38140e090c874241c1a040610503810384f6eb15719ba29de0b7c74e7294f81124e5c604e3225d889c554b8d1ae24d2b2f65934e38b7ec45c9b576c8ded255fc\
    28da6562d81f964e7a3b675658619b14f5e05459885282748c1163832f46f592aea41e44aef229ca37954aac8db4626b8aec19a2bacc54cc49da11ba6c4c45f4\
    2077decb499b3fa2fb1ad34e532d9919f9482f321f8ba71a1263a2d413ce56def0e3ba7bd38bec91f02fade5af053ccd22dd0a1259f4e09017074f4a1b14f255\
    a5c9fa9441da529664a324b9b11c4922b246ff248d6593333e4a7e948e94f1a4d163ed638c9ec78e5c478e1b37725455de8baae61a3680efa8117068cfb9ff1d\
    e0355a031124042b04b3054cf8fd01790409692c24e4a890906321428e850439161262f2bd5891b02f33121dfe6fcd6ee6bfd9b6e3fb5bdb4df96f9b9bfb6fda\
    6ee67edbb6c3ff5bb39bf96fb6edf8fed6defaefd6ec66fe9b6d3bbebfb59d5b4cf71e7133d26f46d99bc1777446a44d456e84b449c48d482b89dc08a1bc856f\
    80f00d79e1967f812de0dd1a0bec2a";
