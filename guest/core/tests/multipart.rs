//! Multipart bodies.

use bytes::Bytes;
use proptest::prelude::*;
use urlpool_core::multipart::{Boundary, Part, Piece, encode};

#[test]
fn m1_to_m4_fields_and_files_are_sent_in_order() {
    let parts = vec![field("a", "1"), field("a", "2"), file("f", "f.txt", "text/plain", b"hi")];
    assert_eq!(
        text(parts),
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
         --B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n\
         --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n\
         --B--\r\n"
    );
}

#[test]
fn m7_an_empty_filename_is_kept() {
    assert!(text(vec![file("f", "", "text/plain", b"")]).contains("name=\"f\"; filename=\"\"\r\n"));
}

#[test]
fn m8_an_empty_value_is_a_part() {
    assert_eq!(text(vec![field("a", "")]), "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--B--\r\n");
}

#[test]
fn m9_no_parts_make_the_closing_delimiter() {
    assert_eq!(text(Vec::new()), "--B--\r\n");
}

#[test]
fn m10_to_m15_only_quotes_and_line_ends_are_escaped_in_names() {
    let name = "a\"b\rc\nd\\e\tf;g,h[i]%22ü😀";
    let expected = "a%22b%0Dc%0Ad\\e\tf;g,h[i]%22ü😀";
    let body = text(vec![file(name, name, "text/plain", b"")]);
    assert!(body.contains(&format!("form-data; name=\"{expected}\"; filename=\"{expected}\"\r\n")), "{body}");
    assert!(!body.contains("filename*"));
}

#[test]
fn m16_content_is_sent_byte_for_byte_and_not_copied_when_it_is_large() {
    let content = Bytes::from((0..40 * 256).map(|i| i as u8).collect::<Vec<_>>());
    let mut part = file("f", "f", "a/b", b"");
    part.content = Piece::Bytes(content.clone());
    let pieces = encode(vec![part], &boundary("B"));
    let [_, Piece::Bytes(sent), Piece::Bytes(end)] = &*pieces else { panic!("{pieces:?}") };
    assert_eq!(sent, &content);
    assert_eq!(sent.as_ptr(), content.as_ptr());
    assert_eq!(&end[..], b"\r\n--B--\r\n");
}

#[test]
fn line_ends_in_values_stay_as_they_are() {
    assert!(text(vec![field("a", "x\ny\rz")]).contains("\r\n\r\nx\ny\rz\r\n--B--"));
}

#[test]
fn m19_a_boundary_is_quoted_when_it_is_no_token() {
    assert_eq!(boundary("a.b_c-d'").content_type(), "multipart/form-data; boundary=a.b_c-d'");
    assert_eq!(boundary("a b:c").content_type(), "multipart/form-data; boundary=\"a b:c\"");
    assert_eq!(boundary("a=b").content_type(), "multipart/form-data; boundary=\"a=b\"");
}

#[test]
fn m20_a_drawn_boundary_that_occurs_in_the_content_is_drawn_again() {
    let first = Boundary::draw([7; 16], &[]);
    assert_eq!(first.as_str(), "07".repeat(16));
    let collision = vec![field("a", &format!("x--{}", first.as_str()))];
    let second = Boundary::draw([7; 16], &collision);
    assert_ne!(second, first);
    assert!(second.fits(&collision));
    assert_eq!(second, Boundary::draw([7; 16], &collision), "the same bytes give the same boundary");
}

#[test]
fn m17_a_part_of_the_boundary_is_no_collision() {
    let content = [field("a", "\r\n--Bounda"), field("b", "ry"), field("c", "Boundary\r\n-Boundary")];
    assert!(boundary("Boundary").fits(&content));
    assert!(!boundary("Boundary").fits(&[field("a", "--Boundary")]));
}

#[test]
fn m22_a_stream_stands_between_its_head_and_the_next_delimiter() {
    let mut part = file("f", "f", "a/b", b"");
    part.content = Piece::Stream { index: 0, length: None };
    let pieces = encode(vec![part, field("a", "1")], &boundary("B"));
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[1], Piece::Stream { index: 0, length: None });
}

proptest! {
    #[test]
    fn a_delimiter_is_found_wherever_it_is(before in "[-B]{0,80}", boundary_text in "[-B]{1,20}", after in "[-B]{0,80}") {
        let content = format!("{before}{after}");
        let found = content.contains(&format!("--{boundary_text}"));
        prop_assert_eq!(boundary(&boundary_text).fits(&[field("a", &content)]), !found);
        let with = format!("{before}--{boundary_text}{after}");
        prop_assert!(!boundary(&boundary_text).fits(&[field("a", &with)]));
    }
}

fn field(name: &str, value: &str) -> Part {
    let content = Piece::Bytes(Bytes::copy_from_slice(value.as_bytes()));
    Part { name: name.into(), filename: None, content_type: None, content }
}

fn file(name: &str, filename: &str, content_type: &str, content: &[u8]) -> Part {
    Part {
        name: name.into(),
        filename: Some(filename.into()),
        content_type: Some(content_type.into()),
        content: Piece::Bytes(Bytes::copy_from_slice(content)),
    }
}

fn boundary(text: &str) -> Boundary {
    Boundary::new(text).expect("it is a boundary")
}

/// The body of these parts with the boundary `B`.
fn text(parts: Vec<Part>) -> String {
    let bytes = encode(parts, &boundary("B")).into_iter().flat_map(|piece| match piece {
        Piece::Bytes(bytes) => bytes.to_vec(),
        Piece::Stream { .. } => Vec::new(),
    });
    String::from_utf8(bytes.collect()).expect("it is text")
}
