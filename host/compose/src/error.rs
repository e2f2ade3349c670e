//! Why a component and the client do not go together.

use crate::world::Interface;
use std::fmt;

/// Why a component and the client do not go together, each with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is no WebAssembly.
    NoWasm,
    /// It is a core module, which has no interfaces.
    CoreModule,
    /// It begins like a component and does not go on like one.
    Unreadable(String),
    /// The app imports nothing of the client.
    NothingToPlug,
    /// What should be the client exports nothing of it.
    NoClient,
    /// The app imports another version of the client.
    Version {
        /// What the app imports.
        wanted: String,
        /// The same, or another interface, as the client has it.
        offered: String,
    },
    /// The app imports an interface that the client has not got in any version.
    Missing {
        /// What the app imports.
        wanted: String,
        /// Another interface of the client.
        offered: String,
    },
    /// The app expects something else of an interface than the client gives.
    Mismatch {
        /// What the app imports.
        wanted: String,
        /// What the client has.
        offered: String,
        /// What differs.
        why: String,
    },
    /// What both import cannot be one import.
    Merge(String),
    /// The result imports what neither of the two did.
    Excess(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWasm => f.write_str("not WebAssembly; a component in binary form is needed"),
            Self::CoreModule => f.write_str(
                "a core module, not a component; build it for wasm32-wasip2, or make it a component with `wasm-tools component new`",
            ),
            Self::Unreadable(why) => write!(f, "a component that cannot be read: {why}"),
            Self::NothingToPlug => f.write_str(
                "imports nothing of urlpool:client, so there is nothing to compose; `urlpool run` and `urlpool serve` give \
                 it kept connections as it is",
            ),
            Self::NoClient => f.write_str("exports nothing of urlpool:client, so it is not the client"),
            Self::Version { wanted, offered } => {
                write!(f, "imports {wanted}, but the client here is {}; {}", package(offered), advice(wanted, offered))
            }
            Self::Missing { wanted, offered } => {
                write!(f, "imports {wanted}, which {} has not got; {}", package(offered), advice(wanted, offered))
            }
            Self::Mismatch { wanted, offered, why } => {
                write!(f, "imports {wanted}, which the client's {offered} does not fit: {why}; {}", advice(wanted, offered))
            }
            Self::Merge(why) => write!(f, "imports what does not go together with the imports of the client: {why}"),
            Self::Excess(import) => write!(f, "would import {import} once composed, which neither part of it did"),
        }
    }
}

/// The package of an interface with its version.
fn package(name: &str) -> String {
    Interface::of_client(name).map_or_else(|| name.to_owned(), |interface| interface.package())
}

/// What to do when versions do not meet.
fn advice(wanted: &str, offered: &str) -> String {
    let version = |name: &str| Interface::of_client(name)?.version().cloned();
    let (wanted, offered) = (version(wanted), version(offered));
    let newer = wanted > offered;
    let wanted = wanted.map_or_else(|| "that version".to_owned(), |version| version.to_string());
    if newer {
        format!("take an urlpool that has {wanted}, or build it against the interface that `urlpool wit` prints")
    } else {
        format!("build it against the interface that `urlpool wit` prints, or compose it with a client of {wanted}")
    }
}

impl std::error::Error for Error {}
