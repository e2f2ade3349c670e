//! A free port of the loopback for a server that must be told its number.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

/// A port that is ours for as long as this lives.
pub(crate) struct Port {
    number: u16,
    // Bound, but not listening: with SO_REUSEADDR on both sockets a server can bind and listen beside it, while the system
    // gives the port to nobody who asks for any.
    _reserved: Socket,
}

impl Port {
    /// Reserves a free port.
    pub(crate) fn reserve() -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let number = socket.local_addr()?.as_socket().context("an IP socket")?.port();
        Ok(Self { number, _reserved: socket })
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}
