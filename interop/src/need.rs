//! The programs of other people that checks need: where they are, and which Debian package brings them.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// A program that a check cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nginx,
    Haproxy,
    Nghttpd,
}

impl Need {
    const ALL: [Self; 3] = [Self::Nginx, Self::Haproxy, Self::Nghttpd];

    /// What it is called on the command line.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Nghttpd => "nghttpd",
        }
    }

    /// The Debian package that brings it.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Nginx => "nginx-light",
            Self::Haproxy => "haproxy",
            Self::Nghttpd => "nghttp2-server",
        }
    }

    /// Its file, when it is there.
    pub(crate) fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Servers are installed for root, whose folders are not on everybody's path.
        let others = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
        std::env::split_paths(&path).chain(others).map(|folder| folder.join(self.program())).find(|file| file.is_file())
    }
}

/// The packages of all programs that are not there.
pub(crate) fn missing_packages() -> BTreeSet<&'static str> {
    Need::ALL.into_iter().filter(|need| need.find().is_none()).map(Need::package).collect()
}
