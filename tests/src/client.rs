//! One instance of the component in a host of its own, driven by the operations of `urlpool script`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use urlpool_script::Session;

use crate::server::DEADLINE;

/// One instance of the component, and the host behind it.
pub struct Client {
    session: Session,
}

impl Client {
    pub(crate) fn new(session: Session) -> Self {
        Self { session }
    }

    /// How many things the host holds for the instance.
    pub fn held(&mut self) -> usize {
        self.session.held()
    }

    /// How many bytes of linear memory the instance has taken.
    pub fn memory(&self) -> usize {
        self.session.memory()
    }

    /// Runs one operation and gives its whole answer.
    pub async fn op(&mut self, operation: Value) -> Value {
        self.session.op(operation).await
    }

    /// Runs one operation that is to succeed.
    pub async fn ok(&mut self, operation: Value) -> Result<Value> {
        let asked = operation.to_string();
        let answer = self.op(operation).await;
        if answer["ok"] != true {
            bail!("{}: {}", brief(&asked), answer["error"]);
        }
        Ok(answer)
    }

    /// Runs one operation that is to fail with this kind, and gives the whole answer.
    pub async fn fails(&mut self, kind: &str, operation: Value) -> Result<Value> {
        let asked = operation.to_string();
        let answer = self.op(operation).await;
        if answer["ok"] != false {
            bail!("{}: expected {kind}, got {}", brief(&asked), brief(&answer.to_string()));
        }
        if answer["error"]["kind"] != kind {
            bail!("{}: expected {kind}, got {}", brief(&asked), answer["error"]);
        }
        Ok(answer)
    }

    /// Sends a GET that is to get a response.
    pub async fn get(&mut self, url: String) -> Result<Value> {
        self.send(json!({"url": url})).await
    }

    /// Sends a request, given by the keys of `send`, that is to get a response.
    pub async fn send(&mut self, request: Value) -> Result<Value> {
        self.ok(operation("send", request)).await
    }

    /// Sends a request that is to fail with this kind, and gives the error.
    pub async fn refused(&mut self, kind: &str, request: Value) -> Result<Value> {
        Ok(self.fails(kind, operation("send", request)).await?["error"].take())
    }

    /// Opens the default pool with these options.
    pub async fn open(&mut self, options: Value) -> Result<()> {
        self.ok(json!({"op": "open", "pool": "pool", "options": options})).await.map(drop)
    }

    /// Begins a request under this name.
    pub async fn start(&mut self, name: &str, request: Value) -> Result<()> {
        let mut operation = operation("start", request);
        operation["as"] = json!(name);
        self.ok(operation).await.map(drop)
    }

    /// Waits for the response to a request begun before.
    pub async fn finish(&mut self, name: &str) -> Result<Value> {
        self.ok(json!({"op": "finish", "handle": name})).await
    }

    /// Sends requests side by side; the answers, in order.
    pub async fn send_all(&mut self, requests: Vec<Value>) -> Result<Vec<Value>> {
        let answer = self.ok(json!({"op": "send-all", "requests": requests})).await?;
        Ok(answer["responses"].as_array().context("a list of responses")?.clone())
    }

    /// The figures of the default pool.
    pub async fn pool(&mut self) -> Result<Value> {
        Ok(self.ok(json!({"op": "stats"})).await?["stats"].take())
    }

    /// The figures of the host.
    pub async fn host(&mut self) -> Result<Value> {
        Ok(self.ok(json!({"op": "stats"})).await?["host"].take())
    }

    /// Waits until the figures of the host show this.
    ///
    /// The host tells nobody when a connection comes back, so this asks again and again.
    pub async fn until_host(&mut self, what: &str, fact: impl Fn(&Value) -> bool) -> Result<Value> {
        let asking = async {
            loop {
                let host = self.host().await?;
                if fact(&host) {
                    return Ok(host);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match tokio::time::timeout(DEADLINE, asking).await {
            Ok(host) => host,
            Err(_) => bail!("the host did not show: {what}; {}", self.host().await?),
        }
    }
}

/// An operation with the keys of a request.
pub(crate) fn operation(name: &str, mut request: Value) -> Value {
    request["op"] = json!(name);
    request
}

fn brief(text: &str) -> String {
    match text.char_indices().nth(400) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// The values of all headers of this name in an answer, in order.
pub fn headers(answer: &Value, name: &str) -> Vec<String> {
    let fields = answer["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    fields
        .iter()
        .filter(|field| field[0].as_str().is_some_and(|given| given.eq_ignore_ascii_case(name)))
        .filter_map(|field| field[1].as_str().map(str::to_owned))
        .collect()
}

/// The bytes of the body in an answer.
pub fn body(answer: &Value) -> Result<Vec<u8>> {
    let text = answer["body_base64"].as_str().with_context(|| format!("no body in {answer}"))?;
    Ok(BASE64_STANDARD.decode(text)?)
}

/// These bytes as base64.
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// What an answer or an error says of its history, entry by entry, as `kind status-or-error`.
pub fn history(answer: &Value) -> Vec<String> {
    let entries = answer["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let outcome = match entry["status"].as_u64() {
                Some(status) => status.to_string(),
                None => entry["error"].as_str().unwrap_or("nothing").to_owned(),
            };
            format!("{} {outcome}", entry["kind"].as_str().unwrap_or("nothing"))
        })
        .collect()
}

/// The delays that an answer's history tells of.
pub fn delays(answer: &Value) -> Vec<f64> {
    let entries = answer["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(|entry| entry["delay_ms"].as_f64()).collect()
}
