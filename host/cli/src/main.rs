//! The `urlpool` program: flags to library calls, and what came of them to an exit status.

mod args;
mod component;
mod compose;
#[cfg(feature = "conform")]
mod conform;
mod demo;
mod denied;
mod form;
mod guest;
mod origin;
mod plan;
mod receive;
mod run;
mod script;
mod send;
mod serve;
mod trace;
mod verbose;

use args::{Cli, Command};
use clap::Parser as _;

/// Usage, or anything else that is wrong before a request is sent.
const USAGE: u8 = 2;

fn main() {
    let cli = Cli::parse();
    let code = match run(&cli.command) {
        Ok(code) => code,
        // Whoever reads the output has seen enough.
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) => {
            eprintln!("urlpool: {}", one_line(&format!("{error:#}")));
            USAGE
        }
    };
    // Not by returning: a read of the standard input may still be going on, and would be waited for.
    std::process::exit(code.into())
}

fn run(command: &Command) -> anyhow::Result<u8> {
    if let Command::Serve(args) = command {
        // Many instances compute side by side.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let code = runtime.block_on(serve::run(args));
        runtime.shutdown_background();
        return code;
    }
    // With one thread a request does not wait for another one to wake up.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = match command {
        Command::Send(args) => runtime.block_on(send::run(args)),
        Command::Script(args) => runtime.block_on(script::run(args)),
        Command::Run(args) => runtime.block_on(run::run(args)),
        Command::Serve(args) => runtime.block_on(serve::run(args)),
        Command::Compose(args) => compose::run(args),
        Command::Demo => runtime.block_on(demo::run()),
        Command::Component(args) => runtime.block_on(component::run(args)),
        Command::Wit => component::wit(),
        #[cfg(feature = "conform")]
        // Each case has a runtime of its own.
        Command::Conform(args) => conform::run(args),
    };
    runtime.shutdown_background();
    code
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A message as one line that a terminal can show: what is wrong may quote control characters.
fn one_line(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
