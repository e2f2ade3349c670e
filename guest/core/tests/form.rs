//! Forms.

use bytes::Bytes;
use urlpool_core::Invalid;
use urlpool_core::form::{Encoded, Form, OCTET_STREAM, URLENCODED, urlencode};
use urlpool_core::upload::{Upload, Want};

#[test]
fn f8_a_form_of_fields_is_urlencoded() {
    let mut form = Form::new();
    form.append_field("name", "Ann Lee");
    form.append_field("n", "1");
    form.append_field("n", "2");
    assert!(!form.is_multipart());
    let encoded = form.encode([0; 16]).expect("it is valid");
    assert_eq!(encoded.content_type, "application/x-www-form-urlencoded");
    assert_eq!(encoded.content_type, URLENCODED);
    assert_eq!(body(&encoded), b"name=Ann+Lee&n=1&n=2");
}

#[test]
fn f3_to_f7_pairs_keep_order_and_repetitions_and_are_escaped() {
    let pairs = [("b", "2"), ("a", ""), ("b", "1"), ("ä &=", "+%/*-._~")];
    assert_eq!(urlencode(pairs), "b=2&a=&b=1&%C3%A4+%26%3D=%2B%25%2F*-._%7E");
    assert_eq!(urlencode([]), "");
}

#[test]
fn an_empty_form_has_an_empty_body() {
    let encoded = Form::new().encode([0; 16]).expect("it is valid");
    assert_eq!((encoded.content_type.as_str(), body(&encoded)), (URLENCODED, Vec::new()));
}

#[test]
fn a_file_makes_a_form_multipart() {
    let mut form = Form::new();
    form.append_field("a", "1");
    form.append_file("f", "f.txt", Bytes::from_static(b"x"), None).expect("it is valid");
    assert!(form.is_multipart() && !form.has_streams());
    let encoded = form.encode([0xab; 16]).expect("it is valid");
    assert_eq!(encoded.content_type, format!("multipart/form-data; boundary={}", "ab".repeat(16)));
    let text = String::from_utf8(body(&encoded)).expect("it is text");
    assert!(text.contains(&format!("Content-Type: {OCTET_STREAM}\r\n")), "{text}");
}

#[test]
fn m30_a_form_may_be_multipart_without_files() {
    let mut form = Form::multipart(Some("B")).expect("it is a boundary");
    form.append_field("a", "1");
    let encoded = form.encode([0; 16]).expect("it is valid");
    assert_eq!(encoded.content_type, "multipart/form-data; boundary=B");
    assert_eq!(body(&encoded), b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n");
}

#[test]
fn a_stream_is_a_piece_of_its_own_with_its_length() {
    let mut form = Form::new();
    form.append_stream("f", "f", 3, Some(7), Some("text/plain")).expect("it is valid");
    assert!(form.has_streams());
    let encoded = form.encode([0; 16]).expect("it is valid");
    let mut upload = Upload::new(encoded.body);
    assert!(matches!(upload.want(usize::MAX), Want::Write(_)));
    // One byte beyond its length, so that a stream that goes on is noticed.
    assert_eq!(upload.want(usize::MAX), Want::Read { stream: 3, at_most: 8 });
}

#[test]
fn m18_a_boundary_that_rfc_2046_does_not_allow_is_refused() {
    let long = "x".repeat(71);
    for boundary in ["", "a\r\nb", "a\"b", "a ", "ä", "a_b;c", &long] {
        assert!(matches!(Form::multipart(Some(boundary)), Err(Invalid::Boundary(_))), "{boundary:?}");
    }
    for boundary in ["x", "a b", "'()+_,-./:=?", &long[..70]] {
        assert!(Form::multipart(Some(boundary)).is_ok(), "{boundary:?}");
    }
}

#[test]
fn m25_a_content_type_that_is_none_is_refused() {
    for content_type in
        ["", "text", "text/", "/plain", "text/plain\r\nX: y", "text/pl ain", "text/plain; x", "a/b; c=\"d"]
    {
        let refused = Form::new().append_file("f", "f", Bytes::new(), Some(content_type));
        assert_eq!(refused, Err(Invalid::ContentType(content_type.into())));
        let refused = Form::new().append_stream("f", "f", 0, None, Some(content_type));
        assert_eq!(refused, Err(Invalid::ContentType(content_type.into())));
    }
    for content_type in ["text/plain", "text/plain;charset=utf-8", "a/b+c; d=\"e;\\\"f\" ; g=h;", "image/svg+xml"] {
        assert_eq!(Form::new().append_file("f", "f", Bytes::new(), Some(content_type)), Ok(()));
    }
}

#[test]
fn m20_a_chosen_boundary_that_occurs_in_the_content_is_refused() {
    let mut form = Form::multipart(Some("B")).expect("it is a boundary");
    form.append_field("a", "x\r\n--B\r\n");
    assert!(matches!(form.encode([0; 16]), Err(Invalid::Boundary(_))));
    let mut form = Form::multipart(Some("B")).expect("it is a boundary");
    form.append_field("a", "B and -B do not end a part");
    assert!(form.encode([0; 16]).is_ok());
}

fn body(encoded: &Encoded) -> Vec<u8> {
    let (mut upload, mut bytes) = (Upload::new(encoded.body.clone()), Vec::new());
    while let Want::Write(more) = upload.want(usize::MAX) {
        bytes.extend_from_slice(&more);
    }
    bytes
}
