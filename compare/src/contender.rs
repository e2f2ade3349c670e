//! The clients that are compared.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use urlpool_conformance::client::{body, headers};
use urlpool_conformance::{Client, Rig};
use urlpool_packages::{Dialogue, Set};

use crate::case::{Answer, Ask, Field, Urls};

/// A client that takes part.
pub struct Contender<'a> {
    name: &'static str,
    version: String,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// Ours, through the host's library; a fresh host for each case.
    Ours { rig: &'a Rig, client: Option<Box<Client>> },
    /// A program that speaks the operations of `clients.py`.
    Program { command: fn() -> Option<Command>, dialogue: Option<Dialogue> },
}

/// The limit that each client is given, by whichever setting it has.
const LIMIT: Duration = Duration::from_secs(4);

/// How long a program may take to start, which takes some of them long on a busy machine.
const STARTS: Duration = Duration::from_secs(60);

/// When a client is taken to hang.
const HANGS: Duration = Duration::from_secs(9);

impl<'a> Contender<'a> {
    /// Ours, as this rig holds it.
    pub fn ours(rig: &'a Rig) -> Self {
        let kind = Kind::Ours { rig, client: None };
        Self { name: "urlpool", version: env!("CARGO_PKG_VERSION").to_owned(), kind }
    }

