//! The body of a request on its way out, once or again.

use bytes::Bytes;

use crate::error::Invalid;
use crate::request::{Body, Piece};

/// How much of the streams of one body is kept, so that it can be sent again: 1 MiB.
pub const REPLAY: usize = 1024 * 1024;

/// The most that is read of a stream at once, so that one fast stream does not fill the memory.
const READ: u64 = 256 * 1024;

/// What an upload needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Write all of these bytes.
    Write(Bytes),
    /// Read from this stream, then [`Upload::supply`] or [`Upload::end`].
    Read {
        /// Which of the request's streams.
        stream: usize,
        /// The most to read.
        at_most: u64,
    },
    /// Nothing: the body is complete.
    Done,
}

/// A cursor over the pieces of a body that can go back to the start while it remembers what it read.
#[derive(Debug)]
pub struct Upload {
    pieces: Vec<Piece>,
    streams: Vec<Stream>,
    /// The bytes that all streams gave; a `usize` would not hold them where pointers have 32 bits.
    read: u64,
    /// True once that was more than is kept.
    lost: bool,
    /// The piece at the cursor, and the offset in it.
    piece: usize,
    offset: u64,
}

/// What came of one stream.
#[derive(Debug, Default)]
struct Stream {
    /// All that was read so far, unless that got too much.
    kept: Kept,
    /// What was read last.
    fresh: Bytes,
    /// All bytes that came.
    came: u64,
    ended: bool,
}

impl Upload {
    /// An upload of this body from its start.
    pub fn new(body: Body) -> Self {
        let pieces = body.into_pieces();
        let streams = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Bytes(_) => None,
                Piece::Stream { index, .. } => Some(index + 1),
            })
            .max()
            .unwrap_or(0);
        Self {
            pieces,
            streams: (0..streams).map(|_| Stream::default()).collect(),
            read: 0,
            lost: false,
            piece: 0,
            offset: 0,
        }
    }

    /// What is needed next: bytes to write, at most `room` of them, or a stream to read.
    ///
    /// The bytes it gives count as written.
    pub fn want(&mut self, room: usize) -> Want {
        while let Some(piece) = self.pieces.get(self.piece) {
            match piece {
                Piece::Bytes(bytes) => {
                    let start = usize::try_from(self.offset).unwrap_or(usize::MAX).min(bytes.len());
                    if start < bytes.len() {
                        let end = bytes.len().min(start.saturating_add(room));
                        self.offset = end as u64;
                        return Want::Write(bytes.slice(start..end));
                    }
                }
                Piece::Stream { index, length } => {
                    let stream = &mut self.streams[*index];
                    if let Some(bytes) = stream.at(self.offset, room) {
                        self.offset += bytes.len() as u64;
                        return Want::Write(bytes);
                    }
                    let complete = stream.ended || *length == Some(stream.came);
                    if !complete {
                        // One byte more than declared is asked for, so that a stream that goes on is noticed.
                        let left = length.map_or(READ, |length| length.saturating_sub(stream.came).saturating_add(1));
                        return Want::Read { stream: *index, at_most: left.min(READ) };
                    }
                }
            }
            self.piece += 1;
            self.offset = 0;
        }
        Want::Done
    }

    /// Takes what was read of a stream.
    ///
    /// # Errors
    ///
    /// [`Invalid::BodyLength`] when the stream went on after its declared length.
    pub fn supply(&mut self, stream: usize, bytes: Bytes) -> Result<(), Invalid> {
        self.came(stream, bytes.len() as u64)?;
        let state = &mut self.streams[stream];
        if self.read <= REPLAY as u64 {
            state.kept.extend(&bytes);
        }
        state.fresh = bytes;
        if self.read > REPLAY as u64 {
            self.lose();
        }
        Ok(())
    }

    /// Takes note that as many bytes of a stream, of those that [`want`](Self::want) asked for, were written without coming
    /// by here. After that the body cannot be sent again.
    ///
    /// # Errors
    ///
    /// As [`supply`](Self::supply).
    pub fn passed(&mut self, stream: usize, bytes: u64) -> Result<(), Invalid> {
        self.came(stream, bytes)?;
        self.streams[stream].fresh = Bytes::new();
        self.offset += bytes;
        self.lose();
        Ok(())
    }

    /// Takes note that a stream ended.
    ///
    /// # Errors
    ///
    /// [`Invalid::BodyLength`] when it ended before its declared length.
    pub fn end(&mut self, stream: usize) -> Result<(), Invalid> {
        let declared = self.declared(stream);
        let state = &mut self.streams[stream];
        state.ended = true;
        match declared {
            Some(declared) if state.came < declared => Err(Invalid::BodyLength { declared, came: state.came }),
            _ => Ok(()),
        }
    }

    /// Goes back to the start of the body, when [`Self::replayable`].
    pub fn rewind(&mut self) {
        self.piece = 0;
        self.offset = 0;
    }

    /// Forgets the body, as a hop does that turns into a GET.
    pub fn discard(&mut self) {
        *self = Self::new(Body::default());
    }

    /// Whether the body can be sent again from its start.
    pub fn replayable(&self) -> bool {
        !self.lost
    }

    /// Whether there is no body at all.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether the whole body, if there is one, can be handed to the host without waiting: up to 64 KiB in memory.
    pub fn is_handed_over_at_once(&self) -> bool {
        self.streams.is_empty() && self.length().is_some_and(|length| length <= 64 * 1024)
    }

    /// Declares the exact length of the whole body, and with it that of its one stream without a length.
    ///
    /// False when it contradicts what is known, and when it cannot be told apart for several streams.
    pub(crate) fn declare(&mut self, exact: u64) -> bool {
        let known: u64 = self.pieces.iter().filter_map(Piece::length).fold(0, u64::saturating_add);
        let mut unknown = self.pieces.iter_mut().filter_map(|piece| match piece {
            Piece::Stream { length: length @ None, .. } => Some(length),
            Piece::Stream { length: Some(_), .. } | Piece::Bytes(_) => None,
        });
        match (unknown.next(), unknown.next(), exact.checked_sub(known)) {
            (None, _, left) => left == Some(0),
            (Some(length), None, Some(left)) => {
                *length = Some(left);
                true
            }
            (Some(_), _, _) => false,
        }
    }

    /// The exact length, when every piece has one.
    pub fn length(&self) -> Option<u64> {
        self.pieces.iter().try_fold(0_u64, |sum, piece| Some(sum.saturating_add(piece.length()?)))
    }

    /// Counts what came of a stream.
    fn came(&mut self, stream: usize, bytes: u64) -> Result<(), Invalid> {
        let declared = self.declared(stream);
        let state = &mut self.streams[stream];
        state.came += bytes;
        self.read += bytes;
        match declared.filter(|declared| state.came > *declared) {
            Some(declared) => Err(Invalid::BodyLength { declared, came: state.came }),
            None => Ok(()),
        }
    }

    /// What is needed to send the body again is not kept any more.
    fn lose(&mut self) {
        if !self.lost {
            self.lost = true;
            for stream in &mut self.streams {
                stream.kept = Kept::default();
            }
        }
    }

    fn declared(&self, stream: usize) -> Option<u64> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Stream { index, length } if *index == stream => Some(*length),
            Piece::Stream { .. } | Piece::Bytes(_) => None,
        })?
    }
}

