//! The body of a request on its way out, once or again.

use bytes::Bytes;
use proptest::prelude::*;
use urlpool_core::Invalid;
use urlpool_core::request::{Body, Piece};
use urlpool_core::upload::{REPLAY, Upload, Want};

fn bytes(text: &'static str) -> Piece {
    Piece::Bytes(Bytes::from_static(text.as_bytes()))
}

fn stream(index: usize, length: Option<u64>) -> Piece {
    Piece::Stream { index, length }
}

fn upload(pieces: Vec<Piece>) -> Upload {
    Upload::new(Body::new(pieces))
}

/// Writes all that streams of these contents give, in pieces of `step` bytes.
fn send(upload: &mut Upload, sources: &mut [&[u8]], step: usize) -> Result<Vec<u8>, Invalid> {
    let mut written = Vec::new();
    loop {
        match upload.want(step) {
            Want::Write(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() <= step);
                written.extend_from_slice(&bytes);
            }
            Want::Read { stream, .. } if sources[stream].is_empty() => upload.end(stream)?,
            Want::Read { stream, at_most } => {
                let most = usize::try_from(at_most).expect("a small number").min(step);
                let (now, later) = sources[stream].split_at(most.min(sources[stream].len()));
                sources[stream] = later;
                upload.supply(stream, Bytes::copy_from_slice(now))?;
            }
            Want::Done => return Ok(written),
        }
    }
}

#[test]
fn no_body_is_done_at_once() {
    let mut upload = Upload::new(Body::default());
    assert!(upload.is_empty() && upload.is_handed_over_at_once());
    assert_eq!((upload.length(), upload.want(10)), (Some(0), Want::Done));
}

#[test]
fn bytes_are_written_as_there_is_room() {
    let mut upload = upload(vec![bytes("hello")]);
    assert_eq!(upload.want(3), Want::Write(Bytes::from_static(b"hel")));
    assert_eq!(upload.want(3), Want::Write(Bytes::from_static(b"lo")));
    assert_eq!(upload.want(3), Want::Done);
}

#[test]
fn a_body_of_no_bytes_is_a_body_all_the_same() {
    let mut upload = upload(vec![bytes("")]);
    assert!(!upload.is_empty());
    assert_eq!((upload.length(), upload.want(3)), (Some(0), Want::Done));
}

#[test]
fn pieces_are_written_in_order() {
    let mut upload = upload(vec![bytes("<"), stream(0, None), bytes("|"), stream(1, Some(3)), bytes(">")]);
    assert_eq!(send(&mut upload, &mut [b"one", b"two"], 2), Ok(b"<one|two>".to_vec()));
}

#[test]
fn a_body_of_which_a_stream_has_no_length_has_none() {
    assert_eq!(upload(vec![bytes("ab"), stream(0, Some(3))]).length(), Some(5));
    assert_eq!(upload(vec![bytes("ab"), stream(0, None)]).length(), None);
}

/// Once the sum overflowed when bytes came after a stream of the greatest length.
#[test]
fn lengths_that_do_not_fit_are_the_greatest_there_is() {
    let upload = upload(vec![bytes("ab"), stream(0, Some(u64::MAX)), bytes("ab")]);
    assert_eq!(upload.length(), Some(u64::MAX));
}

#[test]
fn only_a_small_body_in_memory_is_handed_over_at_once() {
    let small = Piece::Bytes(Bytes::from(vec![0; 64 * 1024]));
    let large = Piece::Bytes(Bytes::from(vec![0; 64 * 1024 + 1]));
    assert!(upload(vec![small]).is_handed_over_at_once());
    assert!(!upload(vec![large]).is_handed_over_at_once());
    assert!(!upload(vec![stream(0, Some(1))]).is_handed_over_at_once());
}

#[test]
fn a_stream_of_a_declared_length_is_not_read_after_it() {
    let mut upload = upload(vec![stream(0, Some(3))]);
    assert_eq!(upload.want(9), Want::Read { stream: 0, at_most: 4 });
    upload.supply(0, Bytes::from_static(b"abc")).unwrap();
    assert_eq!(upload.want(9), Want::Write(Bytes::from_static(b"abc")));
    assert_eq!(upload.want(9), Want::Done);
}

