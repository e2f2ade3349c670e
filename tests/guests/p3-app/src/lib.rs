//! A guest of WASI 0.3 that is a command and a handler.

#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        world: "urlpool:guest-p3-app/app",
        path: ["../p3/wit", "wit"],
        generate_all,
    });
}

use bindings::wasi::cli::{environment, exit, stdout};
use bindings::wasi::http::client;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use bindings::{wit_future, wit_stream};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

struct App;

bindings::export!(App with_types_in bindings);

impl bindings::exports::wasi::cli::run::Guest for App {
    async fn run() -> Result<(), ()> {
        let (mut out, text) = wit_stream::new();
        let printed = stdout::write_via_stream(text);
        let mut failed = false;
        for url in environment::get_arguments().into_iter().skip(1) {
            if let Some(status) = url.strip_prefix("exit:").and_then(|status| status.parse().ok()) {
                exit::exit_with_code(status);
            }
            let line = match get(&url).await {
                Ok((status, body)) => format!("{status} {}\n", String::from_utf8_lossy(&body).trim_end()),
                Err(error) => {
                    failed = true;
                    format!("failed: {error:?}\n")
                }
            };
            out.write_all(line.into_bytes()).await;
        }
        drop(out);
        printed.await.map_err(|_| ())?;
        if failed { Err(()) } else { Ok(()) }
    }
}

/// How many requests this instance has had.
static HANDLED: AtomicU32 = AtomicU32::new(0);

impl bindings::exports::wasi::http::handler::Guest for App {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let handled = HANDLED.fetch_add(1, Relaxed) + 1;
        let path = request.get_path_with_query().unwrap_or_default();
        let body = match path.split_once('?') {
            Some((_, url)) => get(url).await?.1,
            None => b"nothing asked for\n".to_vec(),
        };
        let headers = Fields::new();
        let _ = headers.append("x-handled", handled.to_string().as_bytes());
        let (mut writer, contents) = wit_stream::new();
        let (trailers, after) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(contents), after);
        // The body is written once the response is on its way.
        wit_bindgen::spawn_local(async move {
            writer.write_all(body).await;
            drop(writer);
            drop(trailers);
        });
        Ok(response)
    }
}

async fn get(url: &str) -> Result<(u16, Vec<u8>), ErrorCode> {
    let (trailers, after) = wit_future::new(|| Ok(None));
    let (request, sent) = Request::new(Fields::new(), None, after, None);
    drop(trailers);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    let (scheme, rest) = url.split_once("://").ok_or(()).map_err(invalid)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(path)).map_err(invalid)?;
    let response = client::send(request).await?;
    sent.await?;
    let status = response.get_status_code();
    let (verdict, read) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Response::consume_body(response, read);
    let body = contents.collect().await;
    drop(verdict);
    trailers.await?;
    Ok((status, body))
}
