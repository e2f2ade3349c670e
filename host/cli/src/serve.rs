//! `urlpool serve`: a handler component behind a server, over the connections of one host.

use crate::{args::ServeArgs, compose, denied::Denials, guest, plan};
use anyhow::{Context as _, Result, bail};
use serde_json::json;
use std::{
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    sync::Arc,
};
use tokio::net::TcpListener;
use urlpool_host::Host;
use urlpool_run::{Error, Event, Grants, Metrics, Observe, Served, Server};

/// Serves until the process is told to end.
///
/// # Errors
///
/// One line about what is wrong before the first request.
pub(crate) async fn run(args: &ServeArgs) -> Result<u8> {
    let grants = guest::granted(Grants::none().inherit_output(), &args.env, &args.dir)?;
    let host = plan::guest_host(&args.host)?.observer(Arc::new(Denials::default())).build()?;
    let server = server(args, grants, &host)?;
    // Both before the address is told: who reads it may send a request or a signal at once.
    let end = Signals::listen().context("signals")?;
    let listener = bind("--addr", args.addr).await?;
    let metrics = match args.metrics {
        None => None,
        Some(address) => {
            let (host, server) = (host.clone(), server.clone());
            let text = move || host.stats().prometheus() + &server.stats().prometheus();
            Some(Metrics::serve(bind("--metrics", address).await?, text).context("--metrics")?)
        }
    };
    let mut out = io::stdout();
    writeln!(out, "listening on http://{}/", listener.local_addr().context("--addr")?).context("standard output")?;
    if let Some(metrics) = &metrics {
        writeln!(out, "figures at http://{}/metrics", metrics.address()).context("standard output")?;
    }
    out.flush().context("standard output")?;

    let ended = server.serve(listener, end.first()).await;
    out.flush().context("standard output")?;
    if args.stats {
        eprintln!("{}", stats(&host, &server.stats()));
    }
    match ended {
        Ok(()) => Ok(0),
        Err(error) => {
            eprintln!("urlpool: at the end, {error}");
            Ok(FAILED)
        }
    }
}

/// The exit status when requests were cut off.
const FAILED: u8 = 1;

fn server(args: &ServeArgs, grants: Grants, host: &Host) -> Result<Server> {
    let named = || args.component.display().to_string();
    let mut builder = Server::builder().grants(grants).observer(Arc::new(Log::new(args.verbose)));
    if let Some(instances) = args.instances {
        builder = builder.instances(instances);
    }
    if let Some(requests) = args.reuse {
        builder = builder.reuse(requests);
    }
    if let Some(bytes) = args.max_memory {
        builder = builder.memory(bytes);
    }
    if let Some(deadline) = args.deadline {
        builder = builder.deadline(deadline.0);
    }
    if let Some(wait) = args.wait {
        builder = builder.wait(wait);
    }
    if let Some(grace) = args.grace {
        builder = builder.grace(grace);
    }
    let component = compose::whole(&args.component)?;
    match builder.build(&component, host.guest().build()?) {
        Ok(server) => Ok(server),
        Err(Error::World { exports, .. }) if exports.iter().any(|export| export.starts_with("wasi:cli/run@")) => {
            bail!("{}: is a command and handles no requests; `urlpool run` runs it", named())
        }
        Err(Error::Limit(name)) => bail!("--{name}: out of range"),
        Err(error) => Err(error).with_context(named),
    }
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{flag} {address}"))
}

/// The signals that end the program.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(not(unix))]
    fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The first one. The next one ends the program at once.
    async fn first(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(FAILED.into());
        });
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        // Where nobody can tell of it, it does not come.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Writes to stderr what the component did not answer, and with `-v` every request.
struct Log {
    all: bool,
    dim: bool,
}

impl Log {
    fn new(all: bool) -> Self {
        Self { all, dim: io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    fn tell(&self, line: &str) {
        let line = crate::one_line(line);
        match self.dim {
            true => eprintln!("\x1b[2m{line}\x1b[0m"),
            false => eprintln!("{line}"),
        }
    }
}

impl Observe for Log {
    fn observe(&self, event: Event<'_>) {
        match event {
            Event::Answered { method, path, status, took, fault } => {
                if self.all {
                    self.tell(&format!("{method} {path} {} {} ms", status.as_u16(), took.as_millis()));
                }
                if let Some(fault) = fault {
                    eprintln!("urlpool: {}", crate::one_line(&format!("{method} {path}: {fault}")));
                }
            }
            Event::Cut { method, path, fault } => {
                eprintln!("urlpool: {}", crate::one_line(&format!("{method} {path}: cut off: {fault}")));
            }
            _ => {}
        }
    }
}

/// The figures of the host, as `run --stats` has them, and those of the server.
fn stats(host: &Host, served: &Served) -> serde_json::Value {
    let mut stats = guest::stats(host);
    let answered: serde_json::Map<_, _> =
        served.answered.iter().map(|(class, count)| (format!("{class}xx"), json!(count))).collect();
    stats["stats"]["served"] = json!({
        "answered": answered,
        "faults": served.faults,
        "cut": served.cut,
        "instances": served.started,
    });
    stats
}