#[test]
fn a_stream_of_the_declared_length_zero_is_not_read() {
    assert_eq!(upload(vec![stream(0, Some(0))]).want(9), Want::Done);
}

#[test]
fn h12_a_stream_that_ends_before_its_declared_length_is_refused() {
    let early = send(&mut upload(vec![stream(0, Some(5))]), &mut [b"abc"], 9);
    assert_eq!(early, Err(Invalid::BodyLength { declared: 5, came: 3 }));
}

#[test]
fn h12_a_stream_that_goes_on_after_its_declared_length_is_refused() {
    let late = send(&mut upload(vec![stream(0, Some(2))]), &mut [b"abc"], 9);
    assert_eq!(late, Err(Invalid::BodyLength { declared: 2, came: 3 }));
}

#[test]
fn a_stream_is_read_in_pieces() {
    assert_eq!(upload(vec![stream(0, None)]).want(usize::MAX), Want::Read { stream: 0, at_most: 256 * 1024 });
    let endless = upload(vec![stream(0, Some(u64::MAX))]).want(usize::MAX);
    assert_eq!(endless, Want::Read { stream: 0, at_most: 256 * 1024 });
}

#[test]
fn a_rewound_body_is_written_from_its_start() {
    let mut upload = upload(vec![bytes("<"), stream(0, None), bytes(">")]);
    let sent = send(&mut upload, &mut [b"hello"], 2);
    upload.rewind();
    assert_eq!(send(&mut upload, &mut [b""], 3), sent);
}

#[test]
fn r28_a_stream_rewound_in_its_middle_goes_on_where_it_was_read() {
    let mut upload = upload(vec![stream(0, Some(6))]);
    upload.supply(0, Bytes::from_static(b"ab")).unwrap();
    upload.supply(0, Bytes::from_static(b"cd")).unwrap();
    assert_eq!(upload.want(1), Want::Write(Bytes::from_static(b"a")));
    upload.rewind();
    assert_eq!(send(&mut upload, &mut [b"ef"], 4), Ok(b"abcdef".to_vec()));
}

#[test]
fn r31_streams_are_kept_up_to_the_replay_buffer_together() {
    let half = vec![7; REPLAY / 2];
    let mut upload = upload(vec![stream(0, None), stream(1, None)]);
    upload.supply(0, Bytes::from(half.clone())).unwrap();
    upload.supply(1, Bytes::from(half)).unwrap();
    assert!(upload.replayable());
    upload.supply(1, Bytes::from_static(b"!")).unwrap();
    assert!(!upload.replayable());
}

#[test]
fn r28_as_much_as_the_replay_buffer_holds_is_sent_again() {
    let content: Vec<u8> = (0..REPLAY).map(|index| (index % 251) as u8).collect();
    let mut upload = upload(vec![stream(0, None)]);
    let sent = send(&mut upload, &mut [&content], 60_000).unwrap();
    upload.rewind();
    assert!(sent == content && send(&mut upload, &mut [b""], 60_000).unwrap() == content);
}

#[test]
fn what_is_in_memory_does_not_count_towards_the_replay_buffer() {
    let mut upload = upload(vec![Piece::Bytes(Bytes::from(vec![7; 2 * REPLAY])), stream(0, None)]);
    send(&mut upload, &mut [b"hello"], 1024 * 1024).unwrap();
    assert!(upload.replayable());
}

#[test]
fn a_stream_beyond_the_replay_buffer_is_sent_whole_once() {
    let content: Vec<u8> = (0..REPLAY + 100_000).map(|index| (index % 251) as u8).collect();
    let mut upload = upload(vec![stream(0, None)]);
    assert_eq!(send(&mut upload, &mut [&content], 60_000).unwrap(), content);
    assert!(!upload.replayable());
}

