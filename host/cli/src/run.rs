//! `urlpool run`: a command component over the connections of one host.

use crate::{args::RunArgs, compose, denied::Denials, plan};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::{
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};
use urlpool_host::{Host, Stats};
use urlpool_run::{Command, Error, Grants};
use urlpool_script::answer;

/// Runs it to its end, and returns its status.
///
/// # Errors
///
/// One line about what is wrong before it runs.
pub(crate) async fn run(args: &RunArgs) -> Result<u8> {
    let path = &args.component;
    let named = || path.display().to_string();
    let grants = grants(args)?;
    let host = plan::guest_host(&args.host)?.observer(Arc::new(Denials::default())).build()?;
    let component = compose::whole(path)?;
    let command = match Command::new(&component) {
        Ok(command) => command,
        Err(Error::World { exports, .. }) if exports.iter().any(|export| is_handler(export)) => {
            bail!("{}: handles requests and is no command; `urlpool serve` runs it", named())
        }
        Err(error) => return Err(error).with_context(named),
    };
    // Not needed any more, and large.
    drop(component);
    let ended = command.run(&grants, &host.guest().build()?).await;
    // What it wrote to our stdout may wait there for the end of a line.
    io::stdout().flush().context("standard output")?;
    if args.stats {
        eprintln!("{}", stats(&host));
    }
    match ended {
        Ok(exit) => Ok(u8::try_from(exit.status()).unwrap_or(FAILED)),
        Err(error) => {
            eprintln!("urlpool: {}", crate::one_line(&format!("{}: {error}", named())));
            Ok(FAILED)
        }
    }
}

/// The exit status of a component that trapped.
const FAILED: u8 = 1;

fn grants(args: &RunArgs) -> Result<Grants> {
    // Its own name is that of its file.
    let name = args.component.file_name().unwrap_or_default().to_string_lossy();
    let mut grants = Grants::none().inherit_stdio().arg(&name);
    for arg in &args.args {
        grants = grants.arg(arg);
    }
    for variable in &args.env {
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
    for dir in &args.dir {
        let (folder, known_as) = dir.split_once("::").unwrap_or((dir, dir));
        grants = grants.folder(Path::new(folder), known_as).context("--dir")?;
    }
    Ok(grants)
}

/// Whether this is an export by which requests are handled.
fn is_handler(export: &str) -> bool {
    export.starts_with("wasi:http/incoming-handler@") || export.starts_with("wasi:http/handler@")
}

/// The figures of a host, as `send --stats` has them.
fn stats(host: &Host) -> Value {
    let figures: Stats = host.stats();
    let mut stats = answer::host_stats(&figures);
    stats["requests"] = figures.requests.into();
    json!({ "stats": stats })
}
