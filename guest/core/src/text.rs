//! Bodies as text.

/// Decodes a body: by its byte order mark, else by the charset of its content type, else as UTF-8.
///
/// Bytes that do not fit the charset are replaced, and an unknown charset counts as UTF-8.
/// Without the feature `charset`, UTF-8, UTF-16 and windows-1252 are known, the last also by the names of Latin-1 and ASCII, as browsers have it.
pub fn decode(bytes: &[u8], content_type: Option<&[u8]>) -> String {
    let charset = content_type.and_then(charset);
    decode_as(bytes, charset.as_deref())
}

/// The charset of a content type, in lower case.
fn charset(content_type: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content_type);
    // A quoted parameter before the charset might hold a semicolon. None that servers send does.
    text.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']).trim();
        name.trim().eq_ignore_ascii_case("charset").then(|| value.to_ascii_lowercase())
    })
}

#[cfg(feature = "charset")]
fn decode_as(bytes: &[u8], charset: Option<&str>) -> String {
    // `decode` looks for a byte order mark first. A charset that the standard gives up on would be one replacement character: show more.
    charset
        .and_then(|label| encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()))
        .unwrap_or(encoding_rs::UTF_8)
        .decode(bytes)
        .0
        .into_owned()
}

#[cfg(not(feature = "charset"))]
fn decode_as(bytes: &[u8], charset: Option<&str>) -> String {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        _ => match charset {
            Some("utf-16be") => utf_16(bytes, u16::from_be_bytes),
            Some("utf-16" | "utf-16le") => utf_16(bytes, u16::from_le_bytes),
            // The URL of the rule: https://encoding.spec.whatwg.org/#names-and-labels
            Some("iso-8859-1" | "iso8859-1" | "latin1" | "l1" | "us-ascii" | "ascii" | "windows-1252" | "cp1252") => {
                bytes.iter().map(|&byte| windows_1252(byte)).collect()
            }
            _ => String::from_utf8_lossy(bytes).into_owned(),
        },
    }
}

#[cfg(not(feature = "charset"))]
fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text: String = char::decode_utf16(pairs.iter().map(|&pair| unit(pair)))
        .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    text.extend(rest.iter().map(|_| char::REPLACEMENT_CHARACTER));
    text
}

#[cfg(not(feature = "charset"))]
fn windows_1252(byte: u8) -> char {
    /// What differs from Latin-1: the bytes from 0x80 to 0x9f.
    const SPECIAL: [char; 32] = [
        '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}',
        '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}', '\u{2019}',
        '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}',
        '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
    ];
    match byte {
        0x80..=0x9f => SPECIAL[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}
