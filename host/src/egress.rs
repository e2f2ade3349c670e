//! Which destinations a guest may reach.

use std::net::SocketAddr;

/// Which destinations a guest may reach. The default lets it reach all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Egress {}

/// May this destination be reached?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny(Reason),
}

/// Why a destination is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A rule of the policy names it.
    Listed,
    /// Only listed destinations are allowed.
    NotListed,
    /// It is in a range that guests are kept from.
    Range,
}

impl Egress {
    /// Whether everything is allowed.
    pub(crate) fn is_open(&self) -> bool {
        true
    }

    /// What is known before the name is looked up.
    pub(crate) fn name(&self, _host: &str, _port: u16) -> Verdict {
        Verdict::Allow
    }

    /// Whether this address of `host` may be connected to.
    pub(crate) fn address(&self, _host: &str, _address: SocketAddr) -> Verdict {
        Verdict::Allow
    }
}
