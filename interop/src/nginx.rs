//! nginx with a configuration of our own, and its access log as a witness.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::certificates::Identity;
use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::log;
use crate::need::Need;
use crate::port::Port;

/// A running nginx with one server; dropping it stops it.
pub(crate) struct Nginx {
    // Stopped before the port is free for others, and before its folder goes.
    _daemon: Daemon,
    port: Port,
    folder: Folder,
    tls: bool,
}

/// What is to be served.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// Directives of the `http` block.
    pub(crate) http: &'a str,
    /// Directives of the `server` block. Files are in its `root`.
    pub(crate) server: &'a str,
    /// The certificate; without one it is clear text.
    pub(crate) identity: Option<&'a Identity>,
    /// Whether HTTP/2 is offered too.
    pub(crate) http2: bool,
    /// Further files beside the configuration, by name.
    pub(crate) files: &'a [(&'a str, &'a str)],
}

impl Nginx {
    /// Serves clear text with these directives of the `server` block.
    pub(crate) async fn plain(server: &str) -> Result<Self> {
        Self::start(Setup { server, ..Setup::default() }).await
    }

    /// Serves TLS with these directives of the `server` block.
    pub(crate) async fn tls(identity: &Identity, server: &str) -> Result<Self> {
        Self::start(Setup { server, identity: Some(identity), ..Setup::default() }).await
    }

    /// Serves HTTP/2 over TLS with these directives of the `server` block.
    pub(crate) async fn http2(identity: &Identity, server: &str) -> Result<Self> {
        Self::start(Setup { server, identity: Some(identity), http2: true, ..Setup::default() }).await
    }

    /// Serves this.
    pub(crate) async fn start(setup: Setup<'_>) -> Result<Self> {
        let folder = Folder::new()?;
        let port = Port::reserve()?;
        fs::create_dir(folder.join("root"))?;
        for (name, text) in setup.files {
            folder.write(name, text)?;
        }
        let mut listen = format!("listen 127.0.0.1:{port}");
        if let Some(identity) = setup.identity {
            folder.write("certificate.pem", &identity.certificate)?;
            folder.write("key.pem", &identity.key)?;
            listen.push_str(" ssl");
        }
        if setup.http2 {
            listen.push_str(" http2");
        }
        let certificate = match setup.identity {
            Some(_) => "ssl_certificate certificate.pem; ssl_certificate_key key.pem;",
            None => "",
        };
        let Setup { http, server, .. } = setup;
        let configuration = format!(
            "{MAIN}
             http {{
               log_format seen escape=none '{FIELDS}';
               access_log access.log seen;
               client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
               uwsgi_temp_path uwsgi; scgi_temp_path scgi;
               default_type text/plain;
               {http}
               server {{ {listen}; {certificate} root root; {server} }}
             }}"
        );
        folder.write("nginx.conf", configuration)?;
        let path = folder.path().to_owned();
        let daemon = Daemon::start(
            Need::Nginx,
            |command| {
                command.arg("-p").arg(&path).arg("-c").arg(path.join("nginx.conf")).args(["-e", "stderr"]);
            },
            &[&port],
            folder.path(),
        )
        .await?;
        Ok(Self { _daemon: daemon, port, folder, tls: setup.identity.is_some() })
    }

    /// The URL of a path, by the address.
    pub(crate) fn url(&self, path: &str) -> String {
        self.url_at("127.0.0.1", path)
    }

    /// The URL of a path, by a name.
    pub(crate) fn url_at(&self, host: &str, path: &str) -> String {
        format!("http{}://{host}:{}{path}", if self.tls { "s" } else { "" }, self.port)
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    /// Where a file of its root is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join("root").join(name)
    }

    /// Waits until it has seen this many requests to their ends, and tells of all it has seen.
    ///
    /// # Errors
    ///
    /// When there are not so many, or more.
    pub(crate) async fn seen(&self, count: usize) -> Result<Seen> {
        log::until(count, || Ok(self.seen_so_far()?.0)).await.map(Seen)
    }

    /// All it has seen to its end up to now.
    pub(crate) fn seen_so_far(&self) -> Result<Seen> {
        let text = fs::read_to_string(self.folder.join("access.log"))?;
        log::whole(&text).map(Line::read).collect::<Result<Vec<_>>>().map(Seen)
    }
}

/// The requests that nginx saw, in the order of their ends.
#[derive(Debug)]
pub(crate) struct Seen(pub(crate) Vec<Line>);

impl Seen {
    /// How many requests each connection carried, in the order of connections.
    pub(crate) fn per_connection(&self) -> Vec<usize> {
        let mut counts = BTreeMap::<u64, usize>::new();
        for line in &self.0 {
            *counts.entry(line.connection).or_default() += 1;
        }
        counts.into_values().collect()
    }

    /// What was answered to which method, in order, as `GET 200`.
    pub(crate) fn answers(&self) -> Vec<String> {
        self.0.iter().map(|line| format!("{} {}", line.method, line.status)).collect()
    }

    /// How many requests there were to this path, whatever its query.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.0.iter().filter(|line| line.path.split('?').next() == Some(path)).count()
    }
}

/// One request as nginx logged it.
pub(crate) struct Line {
    /// Counts the connections that nginx accepted or made.
    pub(crate) connection: u64,
    pub(crate) status: u16,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Such as `HTTP/1.1`.
    pub(crate) protocol: String,
    /// Such as `TLSv1.3`; empty in clear text.
    pub(crate) tls: String,
    /// Whether the TLS session was one of an earlier connection.
    pub(crate) resumed: bool,
    /// How many connections were open.
    pub(crate) active: usize,
}

impl Line {
    fn read(line: &str) -> Result<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        let [connection, status, method, path, protocol, tls, reused, active] = fields[..] else {
            bail!("not a line of nginx's log: {line:?}");
        };
        Ok(Self {
            connection: connection.parse().context("connection")?,
            status: status.parse().context("status")?,
            method: method.to_owned(),
            path: path.to_owned(),
            protocol: protocol.to_owned(),
            tls: tls.to_owned(),
            resumed: reused == "r",
            active: active.parse().context("active connections")?,
        })
    }
}

/// Short, since there may be hundreds.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, status, method, path, protocol, tls, resumed, active } = self;
        write!(f, "#{connection} of {active}: {method} {path} {status} {protocol}")?;
        if !tls.is_empty() {
            write!(f, " {tls}{}", if *resumed { " resumed" } else { "" })?;
        }
        Ok(())
    }
}

// One process: a master would leave its workers behind when it is killed.
const MAIN: &str =
    "daemon off; master_process off; pid nginx.pid; error_log stderr; events { worker_connections 1024; }";

const FIELDS: &str = "$connection\\t$status\\t$request_method\\t$request_uri\\t$server_protocol\\t$ssl_protocol\\t\
    $ssl_session_reused\\t$connections_active";
