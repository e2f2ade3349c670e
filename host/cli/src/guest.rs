//! What `run` and `serve` have in common: what a component is given, and what is told of its connections.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::path::Path;
use urlpool_host::{Host, Stats};
use urlpool_run::Grants;
use urlpool_script::answer;

/// With the variables of `--env` and the folders of `--dir`.
///
/// # Errors
///
/// One line that names the flag and what is wrong with it.
pub(crate) fn granted(mut grants: Grants, env: &[String], dir: &[String]) -> Result<Grants> {
    for variable in env {
        grants = match variable.split_once('=') {
            Some((name, value)) => grants.env(name, value),
            None => match std::env::var(variable) {
                Ok(value) => grants.env(variable, &value),
                // Like a variable that is not set; the component can tell.
                Err(std::env::VarError::NotPresent) => grants,
                Err(error) => return Err(error).with_context(|| format!("--env {variable}")),
            },
        };
    }
    for dir in dir {
        let (folder, known_as) = dir.split_once("::").unwrap_or((dir, dir));
        grants = grants.folder(Path::new(folder), known_as).context("--dir")?;
    }
    Ok(grants)
}

/// The figures of a host, as `send --stats` has them.
pub(crate) fn stats(host: &Host) -> Value {
    let figures: Stats = host.stats();
    let mut stats = answer::host_stats(&figures);
    stats["requests"] = figures.requests.into();
    json!({ "stats": stats })
}
