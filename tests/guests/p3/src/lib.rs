//! A guest of WASI 0.3 that sends what the tests of the host ask for.

#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        world: "guest",
        path: "wit",
        generate_all,
    });
}

use bindings::wasi::http::client;
use bindings::wasi::http::types::{ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme};
use bindings::{Answer, Uploaded, wit_future, wit_stream};
use futures::{StreamExt, join, stream};

struct Guest;

bindings::export!(Guest with_types_in bindings);

impl bindings::Guest for Guest {
    async fn get_all(urls: Vec<String>, at_once: u32, between_bytes: Option<u64>) -> Vec<Result<Answer, ErrorCode>> {
        let getting = stream::iter(urls).map(|url| get(url, between_bytes));
        getting.buffered(at_once as usize).collect().await
    }

    async fn upload(url: String, pieces: u32, bytes: u32) -> Uploaded {
        let (mut writer, contents) = wit_stream::new();
        let (trailers, after) = wit_future::new(|| Ok(None));
        let (request, sent) = Request::new(Fields::new(), Some(contents), after, None);
        let answering = async {
            request.set_method(&Method::Post).map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
            direct(&request, &url)?;
            read(client::send(request).await?).await
        };
        let writing = async move {
            for _ in 0..pieces {
                let refused = writer.write_all(vec![b'x'; bytes as usize]).await;
                if !refused.is_empty() {
                    return;
                }
            }
            // The end of the stream comes before the trailers, of which there are none.
            drop(writer);
            drop(trailers);
        };
        let (answer, (), sent) = join!(answering, writing, async { sent.await });
        Uploaded { answer, sent }
    }
}

async fn get(url: String, between_bytes: Option<u64>) -> Result<Answer, ErrorCode> {
    let options = RequestOptions::new();
    options.set_between_bytes_timeout(between_bytes).map_err(|_| ErrorCode::ConfigurationError)?;
    let (trailers, after) = wit_future::new(|| Ok(None));
    let (request, sent) = Request::new(Fields::new(), None, after, Some(options));
    drop(trailers);
    direct(&request, &url)?;
    let response = client::send(request).await?;
    sent.await?;
    read(response).await
}

/// Sends the request to where an absolute URL leads.
fn direct(request: &Request, url: &str) -> Result<(), ErrorCode> {
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    let (scheme, rest) = url.split_once("://").ok_or(()).map_err(invalid)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(path)).map_err(invalid)
}

async fn read(response: Response) -> Result<Answer, ErrorCode> {
    let status = response.get_status_code();
    let (verdict, read) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Response::consume_body(response, read);
    let body = contents.collect().await;
    drop(verdict);
    // Why the body ended is told where its trailers would be.
    trailers.await?;
    Ok(Answer { status, body })
}
