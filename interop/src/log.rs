//! Waiting for what a server writes into its log.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail};

/// Reads a log again and again until it has this many lines, which a server writes when a request has ended; for the client
/// that may be a little earlier.
///
/// # Errors
///
/// When there are not so many in time, or more.
pub(crate) async fn until<L: Debug>(count: usize, read: impl Fn() -> Result<Vec<L>>) -> Result<Vec<L>> {
    let reading = async {
        loop {
            let lines = read()?;
            if lines.len() >= count {
                return Ok::<_, anyhow::Error>(lines);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let lines = match tokio::time::timeout(WAITS, reading).await {
        Ok(lines) => lines?,
        Err(_) => read()?,
    };
    if lines.len() != count {
        bail!("the server saw {} requests, expected {count}: {lines:?}", lines.len());
    }
    Ok(lines)
}

/// The whole lines of a log: one that is only half written has no end yet.
pub(crate) fn whole(text: &str) -> impl Iterator<Item = &str> {
    text.rfind('\n').map_or("", |end| &text[..end]).lines()
}

const WAITS: Duration = Duration::from_secs(5);
