//! What servers make of our forms: their parsers are given the bodies that the component sends.
//!
//! A browser's form has the same bytes, which is the only standard that names have: the parsers differ in what they make of
//! quotes, line breaks and backslashes. So [`OTHERWISE`] lists for each parser where it reads something else than what was
//! said; where it lists nothing, every part has to come out as it went in.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use urlpool_conformance::client::base64;
use urlpool_conformance::reply::ok;
use urlpool_conformance::{Rig, Server};

use super::noise;
use crate::check::checks;
use crate::need::Need;
use crate::parser::Parser::{self, Busboy, Django, FastifyBusboy, Multipart, Starlette, Undici, Werkzeug};
use crate::parser::{Field, File, Form};

checks! { "forms";
    [Need::MultipartPython] werkzeug_reads_what_was_said;
    [Need::MultipartPython] starlette_reads_what_was_said;
    [Need::MultipartPython] multipart_reads_what_was_said;
    [Need::MultipartPython] django_reads_what_was_said;
    [Need::MultipartNode] busboy_reads_what_was_said;
    [Need::MultipartNode] fastify_busboy_reads_what_was_said;
    [Need::MultipartNode] undici_reads_what_was_said;
}

async fn werkzeug_reads_what_was_said(rig: &Rig) -> Result<()> {
    read_by(Werkzeug, rig).await
}

async fn starlette_reads_what_was_said(rig: &Rig) -> Result<()> {
    read_by(Starlette, rig).await
}

async fn multipart_reads_what_was_said(rig: &Rig) -> Result<()> {
    read_by(Multipart, rig).await
}

async fn django_reads_what_was_said(rig: &Rig) -> Result<()> {
    read_by(Django, rig).await
}

async fn busboy_reads_what_was_said(rig: &Rig) -> Result<()> {
    read_by(Busboy, rig).await
}

async fn fastify_busboy_reads_what_was_said(rig: &Rig) -> Result<()> {
    read_by(FastifyBusboy, rig).await
}

async fn undici_reads_what_was_said(rig: &Rig) -> Result<()> {
    read_by(Undici, rig).await
}

