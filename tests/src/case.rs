//! A named case, and the list of all of them.

use anyhow::Result;
use futures::future::BoxFuture;

use crate::rig::Rig;

/// One behaviour, held against the real component in the real host.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its row in `BEHAVIOURS.md`, such as `P1`; a second case of one row has a letter, `P9b`.
    pub id: &'static str,
    /// The subject it belongs to, such as `reuse`.
    pub area: &'static str,
    /// The fact it proves.
    pub name: &'static str,
    /// Proves it, or says what was seen instead.
    pub run: for<'a> fn(&'a Rig) -> BoxFuture<'a, Result<()>>,
}

impl Case {
    /// The name a person sees: `reuse::two_sequential_gets_share_one_connection (P1)`.
    pub fn title(&self) -> String {
        format!("{}::{} ({})", self.area, self.name, self.id)
    }
}

/// All cases, by area.
pub fn all() -> Vec<Case> {
    crate::cases::all()
}

/// Lists the cases of one file: `cases! { "reuse"; "P1" two_sequential_gets_share_one_connection; }`.
macro_rules! cases {
    ($area:literal; $($id:literal $name:ident;)*) => {
        /// The cases of this file.
        pub(super) fn cases() -> Vec<$crate::case::Case> {
            vec![$($crate::case::Case {
                id: $id,
                area: $area,
                name: stringify!($name),
                run: |rig| Box::pin($name(rig)),
            }),*]
        }
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

pub(crate) use {cases, same};
