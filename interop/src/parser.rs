//! Parsers of multipart forms that other people wrote, each in a process that parses what it is given.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use urlpool_packages::{Dialogue, Set};

use crate::need::Need;

/// One of the parsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parser {
    /// Flask's.
    Werkzeug,
    /// FastAPI's, on python-multipart.
    Starlette,
    /// The Python package `multipart`, strict.
    Multipart,
    Django,
    /// The one below multer.
    Busboy,
    /// The one below Fastify's plugin.
    FastifyBusboy,
    /// The `formData()` of Node's `fetch`.
    Undici,
}

impl Parser {
    fn name(self) -> &'static str {
        match self {
            Self::Werkzeug => "werkzeug",
            Self::Starlette => "starlette",
            Self::Multipart => "multipart",
            Self::Django => "django",
            Self::Busboy => "busboy",
            Self::FastifyBusboy => "fastify-busboy",
            Self::Undici => "undici",
        }
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// When what it needs is not there.
    pub(crate) fn start(self) -> Result<Parsing> {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
        let command = match self {
            Self::Werkzeug | Self::Starlette | Self::Multipart | Self::Django => {
                let mut python = Command::new(Need::MultipartPython.find().context("python: not found")?);
                python.arg(programs.join("forms.py")).arg(self.name());
                python
            }
            Self::Busboy | Self::FastifyBusboy | Self::Undici => {
                let mut node = Command::new(Need::MultipartNode.find().context("node: not found")?);
                node.arg(programs.join("forms.mjs")).arg(self.name()).arg(Set::MULTIPART_NODE.folder());
                node
            }
        };
        Ok(Parsing { dialogue: Dialogue::start(command).context(self.name())? })
    }
}

/// A parser at work.
pub(crate) struct Parsing {
    dialogue: Dialogue,
}

impl Parsing {
    /// What it makes of a body.
    ///
    /// # Errors
    ///
    /// When it refuses the body, or has ended.
    pub(crate) async fn parse(&mut self, content_type: &str, body: &[u8]) -> Result<Form> {
        let asked = json!({"content_type": content_type, "body": BASE64_STANDARD.encode(body)});
        let answer = self.dialogue.ask(&asked).await?;
        if let Some(error) = answer["error"].as_str() {
            bail!("refused: {error}");
        }
        let list = |key: &str| answer[key].as_array().with_context(|| format!("{key} in {answer}"));
        Ok(Form {
            fields: list("fields")?
                .iter()
                .map(|field| Ok(Field { name: text(&field[0]), value: bytes(&field[1])? }))
                .collect::<Result<_>>()?,
            files: list("files")?
                .iter()
                .map(|file| {
                    Ok(File {
                        name: text(&file[0]),
                        filename: text(&file[1]),
                        content_type: text(&file[2]),
                        content: bytes(&file[3])?,
                    })
                })
                .collect::<Result<_>>()?,
        })
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    Ok(BASE64_STANDARD.decode(value.as_str().context("base64")?)?)
}

/// What a parser found: fields and files apart, since most give them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) fields: Vec<Field>,
    pub(crate) files: Vec<File>,
}

/// A plain field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: Option<String>,
    pub(crate) value: Vec<u8>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: Option<String>,
    pub(crate) filename: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content: Vec<u8>,
}
