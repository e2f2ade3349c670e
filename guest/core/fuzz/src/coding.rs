//! The decoder of each coding: the same output however its input is cut, and the one that another decoder gives.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use urlpool_core::Entropy;
use urlpool_core::decode::{Coding, Decoder};

use crate::encode;

/// Holds of `gzip`: what `check` says, and that every body which `flate2` takes is taken, and gives the same.
pub fn gzip(input: &[u8]) {
    check(Coding::Gzip, input, |body, ours| {
        if let Some(theirs) = bounded(MultiGzDecoder::new(body)) {
            same(ours, theirs);
        }
    });
}

/// Holds of `deflate`: what `check` says, and that `flate2` takes the same bodies, and gives the same.
pub fn deflate(input: &[u8]) {
    check(Coding::Deflate, input, |body, ours| {
        let theirs =
            if encode::is_zlib(body) { bounded(ZlibDecoder::new(body)) } else { bounded(DeflateDecoder::new(body)) };
        match theirs {
            Some(theirs) => same(ours, theirs),
            None => assert!(body.is_empty() || !matches!(ours, Decoded::Whole(_)), "taken, but not deflate"),
        }
    });
}

/// Holds of `br`: what `check` says.
pub fn br(input: &[u8]) {
    check(Coding::Br, input, |_, _| {});
}

/// Holds of `zstd`: what `check` says, and that `ruzstd` gives the same, where both take a body.
pub fn zstd(input: &[u8]) {
    check(Coding::Zstd, input, |body, ours| {
        // Theirs is asked for what ours took alone: it has other limits, and is no subject here.
        if let (Decoded::Whole(_), Some(theirs)) = (ours, encode::unzstd(body, MOST)) {
            same(ours, theirs);
        }
    });
}

/// What came of decoding.
#[derive(Debug, PartialEq)]
pub(crate) enum Decoded {
    /// All of it.
    Whole(Vec<u8>),
    /// An error, after so much.
    Failed(Vec<u8>, &'static str),
    /// More than [`MOST`].
    Much(Vec<u8>),
}

impl Decoded {
    /// What came before an error, or was enough.
    fn cut_short(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(_) => None,
            Self::Failed(came, _) | Self::Much(came) => Some(came),
        }
    }
}

/// The most that is decoded of one body, so that bombs do not make the fuzzing slow.
pub(crate) const MOST: usize = 256 * 1024;

/// Decodes a body that comes in pieces into pieces, both of random sizes; in one piece without `entropy`.
pub(crate) fn decode(codings: &[Coding], body: &[u8], mut entropy: Option<Entropy>) -> Decoded {
    let (mut decoder, mut out) = (Decoder::new(codings), Vec::new());
    let mut size = |most: usize| entropy.as_mut().map_or(most, |entropy| some(entropy, most));
    let mut rest = body;
    let mut piece = &body[..0];
    loop {
        if piece.is_empty() {
            if rest.is_empty() {
                break;
            }
            (piece, rest) = rest.split_at(size(rest.len()));
        }
        let before = out.len();
        let room = size(MOST - before);
        let progress = decoder.push(piece, &mut out, room);
        assert!(out.len() - before <= room, "more than there was room for");
        if out.len() >= MOST {
            return Decoded::Much(out);
        }
        match progress {
            Err(error) => return Decoded::Failed(out, error.coding),
            Ok(progress) => {
                assert!(progress.consumed <= piece.len());
                assert!(progress.consumed > 0 || out.len() > before, "it does not get on");
                piece = &piece[progress.consumed..];
            }
        }
        if piece.is_empty() {
            // What is consumed holds no output back, so a push of nothing gives nothing.
            let before = out.len();
            let progress = decoder.push(&[], &mut out, MOST);
            assert_eq!((progress.map(|progress| progress.consumed), out.len()), (Ok(0), before));
        }
    }
    match decoder.finish() {
        Ok(()) => Decoded::Whole(out),
        Err(error) => Decoded::Failed(out, error.coding),
    }
}

