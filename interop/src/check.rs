//! A named check, and how the files of checks list theirs.

use std::time::Duration;

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
    /// After how long it hangs rather than works.
    pub(crate) patience: Duration,
    /// Proves it, or says what was seen instead.
    pub(crate) run: Run,
}

/// The longest of most checks moves hundreds of megabytes; what takes this long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A check's function.
pub(crate) type Run = for<'a> fn(&'a Rig) -> BoxFuture<'a, Result<()>>;

impl Check {
    /// The name a person sees: `reuse::a_connection_serves_as_many_requests_as_nginx_allows`.
    pub(crate) fn title(&self) -> String {
        format!("{}::{}", self.area, self.name)
    }
}

/// Lists the checks of one file: `checks! { "reuse"; [Need::Nginx] nothing_is_lost; }`, with a patience of their own behind the
/// name of the area where they take long.
macro_rules! checks {
    ($area:literal; $($list:tt)*) => {
        $crate::check::checks! { $area, $crate::check::PATIENCE; $($list)* }
    };
    ($area:literal, $patience:expr; $([$($need:expr),*] $name:ident;)*) => {
        /// The checks of this file.
        pub(super) fn checks() -> Vec<$crate::check::Check> {
            vec![$($crate::check::Check {
                area: $area,
                name: stringify!($name),
                needs: &[$($need),*],
                patience: $patience,
                run: |rig| Box::pin($name(rig)),
            }),*]
        }
    };
}

pub(crate) use checks;
