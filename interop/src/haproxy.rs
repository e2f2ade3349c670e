//! haproxy with a frontend of our own, and its log as a witness.

use std::fmt;

use anyhow::{Context, Result, bail};

use crate::certificates::Identity;
use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::log;
use crate::need::Need;
use crate::port::Port;

/// A running haproxy with one frontend; dropping it stops it.
pub(crate) struct Haproxy {
    daemon: Daemon,
    port: Port,
    tls: bool,
    // Removed last.
    _folder: Folder,
}

impl Haproxy {
    /// Listens in clear text, with these lines in the frontend and these sections after it.
    pub(crate) async fn plain(frontend: &str, sections: &str) -> Result<Self> {
        Self::start(frontend, sections, None).await
    }

    /// Listens with TLS, offering HTTP/2 and HTTP/1.1.
    pub(crate) async fn tls(identity: &Identity, frontend: &str) -> Result<Self> {
        Self::start(frontend, "", Some(identity)).await
    }

    async fn start(frontend: &str, sections: &str, identity: Option<&Identity>) -> Result<Self> {
        let folder = Folder::new()?;
        let port = Port::reserve()?;
        let mut bind = format!("bind 127.0.0.1:{port}");
        if let Some(identity) = identity {
            let file = folder.write("identity.pem", format!("{}{}", identity.certificate, identity.key))?;
            bind.push_str(&format!(" ssl crt {} alpn h2,http/1.1", file.display()));
        }
        let configuration = format!("{DEFAULTS}\nfrontend f\n{bind}\n{frontend}\n{sections}\n");
        let file = folder.write("haproxy.cfg", configuration)?;
        let daemon = Daemon::start(
            Need::Haproxy,
            |command| {
                // In one process, in the foreground. Not quiet, which would silence the log, too.
                command.args(["-db", "-f"]).arg(&file);
            },
            &[&port],
            folder.path(),
        )
        .await?;
        Ok(Self { daemon, port, tls: identity.is_some(), _folder: folder })
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http{}://127.0.0.1:{}{path}", if self.tls { "s" } else { "" }, self.port)
    }

    /// Waits until it has logged this many requests, and tells of all.
    ///
    /// # Errors
    ///
    /// When there are not so many, or more.
    pub(crate) async fn seen(&self, count: usize) -> Result<Vec<Line>> {
        log::until(count, || self.seen_so_far()).await
    }

    /// All it has logged up to now.
    pub(crate) fn seen_so_far(&self) -> Result<Vec<Line>> {
        let printed = self.daemon.printed();
        log::whole(&printed).filter_map(|line| line.strip_prefix("seen ")).map(Line::read).collect()
    }
}

/// One request as haproxy logged it.
pub(crate) struct Line {
    /// The client's port, which tells connections apart.
    pub(crate) connection: u16,
    /// What was answered; -1 for nothing.
    pub(crate) status: i32,
    /// Such as `GET`; `<BADREQ>` where no request came.
    pub(crate) method: String,
    /// Such as `HTTP/1.1`.
    pub(crate) protocol: String,
}

impl Line {
    fn read(line: &str) -> Result<Self> {
        let fields: Vec<_> = line.split(' ').collect();
        let [connection, status, method, protocol] = fields[..] else {
            bail!("not a line of haproxy's log: {line:?}");
        };
        Ok(Self {
            connection: connection.parse().context("port")?,
            status: status.parse().context("status")?,
            method: method.to_owned(),
            protocol: protocol.to_owned(),
        })
    }
}

/// Short, since there may be hundreds.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, status, method, protocol } = self;
        write!(f, "#{connection}: {method} {status} {protocol}")
    }
}

/// The connections of the lines, each once, in order.
pub(crate) fn connections(lines: &[Line]) -> Vec<u16> {
    let mut connections = Vec::new();
    for line in lines {
        if !connections.contains(&line.connection) {
            connections.push(line.connection);
        }
    }
    connections
}

/// What was answered to which method, in order, as `GET 200`.
pub(crate) fn answers(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| format!("{} {}", line.method, line.status)).collect()
}

// A connection without a request, such as the knock that finds it listening, is not logged.
const DEFAULTS: &str = "\
global
log stdout format raw local0
defaults
mode http
log global
option dontlognull
log-format \"seen %cp %ST %HM %HV\"
timeout connect 5s
timeout client 30s
timeout server 30s
retries 0";
