//! Does with reqwest what it is asked to, by a line of JSON for each request: the operations of `clients.py`.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Asked {
    Version,
    Open { seconds: f64 },
    Send(Request),
    Idle,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    form: Option<Vec<Field>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    File { name: String, filename: String, content: String },
    Plain { name: String, value: String },
}

// The default of `#[tokio::main]`, which is what its examples have.
#[tokio::main]
async fn main() -> Result<()> {
    // Nothing here is TLS, but the features of reqwest that the workspace chooses want one of these.
    rustls::crypto::ring::default_provider().install_default().ok().context("the only provider")?;
    let mut client = Client::new();
    // Read in a thread, so that connections can be looked after meanwhile.
    while let Some(line) = spawn_blocking(|| std::io::stdin().lines().next()).await?.transpose()? {
        let answer = match serde_json::from_str(&line)? {
            Asked::Version => json!({"version": version()?}),
            Asked::Open { seconds } => {
                // No settings of proxies from the environment.
                client = Client::builder().timeout(Duration::from_secs_f64(seconds)).no_proxy().build()?;
                json!({})
            }
            Asked::Send(request) => match send(request, &client).await {
                Ok(answer) => answer,
                // There is one type of errors.
                Err(error) => json!({"error": told(&error), "typed": true}),
            },
            Asked::Idle => {
                tokio::task::yield_now().await;
                json!({})
            }
        };
        println!("{answer}");
    }
    Ok(())
}

async fn send(request: Request, client: &Client) -> Result<Value, reqwest::Error> {
    // A method that is none is refused before there is a request, by the same crate that reqwest takes it from.
    let Ok(method) = request.method.parse::<Method>() else {
        return Ok(json!({"error": "http::Error: invalid HTTP method", "typed": true}));
    };
    let mut builder = client.request(method, request.url);
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    if let Some(body) = request.body {
        builder = builder.body(body);
    }
    if let Some(fields) = request.form {
        builder = builder.multipart(fields.into_iter().fold(Form::new(), |form, field| match field {
            Field::File { name, filename, content } => form.part(name, Part::text(content).file_name(filename)),
            Field::Plain { name, value } => form.text(name, value),
        }));
    }
    let response = builder.send().await?;
    let (status, url) = (response.status().as_u16(), response.url().to_string());
    let headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = response.bytes().await?;
    Ok(json!({"status": status, "url": url, "headers": headers, "body": BASE64_STANDARD.encode(body)}))
}

/// An error with its causes.
fn told(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The version that is locked, since the crate does not tell its own.
fn version() -> Result<String> {
    let lock = include_str!("../../../Cargo.lock");
    let after = lock.split("name = \"reqwest\"\nversion = \"").nth(1).context("reqwest is locked")?;
    Ok(after.split('"').next().unwrap_or_default().to_owned())
}