/// Sends every form, and has this parser read what arrived.
async fn read_by(parser: Parser, rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    let mut parsing = parser.start()?;
    let mut wrong = Vec::new();
    for (arrival, said) in forms().into_iter().enumerate() {
        let mut request = json!({"method": "POST", "url": server.url("/"), "multipart": true});
        request["form"] = said.parts.iter().map(Part::to_json).collect();
        if let Some(boundary) = said.boundary {
            request["boundary"] = json!(boundary);
        }
        client.send(request).await.with_context(|| said.about)?;
        let request = server.request(arrival)?;
        let length = request.header("content-length").map(str::to_owned);
        let known = !said.parts.iter().any(|part| matches!(part, Part::Stream { .. }));
        ensure!(length == known.then(|| request.body.len().to_string()), "{}: length {length:?}", said.about);

        let content_type = request.header("content-type").context("a content type")?;
        let about = said.about;
        match (parsing.parse(content_type, &request.body).await, said.as_read_by(parser)?) {
            (Ok(read), Some(expected)) if read == expected => {}
            (Ok(read), Some(expected)) => {
                wrong.push(format!("{about}: read {}, expected {}", brief(&read), brief(&expected)));
            }
            (Ok(read), None) => wrong.push(format!("{about}: read {}, expected a refusal", brief(&read))),
            (Err(_), None) => {}
            (Err(error), Some(_)) => wrong.push(format!("{about}: {error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n      "));
    ensure!(server.connections() == 1, "{} connections", server.connections());
    Ok(())
}

/// A form that is sent.
struct Said {
    about: &'static str,
    boundary: Option<&'static str>,
    parts: Vec<Part>,
}

/// A part of it.
enum Part {
    Field {
        name: &'static str,
        value: String,
    },
    File {
        name: &'static str,
        filename: &'static str,
        kind: Option<&'static str>,
        content: Vec<u8>,
    },
    /// A file whose length nobody knows beforehand.
    Stream {
        name: &'static str,
        filename: &'static str,
        chunks: Vec<String>,
    },
}

impl Part {
    /// As a `FIELD` of the script.
    fn to_json(&self) -> Value {
        match self {
            Self::Field { name, value } => json!({"name": name, "value": value}),
            Self::File { name, filename, kind, content } => {
                let mut field = json!({"name": name, "filename": filename, "content_base64": base64(content)});
                if let Some(kind) = kind {
                    field["type"] = json!(kind);
                }
                field
            }
            Self::Stream { name, filename, chunks } => {
                json!({"name": name, "filename": filename, "stream": {"chunks": chunks}})
            }
        }
    }
}

impl Said {
    /// What this parser is to make of it; none when it is to refuse it.
    fn as_read_by(&self, parser: Parser) -> Result<Option<Form>> {
        let mut form = Form::default();
        for part in &self.parts {
            match part {
                Part::Field { name, value } => {
                    form.fields.push(Field { name: Some((*name).to_owned()), value: value.clone().into_bytes() });
                }
                Part::File { name, filename, kind, content } => form.files.push(File {
                    name: Some((*name).to_owned()),
                    filename: Some((*filename).to_owned()),
                    content_type: Some(kind.unwrap_or("application/octet-stream").to_owned()),
                    content: content.clone(),
                }),
                Part::Stream { name, filename, chunks } => form.files.push(File {
                    name: Some((*name).to_owned()),
                    filename: Some((*filename).to_owned()),
                    content_type: Some("application/octet-stream".to_owned()),
                    content: chunks.concat().into_bytes(),
                }),
            }
        }
        for (_, _, reading) in OTHERWISE.iter().filter(|(about, by, _)| *about == self.about && by.contains(&parser)) {
            if matches!(reading, Reading::Refused) {
                return Ok(None);
            }
            reading.apply(&mut form).with_context(|| self.about)?;
        }
        Ok(Some(form))
    }
}

/// What a parser makes of a form instead of what was said.
#[derive(Debug)]
enum Reading {
    /// The only part has this name, or none.
    Name(Option<&'static str>),
    /// The only file has this filename, or none.
    Filename(Option<&'static str>),
    /// The only file has this content type.
    Type(&'static str),
    /// The only file is a field.
    AsField,
    /// Parts of the same name stand together.
    ByName,
    /// Nothing is found, and nothing said about it.
    Lost,
    /// All of it is refused.
    Refused,
}

impl Reading {
    fn apply(&self, form: &mut Form) -> Result<()> {
        let owned = |text: &Option<&str>| text.map(str::to_owned);
        match (self, &mut form.fields[..], &mut form.files[..]) {
            (Self::Name(name), [field], []) => field.name = owned(name),
            (Self::Name(name), [], [file]) => file.name = owned(name),
            (Self::Filename(filename), _, [file]) => file.filename = owned(filename),
            (Self::Type(kind), _, [file]) => file.content_type = Some((*kind).to_owned()),
            (Self::AsField, [], [file]) => {
                let File { name, content, .. } = file.clone();
                *form = Form { fields: vec![Field { name, value: content }], files: Vec::new() };
            }
            (Self::ByName, fields, _) => fields.sort_by(|a, b| a.name.cmp(&b.name)),
            (Self::Lost, ..) => *form = Form::default(),
            (reading, ..) => bail!("{reading:?} does not fit the form"),
        }
        Ok(())
    }
}

/// Where parsers read something else than what was said.
///
/// Nothing that the client could send instead would be read by more of them: `\"` in place of `%22`, for one, is what
/// browsers stopped sending, and HTML says `%22`.
const OTHERWISE: &[(&str, &[Parser], Reading)] = &[
    // Those that leave `%22` and `%0D%0A` as they are cannot tell them from the same characters in a name.
    ("a quote in a name", &[Starlette, Django, Busboy, FastifyBusboy], Reading::Name(Some("a%22b"))),
    ("a quote in a filename", &[Starlette, Django, Busboy, FastifyBusboy], Reading::Filename(Some("a%22b.txt"))),
    ("a backslash and a quote in a name", &[Starlette, Django, Busboy, FastifyBusboy], Reading::Name(Some("a\\%22b"))),
    ("a line break in a name", &[Werkzeug, Starlette, Django, Busboy, FastifyBusboy], Reading::Name(Some("a%0D%0Ab"))),
    (
        "a line break in a filename",
        &[Werkzeug, Starlette, Django, Busboy, FastifyBusboy],
        Reading::Filename(Some("a%0D%0Ab.txt")),
    ),
    // Those that decode it cannot tell it either, the other way round.
    ("%22 in a name", &[Werkzeug, Multipart, Undici], Reading::Name(Some("100\" %41"))),
    // Some take a backslash for the beginning of a pair, as quoted strings elsewhere in HTTP have them.
    ("a backslash in a name", &[Werkzeug], Reading::Name(Some("ab"))),
    ("a backslash and a quote in a name", &[Werkzeug], Reading::Name(Some("a\"b"))),
    ("a backslash at the end of a name", &[Werkzeug], Reading::Name(None)),
    ("a backslash at the end of a name", &[Busboy], Reading::Lost),
    ("a backslash at the end of a name", &[FastifyBusboy], Reading::Name(Some("a\""))),
    ("a backslash in a filename", &[Werkzeug], Reading::Filename(Some("ab.txt"))),
    ("a path of Windows", &[Werkzeug], Reading::Filename(Some("C:dirb.txt"))),
    // Others take what stands before it for folders, and leave them out.
    ("a backslash in a filename", &[Django, Busboy, FastifyBusboy], Reading::Filename(Some("b.txt"))),
    ("a path of Windows", &[Starlette, Multipart, Django, Busboy, FastifyBusboy], Reading::Filename(Some("b.txt"))),
    ("a path", &[Django, Busboy, FastifyBusboy], Reading::Filename(Some("b.txt"))),
    ("dots for a filename", &[Busboy, FastifyBusboy], Reading::Filename(Some(""))),
    ("dots for a filename", &[Django], Reading::Lost),
    ("an empty filename", &[Django], Reading::AsField),
    ("an empty filename", &[Busboy], Reading::Filename(None)),
    ("an empty file without a filename", &[Django], Reading::AsField),
    ("an empty file without a filename", &[Busboy], Reading::Filename(None)),
    ("an empty name", &[Busboy], Reading::Name(None)),
    ("spaces around a name", &[Django], Reading::Name(Some("a b"))),
    // Parameters of the type are given apart, or not at all.
    ("a type with a parameter", &[Multipart, Django, Busboy, FastifyBusboy], Reading::Type("text/plain")),
    ("a name that comes again", &[Werkzeug, Django], Reading::ByName),
    // It looks for the boundary without what stands around it. One that is drawn is in no content.
    ("content with the boundary in it, but no delimiter", &[Undici], Reading::Refused),
];

/// The forms that every parser is given.
fn forms() -> Vec<Said> {
    fn field(name: &'static str, value: &str) -> Part {
        Part::Field { name, value: value.to_owned() }
    }
    fn file(filename: &'static str, content: impl Into<Vec<u8>>) -> Part {
        Part::File { name: "f", filename, kind: None, content: content.into() }
    }
    fn form(about: &'static str, parts: impl IntoIterator<Item = Part>) -> Said {
        Said { about, boundary: None, parts: parts.into_iter().collect() }
    }
    let every_byte: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    vec![
        form("no part", []),
        form("a field", [field("a", "b")]),
        form("an empty value", [field("a", "")]),
        form("an empty name", [field("", "v")]),
        form("a name that comes again", [field("a", "1"), field("b", "2"), field("a", "3")]),
        form("characters beyond Latin-1", [field("näme ☃ 😀", "wörld ☃ 😀")]),
        form("a quote in a name", [field("a\"b", "v")]),
        form("a line break in a name", [field("a\r\nb", "v")]),
        form("%22 in a name", [field("100%22 %41", "v")]),
        form("a backslash in a name", [field("a\\b", "v")]),
        form("a backslash and a quote in a name", [field("a\\\"b", "v")]),
        form("a backslash at the end of a name", [field("a\\", "v")]),
        form("a semicolon in a name", [field("a;b=c, d", "v")]),
        form("brackets in a name", [field("a[0][b]", "v")]),
        form("a tab in a name", [field("a\tb", "v")]),
        form("spaces around a name", [field(" a b ", "v")]),
        form("line breaks in a value", [field("a", "1\n2\r3\r\n4\r\n\r\n")]),
        form("a value like a part", [field("a", "Content-Disposition: form-data; name=\"b\"\r\n\r\nc")]),
        form("many fields", (0..100).map(|number| field("n", &number.to_string()))),
        form("a file", [file("r.txt", "x")]),
        form("an empty file", [file("e.txt", "")]),
        form("a file between fields", [field("a", "1"), file("r.txt", "x"), field("b", "2")]),
        form("two files of a name", [file("1.txt", "one"), file("2.txt", "two")]),
        form("a quote in a filename", [file("a\"b.txt", "x")]),
        form("a line break in a filename", [file("a\r\nb.txt", "x")]),
        form("a backslash in a filename", [file("a\\b.txt", "x")]),
        form("a path of Windows", [file("C:\\dir\\b.txt", "x")]),
        form("a path", [file("../dir/b.txt", "x")]),
        form("dots for a filename", [file("..", "x")]),
        form("a filename beyond Latin-1", [file("ñ ☃ 😀.txt", "x")]),
        form("a semicolon in a filename", [file("a;b=c, d.txt", "x")]),
        form("an empty filename", [file("", "x")]),
        form("an empty file without a filename", [file("", "")]),
        form(
            "a type with a parameter",
            [Part::File { name: "f", filename: "r", kind: Some("text/plain; charset=utf-8"), content: b"x".to_vec() }],
        ),
        form("every byte", [file("b.bin", every_byte)]),
        form("a megabyte", [file("b.bin", noise(1 << 20)), field("after", "it")]),
        Said {
            about: "content like a delimiter",
            boundary: Some("boundary"),
            parts: vec![file("b.bin", "\r\n--boundar\r\n--\r\n--boundarx--\r\n-"), field("after", "it")],
        },
        Said {
            about: "content with the boundary in it, but no delimiter",
            boundary: Some("boundary"),
            parts: vec![file("b.bin", "\r\n-boundary\r\nboundary\r\n-- boundary"), field("after", "it")],
        },
        Said {
            about: "a boundary that has to be quoted",
            boundary: Some("a'b(c)+_,-./:=? d of seventy characters, as long as one may ever be 70"),
            parts: vec![field("a", "b"), file("r.txt", "x")],
        },
        form(
            "a file of unknown length",
            [
                Part::Stream {
                    name: "f",
                    filename: "s.txt",
                    chunks: (0..300).map(|number| number.to_string().repeat(100)).collect(),
                },
                field("after", "it"),
            ],
        ),
    ]
}

/// A form in a line, without long contents.
fn brief(form: &Form) -> String {
    let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
    let fields = form.fields.iter().map(|field| format!("field {:?} {:?}", field.name, short(&field.value)));
    let files = form.files.iter().map(|file| {
        let File { name, filename, content_type, content } = file;
        format!("file {name:?} {filename:?} {content_type:?} {} bytes {:?}", content.len(), short(content))
    });
    let parts: Vec<_> = fields.chain(files).take(4).collect();
    format!("{} parts: {}", form.fields.len() + form.files.len(), parts.join(", "))
}
