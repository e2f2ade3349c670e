//! Bodies as text.

use urlpool_core::text::decode;

#[test]
fn e26_text_is_utf_8_unless_something_else_is_said() {
    assert_eq!(decode("grün".as_bytes(), None), "grün");
    assert_eq!(decode("grün".as_bytes(), Some(b"text/plain")), "grün");
    assert_eq!(decode("grün".as_bytes(), Some(b"text/plain; charset=no-such-charset")), "grün");
    assert_eq!(decode(b"", None), "");
}

#[test]
fn the_charset_of_the_content_type_is_used() {
    for content_type in
        ["text/plain;charset=iso-8859-1", "text/plain; a=b; CHARSET=\"ISO-8859-1\"", "text/html; charset='latin1' ;x=y"]
    {
        assert_eq!(decode(b"gr\xfcn", Some(content_type.as_bytes())), "grün", "{content_type}");
    }
}

#[test]
fn latin_1_means_windows_1252_as_in_browsers() {
    assert_eq!(decode(b"\x80 \x93x\x94 \x9f\xff", Some(b"text/plain; charset=latin1")), "€ “x” Ÿÿ");
}

#[test]
fn a_byte_order_mark_wins_and_is_dropped() {
    assert_eq!(decode(b"\xef\xbb\xbfgr\xc3\xbcn", Some(b"text/plain; charset=latin1")), "grün");
    assert_eq!(decode(b"\xff\xfeg\0\xfc\0", None), "gü");
    assert_eq!(decode(b"\xfe\xff\0g\0\xfc", Some(b"text/plain; charset=utf-8")), "gü");
}

#[test]
fn utf_16_is_decoded_by_name() {
    assert_eq!(decode(b"\x3d\xd8\x00\xdea\0", Some(b"text/plain; charset=utf-16")), "😀a");
    assert_eq!(decode(b"\0a\xd8\x3d", Some(b"text/plain; charset=UTF-16BE")), "a\u{fffd}");
}

#[test]
fn bytes_that_do_not_fit_are_replaced() {
    assert_eq!(decode(b"a\xffb", None), "a\u{fffd}b");
}

#[cfg(feature = "charset")]
#[test]
fn other_charsets_are_known_with_the_feature() {
    assert_eq!(decode(b"\x82\xa0", Some(b"text/plain; charset=Shift_JIS")), "あ");
    assert_eq!(decode(b"\xcf\xf0\xe8", Some(b"text/plain; charset=windows-1251")), "При");
}
