//! The pinned Python and Node packages that checks and comparisons run, and where they are installed.
//!
//! A [`Set`] is a folder under `sets/`, with a `requirements.txt` or with a `package.json` and its `package-lock.json`.
//! `cargo xtask` installs it into a folder of its own under `target/packages`, never into the system; whoever runs it asks
//! [`Set::program`] for what is there. Neither acts on a set that is installed from other pins than those in the tree.

#[cfg(feature = "dialogue")]
mod dialogue;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[cfg(feature = "dialogue")]
pub use dialogue::Dialogue;

/// Packages that are installed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set {
    name: &'static str,
    kind: Kind,
}

/// Whose packages they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Those of pip, in a virtual environment.
    Python,
    /// Those of npm, in a folder with `node_modules`.
    Node,
}

impl Set {
    /// Every set that there is.
    pub const ALL: [Self; 9] = [
        Self::COMPARE_NODE,
        Self::COMPARE_PYTHON,
        Self::COMPONENTIZE_PY,
        Self::HTTPBIN,
        Self::JCO,
        Self::MULTIPART_NODE,
        Self::MULTIPART_PYTHON,
        Self::SERVERS_PYTHON,
        Self::WASMTIME_PY,
    ];
    /// undici.
    pub const COMPARE_NODE: Self = Self { name: "compare-node", kind: Kind::Node };
    /// urllib3, requests, httpx and aiohttp.
    pub const COMPARE_PYTHON: Self = Self { name: "compare-python", kind: Kind::Python };
    /// componentize-py, which makes components of Python.
    pub const COMPONENTIZE_PY: Self = Self { name: "componentize-py", kind: Kind::Python };
    /// httpbin, and gunicorn that serves it.
    pub const HTTPBIN: Self = Self { name: "httpbin", kind: Kind::Python };
    /// jco, which makes components of JavaScript and runs any on Node, and a Node that it can run them all on.
    pub const JCO: Self = Self { name: "jco", kind: Kind::Node };
    /// Parsers of multipart forms in JavaScript.
    pub const MULTIPART_NODE: Self = Self { name: "multipart-node", kind: Kind::Node };
    /// Parsers of multipart forms in Python.
    pub const MULTIPART_PYTHON: Self = Self { name: "multipart-python", kind: Kind::Python };
    /// Servers of Python.
    pub const SERVERS_PYTHON: Self = Self { name: "servers-python", kind: Kind::Python };
    /// A later wasmtime, as a library of Python.
    pub const WASMTIME_PY: Self = Self { name: "wasmtime-py", kind: Kind::Python };

    /// The set of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name == name)
    }

    /// The folder it is pinned in.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Whose packages they are.
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// The file that pins it.
    pub fn pins(self) -> PathBuf {
        self.source().join(match self.kind {
            Kind::Python => "requirements.txt",
            Kind::Node => "package-lock.json",
        })
    }

    /// The folder with what is wanted.
    pub fn source(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("sets").join(self.name)
    }

    /// The folder it is installed in: a virtual environment, or the one that holds `node_modules`.
    pub fn folder(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/packages").join(self.name)
    }

    /// Whether all of it is there, from these very pins.
    pub fn is_installed(self) -> bool {
        match (self.state(), fs::read_to_string(self.mark())) {
            (Ok(wanted), Ok(installed)) => wanted == installed,
            _ => false,
        }
    }

    /// Remembers that all of it is there, from its pins as they are.
    ///
    /// # Errors
    ///
    /// When the pins cannot be read, or the mark not be written.
    pub fn mark_installed(self) -> io::Result<()> {
        fs::write(self.mark(), self.state()?)
    }

    /// One of its programs, or the interpreter: `python` of its environment, `node` of the system.
    ///
    /// `None` when the set is not installed, or has no such program.
    pub fn program(self, name: &str) -> Option<PathBuf> {
        if !self.is_installed() {
            return None;
        }
        let file = match (self.kind, name) {
            (Kind::Node, "node") => return self.kind.interpreter(),
            (Kind::Node, name) => self.folder().join("node_modules/.bin").join(name),
            (Kind::Python, name) => self.folder().join("bin").join(name),
        };
        file.is_file().then_some(file)
    }

    /// What the mark holds: the pins, and the folder, whose name stands in programs that pip installs.
    fn state(self) -> io::Result<String> {
        Ok(format!("{}\n{}", self.folder().display(), fs::read_to_string(self.pins())?))
    }

    fn mark(self) -> PathBuf {
        self.folder().join("installed")
    }
}

impl Kind {
    /// The interpreter of the system, when it is there, new enough, and can install packages.
    pub fn interpreter(self) -> Option<PathBuf> {
        let (program, arguments): (_, &[&str]) = match self {
            // Debian has both in a package of their own, without which no virtual environment can be made.
            Self::Python => {
                ("python3", &["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11) and 'too old')"])
            }
            Self::Node => ("node", &["-e", "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)"]),
        };
        let file = on_path(program)?;
        if self == Self::Node && on_path("npm").is_none() {
            return None;
        }
        let quiet = Command::new(&file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        quiet.is_ok_and(|status| status.success()).then_some(file)
    }

    /// What to tell a person who lacks it.
    pub fn wants(self) -> &'static str {
        match self {
            Self::Python => "Python 3.11 or later with its module `venv`",
            Self::Node => "Node 20 or later with npm",
        }
    }

    /// The Debian package that brings the interpreter; none where what Debian 12 has is too old.
    pub fn debian(self) -> Option<&'static str> {
        match self {
            Self::Python => Some("python3-venv"),
            Self::Node => None,
        }
    }
}

/// A program of this name in the folders of `PATH`, and those of root.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are installed for root, whose folders are not on everybody's path.
    let others = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(others).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_its_pins_and_a_name_of_its_own() {
        for set in Set::ALL {
            assert!(set.pins().is_file(), "{}", set.pins().display());
            assert_eq!(Set::named(set.name()), Some(set));
        }
    }

    #[test]
    fn every_folder_of_pins_is_a_set() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sets");
        for entry in fs::read_dir(folder).expect("the folder of the sets") {
            let name = entry.expect("an entry").file_name();
            assert!(Set::named(&name.to_string_lossy()).is_some(), "{}: no set of this name", name.display());
        }
    }

    #[test]
    fn python_packages_are_pinned_to_one_version_each() {
        for set in Set::ALL.into_iter().filter(|set| set.kind() == Kind::Python) {
            let pins = fs::read_to_string(set.pins()).expect("the pins");
            for line in pins.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                assert!(line.contains("=="), "{}: {line}: not pinned", set.name());
            }
        }
    }
}
