//! `urlpool script`: one operation a line, one answer a line.

use crate::{args::ScriptArgs, plan};
use anyhow::{Context as _, Result};
use std::{
    io::{self, Write as _},
    path::Path,
    pin::Pin,
};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};
use urlpool_script::Program;

/// Does each line and answers it before the next one is read.
///
/// # Errors
///
/// One line about what is wrong before the first operation, or that the script or the output ended early.
pub(crate) async fn run(args: &ScriptArgs) -> Result<u8> {
    let mut lines: Pin<Box<dyn AsyncBufRead>> = match args.file == Path::new("-") {
        true => Box::pin(BufReader::new(tokio::io::stdin())),
        false => {
            let file = tokio::fs::File::open(&args.file).await;
            let file = file.with_context(|| format!("script {}", args.file.display()))?;
            Box::pin(BufReader::new(file))
        }
    };
    let transport = plan::transport(&args.host)?;
    let mut session = Program::embedded()?.session(transport).await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).await;
        if read.with_context(|| format!("script {}", args.file.display()))? == 0 {
            return Ok(0);
        }
        // What is not UTF-8 is no JSON either, and is answered as such.
        let Some(answer) = session.line(&String::from_utf8_lossy(&line)).await else { continue };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush()).context("standard output")?;
    }
}