#[test]
fn what_passed_by_counts_as_written_and_cannot_be_sent_again() {
    let mut upload = upload(vec![bytes("<"), stream(0, Some(9)), bytes(">")]);
    assert_eq!(upload.want(9), Want::Write(Bytes::from_static(b"<")));
    upload.supply(0, Bytes::from_static(b"ab")).expect("less than declared");
    assert_eq!(upload.want(9), Want::Write(Bytes::from_static(b"ab")));
    assert!(upload.replayable());
    upload.passed(0, 6).expect("less than declared");
    assert!(!upload.replayable());
    assert_eq!(upload.want(9), Want::Read { stream: 0, at_most: 2 });
    upload.supply(0, Bytes::from_static(b"i")).expect("as declared");
    assert_eq!(upload.want(9), Want::Write(Bytes::from_static(b"i")));
    assert_eq!(upload.want(9), Want::Write(Bytes::from_static(b">")));
    assert_eq!(upload.want(9), Want::Done);
}

#[test]
fn h12_more_that_passed_by_than_was_declared_is_refused() {
    let mut upload = upload(vec![stream(0, Some(3))]);
    assert_eq!(upload.want(9), Want::Read { stream: 0, at_most: 4 });
    assert_eq!(upload.passed(0, 4), Err(Invalid::BodyLength { declared: 3, came: 4 }));
}

#[test]
fn a_discarded_body_is_no_body() {
    let mut upload = upload(vec![stream(0, None)]);
    upload.supply(0, Bytes::from(vec![7; REPLAY + 1])).unwrap();
    upload.discard();
    assert!(upload.is_empty() && upload.replayable());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// However it is cut and wherever it is rewound, what is sent last is the body.
    #[test]
    fn a_body_is_the_same_after_any_rewind(
        first in prop::collection::vec(any::<u8>(), 0..40),
        second in prop::collection::vec(any::<u8>(), 0..40),
        declared in any::<bool>(),
        steps in prop::collection::vec(1_usize..20, 1..6),
        stops in prop::collection::vec(0_usize..12, 0..4),
    ) {
        let length = declared.then_some(first.len() as u64);
        let mut upload = upload(vec![bytes("<"), stream(0, length), bytes("|"), stream(1, None), bytes(">")]);
        let mut sources = [first.as_slice(), second.as_slice()];
        for (stop, step) in stops.into_iter().zip(steps.iter().cycle()) {
            for _ in 0..stop {
                match upload.want(*step) {
                    Want::Write(_) => {}
                    Want::Read { stream, at_most } => {
                        let most = (*step).min(at_most as usize).min(sources[stream].len());
                        let (now, later) = sources[stream].split_at(most);
                        sources[stream] = later;
                        match now {
                            b"" => upload.end(stream).unwrap(),
                            now => upload.supply(stream, Bytes::copy_from_slice(now)).unwrap(),
                        }
                    }
                    Want::Done => break,
                }
            }
            upload.rewind();
        }
        let expected = [b"<", first.as_slice(), b"|", &second, b">"].concat();
        prop_assert_eq!(send(&mut upload, &mut sources, steps[0]).unwrap(), expected);
    }
}

/// What is kept lies in segments; a piece that is read again goes no further than to the end of one, and all of them are the whole.
#[test]
fn a_stream_is_read_again_whole_over_many_segments() {
    let content: Vec<u8> = (0..700_000_u32).map(|nth| nth.to_le_bytes()[nth as usize % 3]).collect();
    let mut upload = Upload::new(Body::new(vec![Piece::Stream { index: 0, length: None }]));
    let mut given = content.chunks(99_991);
    for _ in 0..2 {
        let mut sent = Vec::new();
        loop {
            match upload.want(50_000) {
                Want::Write(bytes) => sent.extend_from_slice(&bytes),
                Want::Read { stream, .. } => match given.next() {
                    Some(piece) => upload.supply(stream, Bytes::copy_from_slice(piece)).unwrap(),
                    None => upload.end(stream).unwrap(),
                },
                Want::Done => break,
            }
        }
        assert!(sent == content, "{} bytes", sent.len());
        upload.rewind();
    }
}
