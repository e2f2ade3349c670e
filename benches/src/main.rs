//! Figures of urlpool beside native clients and other guest libraries. Started by `cargo xtask bench` and `cargo xtask soak`,
//! which build what it needs.

mod chart;
mod contenders;
mod engine;
mod guest;
mod memory;
mod origin;
mod relay;
mod report;
mod rounds;
mod rows;
mod servers;
mod soak;
mod start;
mod stock;
mod table;
mod zeros;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, Parser, ValueEnum};
use tokio::runtime::{Builder, Runtime};

use crate::contenders::{Contenders, Parts};
use crate::engine::Setup;
use crate::report::{Report, Size};
use crate::rows::{Entry, Group, Scale};
use crate::servers::Servers;

#[derive(Parser)]
#[command(about, disable_help_subcommand = true)]
enum Command {
    /// Measures, prints a table, and writes the results.
    Run(Run),
    /// Makes very many requests, and fails when anything has grown.
    Soak(Soak),
    /// Serves the other commands.
    #[command(hide = true)]
    Origin {
        /// How many ports are origins of their own.
        #[arg(long, default_value_t = 0)]
        many: usize,
    },
    /// Delays what goes between clients and servers.
    #[command(hide = true)]
    Relay {
        /// The servers.
        targets: Vec<SocketAddr>,
    },
}

#[derive(Args)]
struct Run {
    /// Less work in fewer rounds: about a minute.
    #[arg(long)]
    quick: bool,
    /// The groups of rows. Default: all.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<Group>,
    /// How often each contender does the work of a row. Default: 11, quick 3.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only the contenders whose names hold one of these, such as `ours`, or are that, as with `=ours`; for a profile.
    /// Default: all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these variants of a contender, such as `1024` in flight; for a profile. Default: all.
    #[arg(long, value_delimiter = ',')]
    variants: Vec<String>,
    /// The folder for the results.
    #[arg(long)]
    out: PathBuf,
    /// The size of a build of the component, as NAME=BYTES.
    #[arg(long = "size")]
    sizes: Vec<Size>,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    parts: Parts,
}

#[derive(Args)]
struct Soak {
    /// How many requests.
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// In how many instances, side by side.
    #[arg(long, default_value_t = 1)]
    instances: u32,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    parts: Parts,
}

/// What the clients run on.
#[derive(Args)]
struct Machine {
    /// The runtime of tokio.
    #[arg(long, value_enum, default_value_t = Flavour::Current)]
    runtime: Flavour,
    /// Calls guests by the machinery of WASI 0.3.
    #[arg(long)]
    concurrency_support: bool,
    /// Takes the memory of guests from a pool.
    #[arg(long)]
    pooling_allocator: bool,
    /// Names the compiled code for `perf`, in the folder for temporary files.
    #[arg(long)]
    perf_map: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Flavour {
    /// One thread, which wakes nobody.
    Current,
    /// A thread for each processor.
    Multi,
}

impl Machine {
    fn runtime(&self) -> Result<Runtime> {
        let mut builder = match self.runtime {
            Flavour::Current => Builder::new_current_thread(),
            Flavour::Multi => Builder::new_multi_thread(),
        };
        Ok(builder.enable_all().build()?)
    }

    fn setup(&self) -> Setup {
        Setup { concurrency: self.concurrency_support, pooling: self.pooling_allocator, perf_map: self.perf_map }
    }
}

fn main() -> ExitCode {
    match execute(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<()> {
    memory::allow_many_files()?;
    let one_thread = || Builder::new_current_thread().enable_all().build();
    match command {
        Command::Run(args) => spawned(args.machine.runtime()?, run(args)),
        Command::Soak(args) => spawned(args.machine.runtime()?, soak(args)),
        Command::Origin { many } => one_thread()?.block_on(origin::run(many)),
        Command::Relay { targets } => one_thread()?.block_on(relay::run(&targets, Duration::from_millis(10))),
    }
}

/// Runs this as a task. Waking what a runtime blocks on costs a system call each time, even from its own thread.
fn spawned(runtime: Runtime, work: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    runtime.block_on(runtime.spawn(work))?
}

async fn soak(args: Soak) -> Result<()> {
    soak::run(args.requests, args.instances, args.machine.setup(), &args.parts).await
}

async fn run(args: Run) -> Result<()> {
    let scale = if args.quick { Scale::Quick } else { Scale::Full };
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 11 }).max(1);
    let groups = if args.rows.is_empty() { Group::value_variants() } else { &args.rows[..] };
    let setup = args.machine.setup();
    let mut servers = Servers::start(1024).await?;
    let root = servers.near.root.clone();
    let mut contenders = Contenders::new(args.parts, setup.engine()?, root.clone());
    let mut report = Report::new(scale, setup, format!("{:?}", args.machine.runtime).to_lowercase());
    for &group in groups {
        for mut row in rows::of(group, &servers, scale) {
            let wanted = |entry: &Entry| {
                let name = entry.kind.to_string();
                let variant = args.variants.is_empty() || args.variants.contains(&entry.variant);
                let fits = |only: &String| match only.strip_prefix('=') {
                    Some(whole) => name == whole,
                    None => name.contains(only),
                };
                variant && (args.only.is_empty() || args.only.iter().any(fits))
            };
            row.entries.retain(wanted);
            if row.entries.is_empty() {
                continue;
            }
            let begun = Instant::now();
            let rounds = rounds.min(row.rounds);
            eprint!("{}, {rounds} rounds ...", row.title);
            let figures = rounds::measure(&row, rounds, &mut contenders, &mut servers).await?;
            eprintln!(" {:.1} s", begun.elapsed().as_secs_f64());
            report.add(&row, rounds, figures);
        }
        if group == Group::Start {
            let begun = Instant::now();
            eprint!("starts, {rounds} rounds ...");
            report.starts = start::measure(rounds, setup, contenders.parts(), &root).await?;
            eprintln!(" {:.1} s", begun.elapsed().as_secs_f64());
        }
        if group == Group::Size {
            report.sizes = args.sizes.clone();
        }
    }
    table::print(&report);
    let name = if args.quick { "quick" } else { "latest" };
    report.write(&args.out, name)
}
