//! A named check, and how the files of checks list theirs.

use anyhow::Result;
use futures::future::BoxFuture;
use urlpool_conformance::Rig;

use crate::need::Need;

/// One fact about what happens between us and somebody else's program.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    /// The file it stands in, such as `reuse`.
    pub(crate) area: &'static str,
    /// The fact it proves.
    pub(crate) name: &'static str,
    /// The programs without which it is skipped.
    pub(crate) needs: &'static [Need],
    /// Proves it, or says what was seen instead.
    pub(crate) run: Run,
}

/// A check's function.
pub(crate) type Run = for<'a> fn(&'a Rig) -> BoxFuture<'a, Result<()>>;

impl Check {
    /// The name a person sees: `reuse::a_connection_serves_as_many_requests_as_nginx_allows`.
    pub(crate) fn title(&self) -> String {
        format!("{}::{}", self.area, self.name)
    }
}

/// Lists the checks of one file: `checks! { "reuse"; [Need::Nginx] nothing_is_lost; }`.
macro_rules! checks {
    ($area:literal; $([$($need:expr),*] $name:ident;)*) => {
        /// The checks of this file.
        pub(super) fn checks() -> Vec<$crate::check::Check> {
            vec![$($crate::check::Check {
                area: $area,
                name: stringify!($name),
                needs: &[$($need),*],
                run: |rig| Box::pin($name(rig)),
            }),*]
        }
    };
}

pub(crate) use checks;
