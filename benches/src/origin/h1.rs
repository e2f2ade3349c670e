//! HTTP/1.1 by hand: a server library would cost as much as the client that is measured.

use std::io;

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Asked, Shared};
use crate::zeros::PIECE;

/// Answers the requests of one connection, one after the other, until the client closes it.
pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> Result<()> {
    let mut wire = Wire { stream, buffer: BytesMut::with_capacity(PIECE.len()) };
    let mut out = Vec::new();
    while let Some(head) = wire.head().await? {
        let received = match head.body {
            Framing::Length(length) => {
                wire.skip(length).await?;
                length
            }
            Framing::Chunked => wire.skip_chunks().await?,
        };
        out.clear();
        let Some(length) = shared.answer(head.asked, received).await else {
            out.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            wire.stream.write_all(&out).await?;
            continue;
        };
        out.extend_from_slice(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        // Head and first piece in one write, as any server does.
        let mut left = length;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
            if out.is_empty() {
                wire.stream.write_all(&PIECE[..piece]).await?;
            } else {
                out.extend_from_slice(&PIECE[..piece]);
                wire.stream.write_all(&out).await?;
                out.clear();
            }
            left -= piece as u64;
        }
        wire.stream.write_all(&out).await?;
        wire.stream.flush().await?;
    }
    Ok(())
}

struct Head {
    asked: Option<Asked>,
    body: Framing,
}

enum Framing {
    Length(u64),
    Chunked,
}

struct Wire<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// The next request; none when the client closed the connection instead.
    async fn head(&mut self) -> Result<Option<Head>> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            if !self.more().await? {
                return Ok(None);
            }
        };
        let text = std::str::from_utf8(&self.buffer[..end]).context("head: no text")?;
        let mut lines = text.split("\r\n");
        let asked = lines.next().and_then(|line| Asked::parse(line.split(' ').nth(1)?));
        let mut body = Framing::Length(0);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                bail!("head: a line without a colon");
            };
            if name.eq_ignore_ascii_case("content-length") {
                body = Framing::Length(value.trim().parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                body = Framing::Chunked;
            }
        }
        self.buffer.advance(end + 4);
        Ok(Some(Head { asked, body }))
    }

    /// Reads so many bytes and forgets them.
    async fn skip(&mut self, length: u64) -> Result<()> {
        let mut left = length;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.advance(here);
            left -= here as u64;
            if left == 0 {
                return Ok(());
            }
            if !self.more().await? {
                bail!("body: {left} bytes short");
            }
        }
    }

    /// Reads a body in chunks and forgets it; its length.
    async fn skip_chunks(&mut self) -> Result<u64> {
        let mut length = 0;
        loop {
            let line = self.line().await?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(length);
            }
            self.skip(size + 2).await?;
            length += size;
        }
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|bytes| bytes == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                self.buffer.advance(at + 2);
                return Ok(line);
            }
            if !self.more().await? {
                bail!("body: ends within a line");
            }
        }
    }

    /// Reads once; false at the end.
    async fn more(&mut self) -> io::Result<bool> {
        self.buffer.reserve(PIECE.len());
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}
