//! A relay in front of a server, which cuts the answer of the first connection wherever it is told to: in a TLS handshake, in the
//! middle of a record, before a byte.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::model::Ending;

/// Where the way back is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// After so many bytes.
    pub(crate) after: usize,
    /// How it then ends.
    pub(crate) ending: Ending,
}

/// The relay; dropping it ends its connections.
pub(crate) struct Relay {
    port: u16,
    armed: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Relay {
    /// Starts a relay to this port, which cuts until it is told to be fair.
    pub(crate) async fn start(to: u16, cut: Cut) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let armed = Arc::new(AtomicBool::new(true));
        let task = tokio::spawn(accept(listener, to, cut, armed.clone())).abort_handle();
        Ok(Self { port, armed, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts nothing from now on.
    pub(crate) fn be_fair(&self) {
        self.armed.store(false, Ordering::Release);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, to: u16, cut: Cut, armed: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let armed = armed.clone();
        connections.spawn(async move {
            // Either end may go away at any time, which is what this is for.
            let _ = carry(client, to, cut, &armed).await;
        });
    }
}

async fn carry(mut client: TcpStream, to: u16, cut: Cut, armed: &AtomicBool) -> Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
    server.set_nodelay(true)?;
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let mut left = cut.after;
    loop {
        if left == 0 && armed.load(Ordering::Acquire) {
            return end(client, cut.ending).await;
        }
        tokio::select! {
            read = client.read(&mut up) => match read? {
                0 => return Ok(()),
                count => server.write_all(&up[..count]).await?,
            },
            read = server.read(&mut down) => match read? {
                0 => return Ok(client.shutdown().await?),
                count if armed.load(Ordering::Acquire) => {
                    let carried = count.min(left);
                    client.write_all(&down[..carried]).await?;
                    left -= carried;
                }
                count => client.write_all(&down[..count]).await?,
            },
        }
    }
}

async fn end(mut client: TcpStream, ending: Ending) -> Result<()> {
    match ending {
        Ending::Closed => client.shutdown().await?,
        Ending::Reset => SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO))?,
        Ending::Silence => {
            let mut unheard = vec![0; 16 << 10];
            while client.read(&mut unheard).await? > 0 {}
        }
    }
    Ok(())
}
