//! Fields and files to send as a form.

use std::fmt;

use wasip2::io::streams::InputStream;

use crate::error::Error;
use crate::wit::messages as wit;

/// Fields and files to send as a form, in order.
///
/// A form without files is sent as `application/x-www-form-urlencoded`, one with files, or one told to be
/// [`multipart`](Self::multipart), as `multipart/form-data` with its exact length.
///
/// ```no_run
/// # fn main() -> Result<(), urlpool::Error> {
/// let answer = urlpool::Pool::new().post("http://a.test/login").form([("user", "ada"), ("remember", "yes")]).send()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Form {
    multipart: bool,
    boundary: Option<String>,
    parts: Vec<Part>,
}

enum Part {
    Field { name: String, value: String },
    File { name: String, filename: String, content_type: Option<String>, content: Content },
}

enum Content {
    Bytes(Vec<u8>),
    Stream(InputStream, Option<u64>),
}

impl Form {
    /// Makes an empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends it as multipart even without files.
    #[must_use]
    pub fn multipart(self) -> Self {
        Self { multipart: true, ..self }
    }

    /// Sends it as multipart with this boundary instead of a random one.
    #[must_use]
    pub fn boundary(self, boundary: impl Into<String>) -> Self {
        Self { multipart: true, boundary: Some(boundary.into()), ..self }
    }

    /// Appends a field, keeping earlier ones of the same name.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parts.push(Part::Field { name: name.into(), value: value.into() });
        self
    }

    /// Appends a file whose content is in memory; `None` as its type means `application/octet-stream`.
    #[must_use]
    pub fn file<'a>(
        self,
        name: impl Into<String>,
        filename: impl Into<String>,
        content_type: impl Into<Option<&'a str>>,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        self.part(name, filename, content_type, Content::Bytes(content.into()))
    }

    /// Appends a file that is read while it is sent, never held in memory as a whole.
    ///
    /// The length of the stream must be exact; with `None` the request is sent in chunks.
    #[must_use]
    pub fn file_stream<'a>(
        self,
        name: impl Into<String>,
        filename: impl Into<String>,
        content_type: impl Into<Option<&'a str>>,
        content: (InputStream, Option<u64>),
    ) -> Self {
        self.part(name, filename, content_type, Content::Stream(content.0, content.1))
    }

    fn part<'a>(
        mut self,
        name: impl Into<String>,
        filename: impl Into<String>,
        content_type: impl Into<Option<&'a str>>,
        content: Content,
    ) -> Self {
        let content_type = content_type.into().map(str::to_owned);
        self.parts.push(Part::File { name: name.into(), filename: filename.into(), content_type, content });
        self
    }

    pub(crate) fn lower(self) -> Result<wit::Form, Error> {
        let form = if self.multipart { wit::Form::multipart(self.boundary.as_deref())? } else { wit::Form::new() };
        for part in self.parts {
            match part {
                Part::Field { name, value } => form.append_field(&name, &value),
                Part::File { name, filename, content_type, content: Content::Bytes(content) } => {
                    form.append_file(&name, &filename, &content, content_type.as_deref())?;
                }
                Part::File { name, filename, content_type, content: Content::Stream(content, length) } => {
                    form.append_file_stream(&name, &filename, content, length, content_type.as_deref())?;
                }
            }
        }
        Ok(form)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Form {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        fields.into_iter().fold(Self::new(), |form, (name, value)| form.field(name, value))
    }
}

impl<N: Into<String>, V: Into<String>, const LENGTH: usize> From<[(N, V); LENGTH]> for Form {
    fn from(fields: [(N, V); LENGTH]) -> Self {
        fields.into_iter().collect()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Values may be secret.
            Self::Field { name, .. } => write!(f, "{name}"),
            Self::File { name, filename, content: Content::Bytes(content), .. } => {
                write!(f, "{name} ({filename}, {} bytes)", content.len())
            }
            Self::File { name, filename, content: Content::Stream(..), .. } => write!(f, "{name} ({filename}, stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_the_order_and_repetitions_of_its_fields() {
        let form = Form::from([("b", "1"), ("a", "2"), ("b", "3")]).file("f", "f.txt", None, "four");
        let shown = format!("{form:?}");
        assert!(shown.contains("[b, a, b, f (f.txt, 4 bytes)]"), "{shown}");
        assert!(!form.multipart);
    }
}
