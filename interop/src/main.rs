//! Holds the real component in the real host to servers, parsers and programs that other people wrote.
//!
//! `cargo xtask interop` installs those programs and runs this. Each [`Check`](check::Check) starts what it needs on the
//! loopback, under ports and folders of its own, and asserts what the other side saw. To add one, write it under `checks`,
//! list it in that file's `checks!`, and add a [`Need`](need::Need) when it needs a program that no check has needed yet.

mod certificates;
mod check;
mod checks;
mod consumers;
mod daemon;
mod folder;
mod group;
mod haproxy;
mod httpbin;
mod log;
mod need;
mod nghttpd;
mod nginx;
mod parser;
mod port;
mod program;
mod run;
mod runtimes;
mod served;
mod stock;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: urlpool-interop [FILTER]...   run the checks whose names hold one of the filters, or all
       urlpool-interop --list        their names
       urlpool-interop --missing     what is missing, one a line: `debian PACKAGE` or `set NAME`
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("--list") => {
            for check in checks::all() {
                println!("{}", check.title());
            }
            ExitCode::SUCCESS
        }
        Some("--missing") => {
            for missing in need::missing() {
                println!("{missing}");
            }
            ExitCode::SUCCESS
        }
        Some(option) if option.starts_with('-') => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
        _ => run::run(&args),
    }
}
