//! nghttpd, the server of the reference library for HTTP/2, and its trace of frames as a witness.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::certificates::Identity;
use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::need::Need;
use crate::port::Port;

/// A running nghttpd; dropping it stops it.
pub(crate) struct Nghttpd {
    daemon: Daemon,
    port: Port,
    folder: Folder,
    tls: bool,
}

impl Nghttpd {
    /// Speaks HTTP/2 in clear text to those who know it beforehand.
    pub(crate) async fn plain(options: &[&str]) -> Result<Self> {
        Self::start(options, None).await
    }

    /// Speaks HTTP/2 over TLS.
    pub(crate) async fn tls(identity: &Identity, options: &[&str]) -> Result<Self> {
        Self::start(options, Some(identity)).await
    }

    async fn start(options: &[&str], identity: Option<&Identity>) -> Result<Self> {
        let folder = Folder::new()?;
        let port = Port::reserve()?;
        let root = folder.join("root");
        fs::create_dir(&root)?;
        let files = match identity {
            Some(identity) => {
                Some((folder.write("key.pem", &identity.key)?, folder.write("certificate.pem", &identity.certificate)?))
            }
            None => None,
        };
        let daemon = Daemon::start(
            Need::Nghttpd,
            |command| {
                command.args(["--verbose", "--address=127.0.0.1"]).arg("--htdocs").arg(&root).args(options);
                match &files {
                    Some((key, certificate)) => command.arg(port.to_string()).arg(key).arg(certificate),
                    None => command.arg("--no-tls").arg(port.to_string()),
                };
            },
            &[&port],
            folder.path(),
        )
        .await?;
        Ok(Self { daemon, port, folder, tls: identity.is_some() })
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http{}://127.0.0.1:{}{path}", if self.tls { "s" } else { "" }, self.port)
    }

    /// Where a file of its root is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join("root").join(name)
    }

    /// The connections that carried a request, by nghttpd's numbers.
    pub(crate) fn connections(&self) -> BTreeSet<String> {
        let printed = self.daemon.printed();
        printed
            .lines()
            .filter(|line| line.contains("recv HEADERS frame"))
            .filter_map(|line| Some(line.split_once("[id=")?.1.split_once(']')?.0.to_owned()))
            .collect()
    }
}
