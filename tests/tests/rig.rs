//! The rig alone: what the scripted server does and records, seen through plain sockets.

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use urlpool_conformance::ports::{BlackHole, Refused};
use urlpool_conformance::reply::{ok, raw, stall, status};
use urlpool_conformance::server::{DEADLINE, End};
use urlpool_conformance::{Gate, Server, Until};

async fn talk(server: &Server, sent: &[u8]) -> Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).await?;
    socket.write_all(sent).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, socket.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8(answer)?)
}

#[tokio::test]
async fn replies_come_in_order_and_the_last_one_stays() -> Result<()> {
    let server = Server::replies([ok("one"), ok("two").close()]).await?;
    let answer = talk(&server, b"GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").await?;
    assert!(answer.contains("\r\n\r\noneHTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("two"), "{answer}");
    let log = server.until("the end", |log| log.connections[0].ended.is_some()).await?;
    assert_eq!(log.connections.len(), 1);
    assert_eq!(log.connections[0].requests, 2);
    assert_eq!(log.connections[0].ended, Some(End::Server));
    assert_eq!(log.requests[1].text(), "abc");
    assert_eq!(log.in_flight, 0);
    Ok(())
}

#[tokio::test]
async fn routes_answer_by_path() -> Result<()> {
    let server = Server::routes([("/a", vec![status(204).close()])]).await?;
    assert!(talk(&server, b"GET /a?x=1 HTTP/1.1\r\n\r\n").await?.starts_with("HTTP/1.1 204"));
    Ok(())
}

#[tokio::test]
async fn a_gate_holds_an_answer_and_counts_as_in_flight() -> Result<()> {
    let gate = Gate::new();
    let server = Server::replies([ok("").after(Until::Open(gate.clone())).close()]).await?;
    let watching = async {
        server.until("two in flight", |log| log.in_flight == 2).await?;
        gate.open();
        Ok(())
    };
    tokio::try_join!(talk(&server, b"GET / HTTP/1.1\r\n\r\n"), talk(&server, b"GET / HTTP/1.1\r\n\r\n"), watching)?;
    assert_eq!(server.log().most_in_flight, 2);
    Ok(())
}

#[tokio::test]
async fn a_reset_is_an_error_to_the_client() -> Result<()> {
    let server = Server::replies([raw("HTTP/1.1 200").reset()]).await?;
    assert!(talk(&server, b"GET / HTTP/1.1\r\n\r\n").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_stalled_connection_ends_with_the_client() -> Result<()> {
    let server = Server::replies([stall()]).await?;
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).await?;
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    server.until("the request", |log| log.requests.len() == 1).await?;
    drop(socket);
    server.until("the end", |log| log.connections[0].ended == Some(End::Client)).await?;
    Ok(())
}

#[tokio::test]
async fn a_refused_port_refuses_until_it_listens() -> Result<()> {
    let refused = Refused::bind()?;
    let port = refused.port();
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let listener = refused.listen()?;
    TcpStream::connect(("127.0.0.1", port)).await?;
    drop(listener);
    Ok(())
}

#[tokio::test]
async fn a_black_hole_neither_accepts_nor_refuses() -> Result<()> {
    let hole = BlackHole::open().await?;
    let port: u16 = hole.url("").rsplit(':').next().unwrap_or_default().parse()?;
    let connecting = TcpStream::connect(("127.0.0.1", port));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), connecting).await.is_err());
    Ok(())
}
