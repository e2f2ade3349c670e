//! Reads feeds side by side with work of its own, posts a file, and tells what went wrong by kind.
//!
//! ```sh
//! feed http://127.0.0.1:8000/ http://127.0.0.1:1/ notes.txt
//! ```
//!
//! The first URL is that of a site with feeds, the second one of a place that refuses connections. The file is posted; the host
//! has to let this program see it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::{join, join_all, select_all};
use serde::Deserialize;
use urlpool::{ErrorKind, Form, Pollable, Pool, Retry, Timeouts};
use wstd::runtime::{AsyncPollable, block_on};

#[derive(Deserialize)]
struct Feed {
    title: String,
    entries: Vec<String>,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let site = args.next().context("the URL of a site is missing")?;
    let refusing = args.next().context("the URL of a place that refuses is missing")?;
    let file = args.next().context("the path of a file is missing")?;

    let retry = Retry::default().with_statuses([503]).with_backoff(Duration::from_millis(1), Duration::from_millis(1));
    let pool = Pool::builder().slots(4).retry(retry).build()?;
    block_on(async {
        // The reactor is wstd's: timers and sockets of this program go on while the client waits.
        let (feeds, ticks) = join(read(&pool, &site), tick()).await;
        for feed in feeds? {
            println!("{}: {}", feed.title, feed.entries.join(", "));
        }
        println!("ticks meanwhile: {}", if ticks > 0 { "some" } else { "none" });
        anyhow::Ok(())
    })?;

    // Streamed from where the host has it: this program never holds it.
    let content = urlpool::open(&file)?;
    let form = Form::new().field("by", "feed").file_stream("file", "notes.txt", "text/plain", content);
    let posted = pool.post(format!("{site}upload")).form(form).send()?.error_for_status()?;
    println!("posted: {}", posted.text()?);

    let quick = Timeouts::default().with_total(Duration::from_millis(200));
    tell("refused", pool.get(&refusing).send());
    tell("slow", pool.get(format!("{site}slow")).timeouts(quick).send());
    tell("large", pool.get(format!("{site}large")).max_body(64 * 1024).send());
    Ok(())
}

/// Three at a time, each a future of its own.
async fn read(pool: &Pool, site: &str) -> Result<Vec<Feed>, urlpool::Error> {
    let reading = ["feeds/news", "feeds/weather", "feeds/flaky"].map(async |name| {
        let response = pool.get(format!("{site}{name}")).start().finish_with(ready).await?;
        response.error_for_status()?.json()
    });
    join_all(reading).await.into_iter().collect()
}

/// How wstd waits for any one of the pollables that the client needs.
async fn ready(pollables: Vec<Pollable>) {
    let pollables: Vec<_> = pollables.into_iter().map(AsyncPollable::new).collect();
    select_all(pollables.iter().map(|pollable| Box::pin(pollable.wait_for()))).await;
}

/// Work of its own.
async fn tick() -> u32 {
    let mut ticks = 0;
    for _ in 0..5 {
        wstd::task::sleep(wstd::time::Duration::from_millis(1)).await;
        ticks += 1;
    }
    ticks
}

/// One line for each way in which it may end; a program would do something about each.
fn tell(what: &str, outcome: Result<urlpool::Response, urlpool::Error>) {
    match outcome.and_then(|response| response.text()) {
        Ok(text) => println!("{what}: {} bytes", text.len()),
        Err(error) => match error.kind() {
            ErrorKind::Connect => println!("{what}: cannot be reached"),
            ErrorKind::TimedOut => println!("{what}: takes longer than {:?}", error.limit().unwrap_or_default()),
            ErrorKind::TooLarge => println!("{what}: is larger than allowed"),
            ErrorKind::Denied => println!("{what}: denied by the host"),
            _ => println!("{what}: {error}"),
        },
    }
}
