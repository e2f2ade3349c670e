//! Why a component does not run.

use std::fmt;

/// Why a component does not run, or did not end by itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It is no component.
    NotAComponent(urlpool_compose::Error),
    /// It cannot be compiled.
    Compile(wasmtime::Error),
    /// It does not export what runs it, with what it exports instead.
    World {
        /// What would be needed.
        wanted: &'static str,
        /// What it exports.
        exports: Vec<String>,
    },
    /// It imports what is not there, or in another form.
    Imports(wasmtime::Error),
    /// A limit of a server is 0 or too large.
    Limit(&'static str),
    /// A folder that it should see cannot be opened.
    Folder(String, wasmtime::Error),
    /// It trapped while it was instantiated or ran.
    Trap(wasmtime::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAComponent(error) => error.fmt(f),
            Self::Compile(error) => write!(f, "cannot be compiled: {}", causes(error)),
            Self::World { wanted, exports } if exports.is_empty() => {
                write!(f, "exports nothing, and no {wanted}")
            }
            Self::World { wanted, exports } => write!(f, "exports no {wanted}, but {}", exports.join(", ")),
            Self::Imports(error) => write!(f, "cannot be linked: {}", causes(error)),
            Self::Limit(name) => write!(f, "limit {name}: out of range"),
            Self::Folder(folder, error) => write!(f, "folder {folder}: {}", causes(error)),
            Self::Trap(error) => write!(f, "trapped: {}", cause(error)),
        }
    }
}

impl std::error::Error for Error {}

/// An error of wasmtime with what caused it.
fn causes(error: &wasmtime::Error) -> String {
    format!("{error:#}")
}

/// What a trap says, without saying again that it is one.
pub(crate) fn reason(trap: wasmtime::Trap) -> String {
    let told = trap.to_string();
    told.strip_prefix("wasm trap: ").map(str::to_owned).unwrap_or(told)
}

/// Why a trap came about, without the frames that stand before it.
fn cause(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => reason(*trap),
        None => error.root_cause().to_string(),
    }
}
