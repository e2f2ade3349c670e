//! `urlpool run`: a command component over the connections of one host.

use crate::{args::RunArgs, compose, denied::Denials, guest, plan};
use anyhow::{Context as _, Result, bail};
use std::{
    io::{self, Write as _},
    sync::Arc,
};
use urlpool_run::{Command, Error, Grants};

/// Runs it to its end, and returns its status.
///
/// # Errors
///
/// One line about what is wrong before it runs.
pub(crate) async fn run(args: &RunArgs) -> Result<u8> {
    let path = &args.component;
    let named = || path.display().to_string();
    // Its own name is that of its file.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut grants = Grants::none().inherit_stdio().arg(&name);
    for arg in &args.args {
        grants = grants.arg(arg);
    }
    let grants = guest::granted(grants, &args.env, &args.dir)?;
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
        eprintln!("{}", guest::stats(&host));
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

/// Whether this is an export by which requests are handled.
fn is_handler(export: &str) -> bool {
    export.starts_with("wasi:http/incoming-handler@") || export.starts_with("wasi:http/handler@")
}
