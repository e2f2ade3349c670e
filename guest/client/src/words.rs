//! Bytes that travelled as words, which hosts copy sooner.

use crate::wit::messages::Words;

/// The bytes of these words.
pub(crate) fn bytes(words: &Words) -> Vec<u8> {
    let mut bytes = vec![0; words.length as usize];
    copy(words, &mut bytes);
    bytes
}

/// Copies the bytes of these words to the start of a buffer that is long enough for them, and tells how many they are.
pub(crate) fn copy(words: &Words, buffer: &mut [u8]) -> usize {
    let length = words.length as usize;
    let (whole, rest) = buffer[..length].as_chunks_mut();
    for (place, word) in whole.iter_mut().zip(&words.words) {
        *place = word.to_le_bytes();
    }
    if let Some(last) = words.words.get(whole.len()) {
        rest.copy_from_slice(&last.to_le_bytes()[..rest.len()]);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_bytes_they_were() {
        for length in 0..40_u8 {
            let sent: Vec<u8> = (1..=length).collect();
            let words =
                sent.chunks(8).map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
            let words = Words { words: words.collect(), length: length.into() };
            assert_eq!(bytes(&words), sent);
            let mut buffer = [255; 50];
            assert_eq!(copy(&words, &mut buffer), sent.len());
            assert_eq!(buffer[..sent.len()], sent);
            assert!(buffer[sent.len()..].iter().all(|byte| *byte == 255));
        }
    }
}
