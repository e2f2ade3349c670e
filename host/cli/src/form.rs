//! One `-F`: its syntax, and the media type that a file's name suggests.

use crate::plan::readable;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use urlpool_script::Field;

/// One `-F`: `name=value`, or `name=@path[;type=…][;filename=…]`.
pub(crate) fn field(text: &str) -> Result<Field> {
    let (name, value) = text.split_once('=').with_context(|| format!("-F {text:?}: expected `name=value`"))?;
    let Some(file) = value.strip_prefix('@') else { return Ok(Field::text(name, value)) };
    let mut path = file;
    let mut media_type = None;
    let mut filename = None;
    // From the end, since a path may hold a semicolon itself.
    while let Some((rest, setting)) = path.rsplit_once(';') {
        match setting.trim_start().split_once('=') {
            Some(("type", value)) => media_type = Some(value.to_owned()),
            Some(("filename", value)) => filename = Some(value.trim_matches('"').to_owned()),
            Some(_) | None => break,
        }
        path = rest;
    }
    let path = PathBuf::from(path);
    readable("-F", &path)?;
    let stdin = path == Path::new("-");
    Ok(Field {
        name: name.into(),
        media_type: media_type.or_else(|| guess(&path).map(str::to_owned)),
        filename: filename.or_else(|| stdin.then(|| "-".into())),
        file: Some(path),
        ..Field::default()
    })
}

/// The media type that a file's name suggests.
fn guess(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    MEDIA_TYPES.iter().find(|(known, _)| *known == extension).map(|(_, media_type)| *media_type)
}

/// What people upload most; anything else is `application/octet-stream`.
const MEDIA_TYPES: [(&str, &str); 26] = [
    ("avif", "image/avif"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webp", "image/webp"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_its_type_and_name_from_the_end() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let read = field(&format!("f=@{path};type=text/x;filename=b.txt")).unwrap();
        assert_eq!(read.media_type.as_deref(), Some("text/x"));
        assert_eq!(read.filename.as_deref(), Some("b.txt"));
        assert_eq!(read.file.unwrap(), Path::new(path));
        // What is no setting belongs to the path, and such a path does not exist.
        assert!(field(&format!("f=@{path};other")).unwrap_err().to_string().contains(";other"));
    }

    #[test]
    fn a_media_type_is_guessed_from_the_name() {
        assert_eq!(guess(Path::new("a/B.PNG")), Some("image/png"));
        assert_eq!(guess(Path::new("a.bin")), None);
        assert!(MEDIA_TYPES.is_sorted());
    }
}
