//! `urlpool compose`, and what `run` does of it on the fly.

use crate::args::ComposeArgs;
use anyhow::{Context as _, Result};
use std::{
    borrow::Cow,
    io::{self, Write as _},
    path::Path,
};
use urlpool_compose::{Client, World};

/// Writes the app with the client in it.
///
/// # Errors
///
/// One line about what is wrong with which of the files, or why they do not go together.
pub(crate) fn run(args: &ComposeArgs) -> Result<u8> {
    let app = read(&args.app)?;
    let client: Cow<'_, [u8]> = match &args.component {
        Some(path) => read(path)?.into(),
        None => urlpool_script::component()?.into(),
    };
    let client = Client::new(&client).with_context(|| {
        let path = args.component.as_deref().unwrap_or(Path::new("the embedded client"));
        format!("--component {}", path.display())
    })?;
    let whole = client.plug_into(&app).with_context(|| args.app.display().to_string())?;
    if args.output == Path::new("-") {
        io::stdout().write_all(&whole).context("standard output")?;
    } else {
        std::fs::write(&args.output, whole).with_context(|| format!("-o {}", args.output.display()))?;
    }
    Ok(0)
}

/// A component that is ready to run: with the client in it, if it wants that.
///
/// # Errors
///
/// One line that names the file.
pub(crate) fn whole(path: &Path) -> Result<Vec<u8>> {
    let app = read(path)?;
    let named = || path.display().to_string();
    if !World::of(&app).with_context(named)?.wants_client() {
        return Ok(app);
    }
    Client::new(urlpool_script::component()?)?.plug_into(&app).with_context(named)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}