impl Stream {
    /// Up to `room` bytes of what is remembered from this offset on.
    fn at(&self, offset: u64, room: usize) -> Option<Bytes> {
        let fresh_from = self.came - self.fresh.len() as u64;
        if offset >= fresh_from {
            let start = usize::try_from(offset - fresh_from).ok()?;
            let end = self.fresh.len().min(start.saturating_add(room));
            return (start < end).then(|| self.fresh.slice(start..end));
        }
        self.kept.at(usize::try_from(offset).ok()?, room)
    }
}

/// Bytes in segments: one vector that doubles would take twice as much memory while it moves.
#[derive(Debug, Default)]
struct Kept(Vec<Vec<u8>>);

/// The length of each segment but the last.
const SEGMENT: usize = 64 * 1024;

impl Kept {
    fn extend(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.0.last_mut().filter(|last| last.len() < SEGMENT) {
                Some(last) => {
                    let (fits, rest) = bytes.split_at(bytes.len().min(SEGMENT - last.len()));
                    last.extend_from_slice(fits);
                    bytes = rest;
                }
                None => self.0.push(Vec::new()),
            }
        }
    }

    /// Up to `room` bytes from this offset on, no further than to the end of a segment.
    fn at(&self, offset: usize, room: usize) -> Option<Bytes> {
        let segment = self.0.get(offset / SEGMENT)?;
        let start = offset % SEGMENT;
        let end = segment.len().min(start.saturating_add(room));
        (start < end).then(|| Bytes::copy_from_slice(&segment[start..end]))
    }
}
