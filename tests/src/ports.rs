//! Loopback ports at which connecting goes wrong, or goes right only later.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// A port that refuses connections until it is told to listen.
///
/// The port is bound all the time, so nobody else can take it.
pub struct Refused {
    socket: Socket,
    port: u16,
}

impl Refused {
    /// Binds a free port without listening on it.
    pub fn bind() -> Result<Self> {
        let socket = bound()?;
        let port = port_of(&socket)?;
        Ok(Self { socket, port })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Begins to listen.
    pub fn listen(self) -> Result<TcpListener> {
        self.socket.listen(64)?;
        self.socket.set_nonblocking(true)?;
        Ok(TcpListener::from_std(self.socket.into())?)
    }
}

/// A port that neither accepts nor refuses: its backlog is full and nobody takes from it.
pub struct BlackHole {
    port: u16,
    // The listener and what fills its backlog.
    _socket: Socket,
    _fill: Vec<TcpStream>,
}

impl BlackHole {
    /// Binds a free port and fills its backlog.
    pub async fn open() -> Result<Self> {
        let socket = bound()?;
        socket.listen(0)?;
        let port = port_of(&socket)?;
        let mut fill = Vec::new();
        // How many fit differs between systems; the first that has to wait proves that it is full.
        for _ in 0..64 {
            let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            match tokio::time::timeout(Duration::from_millis(100), connecting).await {
                Ok(stream) => fill.push(stream.context("fill the backlog")?),
                Err(_) => return Ok(Self { port, _socket: socket, _fill: fill }),
            }
        }
        bail!("the backlog of port {port} does not fill");
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn bound() -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket)
}

fn port_of(socket: &Socket) -> Result<u16> {
    Ok(socket.local_addr()?.as_socket().context("an IP socket")?.port())
}
