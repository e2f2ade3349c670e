//! The programs of other people that checks need: where they are, and which package brings them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use urlpool_packages::{Kind, Set, on_path};

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
    /// componentize-py.
    ComponentizePy,
    /// jco, and Node beside it.
    Jco,
    /// Python with a wasmtime of its own.
    WasmtimePy,
    /// The command of wasmtime.
    Wasmtime,
    /// The command of Spin.
    Spin,
    /// Our own command line.
    Urlpool,
    /// The example of a program that embeds the host.
    Embedder,
    /// Python, with servers of its own.
    ServersPython,
    /// Node alone.
    Node,
}

/// What brings a program.
#[derive(Clone, Copy)]
enum Source {
    /// A package of Debian's archive, into the system.
    Debian(&'static str),
    /// Pinned packages of Python or Node, into a folder of their own.
    Set(Set),
    /// A person, as this says.
    Hand(&'static str),
    /// This workspace; `cargo xtask interop` builds it.
    Ours,
    /// An interpreter of the system, which is not installed for this.
    Interpreter(Kind),
}

impl Need {
    const ALL: [Self; 15] = [
        Self::Nginx,
        Self::Haproxy,
        Self::Nghttpd,
        Self::Httpbin,
        Self::MultipartPython,
        Self::MultipartNode,
        Self::ComponentizePy,
        Self::Jco,
        Self::WasmtimePy,
        Self::Wasmtime,
        Self::Spin,
        Self::Urlpool,
        Self::Embedder,
        Self::ServersPython,
        Self::Node,
    ];

    /// What it is called on the command line.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Nghttpd => "nghttpd",
            Self::Httpbin => "gunicorn",
            Self::MultipartPython | Self::ServersPython => "python",
            Self::MultipartNode | Self::Node => "node",
            Self::ComponentizePy => "componentize-py",
            Self::Jco => "jco",
            Self::WasmtimePy => "python",
            Self::Wasmtime => "wasmtime",
            Self::Spin => "spin",
            Self::Urlpool => "urlpool",
            Self::Embedder => "example-embedder",
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
            Self::ComponentizePy => Source::Set(Set::COMPONENTIZE_PY),
            Self::Jco => Source::Set(Set::JCO),
            Self::WasmtimePy => Source::Set(Set::WASMTIME_PY),
            Self::Wasmtime => Source::Hand("`cargo xtask interop --with-wasmtime` builds it, in twenty minutes"),
            Self::Spin => Source::Hand("no registry has it; see https://spinframework.dev"),
            Self::Urlpool | Self::Embedder => Source::Ours,
            Self::ServersPython => Source::Set(Set::SERVERS_PYTHON),
            Self::Node => Source::Interpreter(Kind::Node),
        }
    }

    /// Its file, when it is there.
    pub(crate) fn find(self) -> Option<PathBuf> {
        match self.source() {
            Source::Debian(_) => on_path(self.program()),
            Source::Set(set) => set.program(self.program()),
            Source::Hand(_) => on_path(self.program()).or_else(|| built(self.program())),
            // Beside this very program.
            Source::Ours => {
                let file = std::env::current_exe().ok()?.with_file_name(self.program());
                file.is_file().then_some(file)
            }
            Source::Interpreter(kind) => kind.interpreter(),
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
            Source::Hand(how) => write!(f, "{} is missing ({how})", self.program()),
            Source::Ours => write!(f, "{} is not built (`cargo xtask interop` builds it)", self.program()),
            Source::Interpreter(kind) => write!(f, "{} is missing", kind.wants()),
        }
    }
}

/// One that `cargo xtask interop` has built here.
fn built(program: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasmtime/bin").join(program);
    file.is_file().then_some(file)
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
            // Nothing that could be installed in passing.
            Source::Hand(_) | Source::Ours => {}
            Source::Interpreter(_) => {}
        }
    }
    let packages = packages.into_iter().map(|package| format!("debian {package}"));
    packages.chain(sets.into_iter().map(|set| format!("set {set}"))).collect()
}
