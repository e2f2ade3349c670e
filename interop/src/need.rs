//! The programs of other people that checks need: where they are, and which package brings them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use urlpool_packages::{Set, on_path};

/// A program that a check cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nginx,
    Haproxy,
    Nghttpd,
    /// gunicorn, with httpbin beside it.
    Httpbin,
    /// Python, with parsers of multipart forms.
    MultipartPython,
    /// Node, with parsers of multipart forms.
    MultipartNode,
}

/// What brings a program.
#[derive(Clone, Copy)]
enum Source {
    /// A package of Debian's archive, into the system.
    Debian(&'static str),
    /// Pinned packages of Python or Node, into a folder of their own.
    Set(Set),
}

impl Need {
    const ALL: [Self; 6] =
        [Self::Nginx, Self::Haproxy, Self::Nghttpd, Self::Httpbin, Self::MultipartPython, Self::MultipartNode];

    /// What it is called on the command line.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Nghttpd => "nghttpd",
            Self::Httpbin => "gunicorn",
            Self::MultipartPython => "python",
            Self::MultipartNode => "node",
        }
    }

    fn source(self) -> Source {
        match self {
            Self::Nginx => Source::Debian("nginx-light"),
            Self::Haproxy => Source::Debian("haproxy"),
            Self::Nghttpd => Source::Debian("nghttp2-server"),
            Self::Httpbin => Source::Set(Set::HTTPBIN),
            Self::MultipartPython => Source::Set(Set::MULTIPART_PYTHON),
            Self::MultipartNode => Source::Set(Set::MULTIPART_NODE),
        }
    }

    /// Its file, when it is there.
    pub(crate) fn find(self) -> Option<PathBuf> {
        match self.source() {
            Source::Debian(_) => on_path(self.program()),
            Source::Set(set) => set.program(self.program()),
        }
    }
}

/// Why a check is skipped without it.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source() {
            Source::Debian(package) => write!(f, "{} is missing (package {package})", self.program()),
            Source::Set(set) => {
                write!(f, "the set {} is missing (it needs {})", set.name(), set.kind().wants())
            }
        }
    }
}

/// What would bring all programs that are not there, each once: `debian PACKAGE` or `set NAME`, what others need first.
pub(crate) fn missing() -> Vec<String> {
    let mut packages = BTreeSet::new();
    let mut sets = BTreeSet::new();
    for need in Need::ALL.into_iter().filter(|need| need.find().is_none()) {
        match need.source() {
            Source::Debian(package) => {
                packages.insert(package);
            }
            Source::Set(set) => {
                if set.kind().interpreter().is_none() {
                    packages.extend(set.kind().debian());
                }
                sets.insert(set.name());
            }
        }
    }
    let packages = packages.into_iter().map(|package| format!("debian {package}"));
    packages.chain(sets.into_iter().map(|set| format!("set {set}"))).collect()
}