    /// The others, in the order of the table.
    pub const OTHERS: [&'static str; 6] = ["urllib3", "requests", "httpx", "aiohttp", "undici", "reqwest"];

    /// One of the others; `None` when what it needs is not there.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be started.
    pub async fn other(name: &str) -> Result<Option<Self>> {
        let (name, command): (_, fn() -> Option<Command>) = match name {
            "urllib3" => ("urllib3", || python("urllib3")),
            "requests" => ("requests", || python("requests")),
            "httpx" => ("httpx", || python("httpx")),
            "aiohttp" => ("aiohttp", || python("aiohttp")),
            "undici" => ("undici", node),
            "reqwest" => ("reqwest", reqwest),
            _ => bail!("{name}: not a client that is compared"),
        };
        if command().is_none() {
            return Ok(None);
        }
        let mut contender = Self { name, version: String::new(), kind: Kind::Program { command, dialogue: None } };
        let told = contender.ask(json!({"op": "version"}), STARTS).await?;
        let told = told.with_context(|| format!("{name}: not started after {STARTS:?}"))?;
        contender.version = told["version"].as_str().with_context(|| format!("a version in {told}"))?.to_owned();
        Ok(Some(contender))
    }

    /// What it needs, as a person would install it.
    pub fn needs(name: &str) -> Option<Set> {
        match name {
            "urllib3" | "requests" | "httpx" | "aiohttp" => Some(Set::COMPARE_PYTHON),
            "undici" => Some(Set::COMPARE_NODE),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Makes a new client, without any connection.
    pub(crate) async fn open(&mut self) -> Result<()> {
        match &mut self.kind {
            Kind::Ours { rig, client } => {
                *client = Some(Box::new(rig.client().await?));
                Ok(())
            }
            Kind::Program { .. } => {
                let opened = self.ask(json!({"op": "open", "seconds": LIMIT.as_secs_f64()}), STARTS).await?;
                opened.map(drop).with_context(|| format!("{}: no client after {STARTS:?}", self.name))
            }
        }
    }

    /// Drops the client.
    pub(crate) async fn close(&mut self) -> Result<()> {
        if let Kind::Ours { client, .. } = &mut self.kind {
            *client = None;
        }
        Ok(())
    }

    /// Leaves it alone for a while.
    pub(crate) async fn idle(&mut self, time: Duration) -> Result<()> {
        tokio::time::sleep(time).await;
        match &self.kind {
            Kind::Ours { .. } => Ok(()),
            Kind::Program { .. } => self.ask(json!({"op": "idle"}), HANGS).await.map(drop),
        }
    }

    /// Has it send a request to the first server.
    pub(crate) async fn send(&mut self, ask: &Ask, urls: &Urls) -> Result<Answer> {
        let mut request = json!({
            "op": "send",
            "method": ask.method,
            "url": format!("{}{}", urls.a, ask.path),
            "headers": ask.headers,
        });
        if let Kind::Ours { client, .. } = &mut self.kind {
            if let Some(body) = ask.body {
                request["body"] = json!(body);
            }
            if let Some(form) = &ask.form {
                request["form"] = form.iter().map(field).collect();
                request["multipart"] = json!(true);
            }
            request["timeouts"] = json!({"total": LIMIT.as_secs_f64()});
            let client = client.as_mut().context("a client")?;
            return match tokio::time::timeout(HANGS, client.op(request)).await {
                Ok(answer) => ours(&answer, urls),
                Err(_) => Ok(Answer::Silence),
            };
        }
        request["body"] = json!(ask.body);
        request["form"] = ask.form.as_ref().map(|form| form.iter().map(field).collect()).unwrap_or_default();
        match self.ask(request, HANGS).await? {
            None => Ok(Answer::Silence),
            Some(answer) => theirs(&answer, urls),
        }
    }

    /// Says one thing to its program, starting it where it does not run. `None` when it has not answered in time; it is ended
    /// then.
    async fn ask(&mut self, asked: Value, time: Duration) -> Result<Option<Value>> {
        let Kind::Program { command, dialogue } = &mut self.kind else {
            bail!("{}: no program", self.name);
        };
        let program = match dialogue {
            Some(program) => program,
            None => {
                let command = command().with_context(|| format!("{}: not installed any more", self.name))?;
                dialogue.insert(Dialogue::start(command).context(self.name)?)
            }
        };
        match tokio::time::timeout(time, program.ask(&asked)).await {
            Ok(answer) => Ok(Some(answer.with_context(|| format!("{}: {asked}", self.name))?)),
            Err(_) => {
                *dialogue = None;
                Ok(None)
            }
        }
    }
}

fn python(client: &str) -> Option<Command> {
    let mut python = Command::new(Set::COMPARE_PYTHON.program("python")?);
    python.arg(programs().join("clients.py")).arg(client);
    Some(python)
}

fn node() -> Option<Command> {
    let mut node = Command::new(Set::COMPARE_NODE.program("node")?);
    node.arg(programs().join("client.mjs")).arg(Set::COMPARE_NODE.folder());
    Some(node)
}

/// Built by the same cargo, into the same folder.
fn reqwest() -> Option<Command> {
    let program = std::env::current_exe().ok()?.with_file_name("urlpool-compare-reqwest");
    program.is_file().then(|| Command::new(program))
}

fn programs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

fn field(field: &Field) -> Value {
    match field.filename {
        None => json!({"name": field.name, "value": field.content}),
        Some(filename) => json!({"name": field.name, "filename": filename, "content": field.content}),
    }
}

/// What a script's answer tells.
fn ours(answer: &Value, urls: &Urls) -> Result<Answer> {
    if answer["ok"] != true {
        let error = &answer["error"];
        let kind = error["kind"].as_str().unwrap_or_default();
        let text = format!("{kind}: {}", error["message"].as_str().unwrap_or_default());
        return Ok(Answer::Error { typed: !matches!(kind, "usage" | "trap" | ""), text: scrubbed(&text, urls) });
    }
    let names = answer["headers"].as_array().context("headers")?.iter().filter_map(|field| field[0].as_str());
    let mut fields = Vec::new();
    for name in names {
        if !fields.iter().any(|(given, _): &(String, String)| given == name) {
            fields.extend(headers(answer, name).into_iter().map(|value| (name.to_owned(), value)));
        }
    }
    Ok(Answer::Response { status: status(answer)?, headers: fields, body: body(answer)? })
}

/// What the answer of a program tells.
fn theirs(answer: &Value, urls: &Urls) -> Result<Answer> {
    if let Some(text) = answer["error"].as_str() {
        return Ok(Answer::Error { typed: answer["typed"] == true, text: scrubbed(text, urls) });
    }
    let fields = answer["headers"].as_array().context("headers")?.iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Answer::Response {
        status: status(answer)?,
        headers: fields.map(|field| (text(&field[0]), text(&field[1]))).collect(),
        body: BASE64_STANDARD.decode(answer["body"].as_str().context("a body")?)?,
    })
}

fn status(answer: &Value) -> Result<u16> {
    let status = answer["status"].as_u64().with_context(|| format!("a status in {answer}"))?;
    u16::try_from(status).context("status")
}

/// The text of an error without what differs from run to run, and not longer than a table has room for.
fn scrubbed(text: &str, urls: &Urls) -> String {
    let mut text = text.replace(['\n', '\r', '`', '|'], " ");
    for (url, name) in [(&urls.a, "a.test"), (&urls.b, "b.test")] {
        let authority = url.trim_start_matches("http://");
        let port = authority.rsplit(':').next().unwrap_or_default();
        text = text.replace(authority, name).replace(port, "80").replace("127.0.0.1", name);
    }
    // Addresses of objects.
    while let Some(start) = text.find("0x") {
        let end = text[start + 2..].find(|c: char| !c.is_ascii_hexdigit()).map_or(text.len(), |end| start + 2 + end);
        text.replace_range(start..end, "…");
    }
    match text.char_indices().nth(140) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
