//! A guest of the tests: a command over wstd that never heard of urlpool.
//!
//! Called with a URL and a number, it gets that URL so many times, one after the other, and prints each status and body.

use wstd::http::{Body, Client, Error, Request};

struct Get;

impl wasip2::exports::cli::run::Guest for Get {
    fn run() -> Result<(), ()> {
        let mut args = std::env::args().skip(1);
        let (Some(url), count) = (args.next(), args.next().and_then(|count| count.parse().ok()).unwrap_or(1)) else {
            eprintln!("a URL is needed");
            return Err(());
        };
        wstd::runtime::block_on(get(&url, count)).map_err(|error| eprintln!("failed: {error:#}"))
    }
}

async fn get(url: &str, count: u32) -> Result<(), Error> {
    let client = Client::new();
    for _ in 0..count {
        let response = client.send(Request::get(url).body(Body::empty())?).await?;
        let status = response.status();
        let mut body = response.into_body();
        println!("{status} {}", body.str_contents().await?.trim_end());
    }
    Ok(())
}

wasip2::cli::command::export!(Get);
