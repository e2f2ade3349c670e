//! A named case, and the list of all of them.

use anyhow::Result;
use futures::future::BoxFuture;

use crate::rig::{Carrier, Rig};

/// One behaviour, held against the real component in the real host.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its row in `BEHAVIOURS.md`, such as `P1`; a second case of one row has a letter, `P9b`.
    pub id: &'static str,
    /// The subject it belongs to, such as `reuse`.
    pub area: &'static str,
    /// The fact it proves.
    pub name: &'static str,
    /// Why it cannot hold on wasmtime's own handler; none where every host that carries requests has to let it hold.
    pub not_on_stock: Option<&'static str>,
    /// Proves it, or says what was seen instead.
    pub run: for<'a> fn(&'a Rig) -> BoxFuture<'a, Result<()>>,
}

impl Case {
    /// The name a person sees: `reuse::two_sequential_gets_share_one_connection (P1)`.
    pub fn title(&self) -> String {
        format!("{}::{} ({})", self.area, self.name, self.id)
    }

    /// Why it cannot hold on this host; none when it has to.
    pub fn excuse_on(&self, carrier: Carrier) -> Option<&'static str> {
        match carrier {
            Carrier::Pooled => None,
            Carrier::Stock => self.not_on_stock,
        }
    }
}

/// Why a case cannot hold on wasmtime's own handler: what it is about is that host's to decide, and it decides otherwise.
///
/// Seen with, and read in, `wasmtime-wasi-http` 48, most of it in `src/default_send_request.rs`; `tests/stock.rs` holds that every other
/// case passes there.
pub(crate) mod stock {
    /// What kept connections show.
    pub(crate) const KEEPS_NONE: &str = "a connection serves one request there";
    /// What the host's figures show.
    pub(crate) const COUNTS_NOTHING: &str = "it counts no connections";
    /// What a setting of the host changes.
    pub(crate) const NO_SETTINGS: &str = "it has no such setting";
    /// What needs a server that a test vouches for.
    pub(crate) const PUBLIC_ROOTS: &str = "it trusts public authorities alone, and no test is one";
    /// What follows an answer makes hyper's connection fail, and that failure is given instead of the answer.
    pub(crate) const LOSES_ANSWERS: &str = "it lets what follows an answer fail the answer";
    /// The guest is shown no transfer coding, and so takes a length beside it for true.
    pub(crate) const KEEPS_LENGTHS: &str = "it hides the chunks from the guest and not the length beside them";
    /// Whatever hyper does not know as chunks it reads to the end of the connection.
    pub(crate) const READS_ANY_CODING: &str = "it takes a body in any transfer coding for one that the connection ends";
    /// hyper offers an upgrade.
    pub(crate) const DELIVERS_101: &str = "it delivers 101 as an answer";
    /// What the table of the store keeps.
    pub(crate) const LEAVES_ENTRIES: &str = "it leaves an entry in the table of the store for each request";
    /// `http-error-code` knows only the error of another type.
    pub(crate) const GIVES_NO_CODE: &str = "it gives no code for a body that fails";
}

/// All cases, by area.
pub fn all() -> Vec<Case> {
    crate::cases::all()
}

/// Lists the cases of one file: `cases! { "reuse"; "P1" two_sequential_gets_share_one_connection; }`.
///
/// What cannot hold on wasmtime's own handler says why: `"P1" name, not on stock: stock::KEEPS_NONE;`.
macro_rules! cases {
    ($area:literal; $($id:literal $name:ident $(, not on stock: $reason:expr)?;)*) => {
        /// The cases of this file.
        pub(super) fn cases() -> Vec<$crate::case::Case> {
            vec![$($crate::case::Case {
                id: $id,
                area: $area,
                name: stringify!($name),
                not_on_stock: $crate::case::reason!($($reason)?),
                run: |rig| Box::pin($name(rig)),
            }),*]
        }
    };
}

/// The reason that a case gives, if it gives one.
macro_rules! reason {
    () => {
        None
    };
    ($reason:expr) => {
        Some($reason)
    };
}

/// Fails the case, with both values, unless they are equal.
macro_rules! same {
    ($got:expr, $expected:expr, $which:expr) => {
        match (&$got, &$expected) {
            (got, expected) => {
                if !(*got == *expected) {
                    anyhow::bail!("{} of {:?}: got {:?}, expected {:?}", stringify!($got), $which, got, expected);
                }
            }
        }
    };
    ($got:expr, $expected:expr) => {
        match (&$got, &$expected) {
            (got, expected) => {
                if !(*got == *expected) {
                    anyhow::bail!("{}: got {:?}, expected {:?}", stringify!($got), got, expected);
                }
            }
        }
    };
}

pub(crate) use {cases, reason, same};