/// Holds of each coding:
///
/// - no body makes it panic or stand still, and no push gives more than there is room for
/// - the output does not depend on how the body is cut, nor on the room there is
/// - bytes after the end change nothing
/// - what an encoder wrote comes back, and neither a beginning of it nor one with a wrong bit passes
/// - what `other` says of a body and what came of it
///
/// The first byte chooses between a body as it is and one to encode, the next four seed the cuts.
fn check(coding: Coding, input: &[u8], other: impl Fn(&[u8], &Decoded)) {
    let Some((&[kind, ref seed @ ..], rest)) = input.split_first_chunk::<5>() else { return };
    let mut entropy = Entropy::seeded(u64::from(u32::from_le_bytes(*seed)));
    if kind % 4 == 0 {
        // Repeated, so that short inputs fill windows and blocks.
        let rest = rest.repeat(1 + usize::from(kind / 4)).into_iter().take(MOST - 1).collect::<Vec<_>>();
        let encoded = encode::encode(coding, &rest, &mut entropy);
        for cuts in [None, Some(entropy.clone())] {
            let decoded = decode(&[coding], &encoded, cuts);
            assert!(decoded == Decoded::Whole(rest.clone()), "what was encoded does not come back");
        }
        check_sum(coding, &rest, encoded.clone(), &mut entropy);
        let end = some(&mut entropy, encoded.len() - 1);
        let cut = decode(&[coding], &encoded[..end], Some(entropy));
        // Nothing at all is an empty body in every coding.
        let failed = matches!(&cut, Decoded::Failed(came, _) if rest.starts_with(came));
        assert!(failed || end == 0, "{end} of {} bytes pass for whole", encoded.len());
        return;
    }
    let whole = decode(&[coding], rest, None);
    let pieces = decode(&[coding], rest, Some(entropy.clone()));
    match (whole.cut_short(), pieces.cut_short()) {
        // What came of the very piece that failed is put out as far as there was room, and for br not at all.
        (Some(one), Some(other)) => assert!(one.starts_with(other) || other.starts_with(one)),
        _ => assert!(pieces == whole, "cut, it comes to something else"),
    }
    other(rest, &whole);
    if !rest.is_empty() && matches!(whole, Decoded::Whole(_)) {
        // Zeros begin no member of gzip and no frame of zstd.
        let padded = [rest, &[0; 9][..some(&mut entropy, 9)]].concat();
        assert!(decode(&[coding], &padded, Some(entropy)) == whole, "what follows the end changes it");
    }
}

/// Asserts that one wrong bit of a body that has a good checksum does not pass, unless it changes nothing.
fn check_sum(coding: Coding, plain: &[u8], mut encoded: Vec<u8>, entropy: &mut Entropy) {
    let has_sum = match coding {
        Coding::Gzip => true,
        // That of zlib is weak: two bytes that change places pass.
        Coding::Deflate | Coding::Br => false,
        // RFC 8878 section 3.1.1.1.1.
        Coding::Zstd => encoded[4] & 4 != 0,
    };
    if coding == Coding::Zstd && encoded[4] & 0x80 != 0 {
        let mut wrong = encoded.clone();
        wrong[6 + (entropy.draw() % 4) as usize] ^= 1 << (entropy.draw() % 8);
        let decoded = decode(&[coding], &wrong, None);
        assert!(matches!(decoded, Decoded::Failed(..)), "another size than declared passes");
    }
    // A wrong bit of a header may lead to another format, which has no sum.
    let headers = 10;
    if has_sum && encoded.len() > headers {
        let place = headers + (entropy.draw() % (encoded.len() - headers) as u64) as usize;
        encoded[place] ^= 1 << (entropy.draw() % 8);
        if let Decoded::Whole(body) = decode(&[coding], &encoded, None) {
            assert!(body == plain, "a wrong bit passes");
        }
    }
}

/// A random number from 1 to `most`, small ones more often; 0 where that is 0.
pub(crate) fn some(entropy: &mut Entropy, most: usize) -> usize {
    let drawn = entropy.draw();
    let most = most as u64;
    let most = if drawn & 1 == 0 { most } else { most.min(16) };
    if most == 0 { 0 } else { ((drawn >> 1) % most) as usize + 1 }
}

/// Asserts that ours came to what another decoder gave.
fn same(ours: &Decoded, theirs: Vec<u8>) {
    match ours {
        Decoded::Much(much) => assert!(theirs == *much),
        Decoded::Whole(_) | Decoded::Failed(..) => assert!(*ours == Decoded::Whole(theirs), "another decoder takes it"),
    }
}

/// All that the reader gives, up to [`MOST`]; none when it fails.
fn bounded(reader: impl Read) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(MOST as u64).read_to_end(&mut out).is_ok().then_some(out)
}
