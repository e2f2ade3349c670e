//! `urlpool-bench relay`: a loopback server far away, in a process of its own.
//!
//! It delays each direction by half a round trip, and charges the handshake of TCP as well: what a client sends first waits
//! for a whole round trip more, counted from when it connected. The first line on stdout names a port for each target, as
//! JSON; the end of stdin ends it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Relays to each target until stdin ends.
pub(crate) async fn run(targets: &[SocketAddr], one_way: Duration) -> Result<()> {
    let mut ports = Vec::new();
    for &target in targets {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        ports.push(listener.local_addr()?.port());
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    continue;
                };
                // What goes wrong on one connection ends that connection, and its client says so.
                tokio::spawn(carry(client, target, one_way));
            }
        });
    }
    println!("{}", serde_json::to_string(&ports)?);
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    Ok(())
}

/// How much later than told a timer of tokio wakes, which counts in milliseconds and rounds up.
const LATE: Duration = Duration::from_millis(1);

async fn carry(client: TcpStream, target: SocketAddr, one_way: Duration) -> Result<()> {
    let connected = Instant::now() + 2 * one_way;
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        delay(from_client, to_server, one_way, connected),
        delay(from_server, to_client, one_way, connected)
    )?;
    Ok(())
}

/// Passes on what comes, each piece so much later, and none as if it had been sent before `earliest`.
async fn delay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    by: Duration,
    earliest: Instant,
) -> Result<()> {
    let (sender, mut on_the_way) = mpsc::unbounded_channel::<(Instant, Bytes)>();
    let reading = async move {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(64 * 1024);
            let read = from.read_buf(&mut buffer).await?;
            let due = Instant::now().max(earliest) + by;
            // An empty piece is the end, which travels as slowly as the rest.
            if sender.send((due, buffer.split().freeze())).is_err() || read == 0 {
                return anyhow::Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = on_the_way.recv().await {
            sleep_until(due - LATE).await;
            if piece.is_empty() {
                break;
            }
            to.write_all(&piece).await?;
        }
        to.shutdown().await?;
        anyhow::Ok(())
    };
    tokio::try_join!(reading, writing)?;
    Ok(())
}
