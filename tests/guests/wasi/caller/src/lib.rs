//! A guest of the tests: a command that imports the client.
//!
//! Its first argument says what it does: `get URL…` sends requests one after the other and prints status and body of each,
//! `show FILE` what it was given, `exit N`, `fail` and `trap` end it in three ways.

#[allow(clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        world: "urlpool:guest-caller/caller",
        path: ["../../../../wit/released/0.2.0/client.wit", "wit"],
        generate_all,
    });
}

use bindings::urlpool::client::messages::Error;
use bindings::urlpool::client::policy::Retry;
use bindings::urlpool::client::pool::{Options, Pool};
use std::io::Read as _;

struct Caller;

impl bindings::exports::wasi::cli::run::Guest for Caller {
    fn run() -> Result<(), ()> {
        let args: Vec<String> = std::env::args().collect();
        let operands = args.get(2..).unwrap_or_default();
        match args.get(1).map(String::as_str) {
            Some("get") => get(operands).map_err(|error| eprintln!("{:?}: {}", error.kind, error.message)),
            Some("show") => show(&args, operands),
            Some("exit") => {
                let status = operands.first().and_then(|status| status.parse().ok());
                std::process::exit(status.unwrap_or(99))
            }
            Some("trap") => std::process::abort(),
            _ => Err(()),
        }
    }
}

fn get(urls: &[String]) -> Result<(), Error> {
    let options = Options::new();
    options.set_retry(&Retry::never());
    let pool = Pool::new(Some(&options));
    for url in urls {
        let response = pool.get(url, &[])?;
        println!("{} {}", response.status(), response.read_text(1 << 20)?.trim_end());
    }
    Ok(())
}

/// Prints the arguments, the environment, the standard input and, with a file, what is in it, which it then replaces.
fn show(args: &[String], operands: &[String]) -> Result<(), ()> {
    println!("args {args:?}");
    for (name, value) in std::env::vars() {
        println!("env {name}={value}");
    }
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).map_err(|error| eprintln!("stdin: {error}"))?;
    println!("stdin {input:?}");
    if let Some(file) = operands.first() {
        let text = std::fs::read_to_string(file).map_err(|error| eprintln!("{file}: {error}"))?;
        println!("file {text:?}");
        std::fs::write(file, "written by the guest").map_err(|error| eprintln!("{file}: {error}"))?;
    }
    Ok(())
}

bindings::export!(Caller with_types_in bindings);
