//! Responses: reads that keep everything else moving, and what they hold until the body has ended.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use urlpool_core::Now;
use urlpool_core::delivery::{Part, Read};
use wasip2::http::types::IncomingBody;
use wasip2::io::poll::Pollable;

use crate::bindings::exports::urlpool::client::messages as wit;
use crate::body::Incoming;
use crate::drive::{self, Arrived, PIECES};
use crate::{clock, convert};

/// A response, and what it still holds at the host.
pub(crate) struct Response(RefCell<Arrived>);

impl Response {
    /// The response that arrived, as a handle.
    pub(crate) fn wrap(mut arrived: Arrived) -> wit::Response {
        if arrived.delivery.may_have_trailers()
            && let Some(incoming) = &mut arrived.incoming
        {
            incoming.want_trailers();
        }
        wit::Response::new(Self(RefCell::new(arrived)))
    }

    /// The next bytes, none of them at the end; nothing at all where there is nothing to read yet.
    fn piece(&self, max: u32, block: bool) -> Result<Option<Bytes>, wit::Error> {
        match self.read_with(block, |arrived, now| arrived.delivery.read(size(max), now)) {
            Read::Bytes(bytes) => Ok(Some(bytes)),
            Read::End => Ok(Some(Bytes::new())),
            Read::Wait => Ok(None),
            Read::Fail(error) => Err(convert::error(error)),
        }
    }

    /// Reads by this function until it has an answer; `block` waits where there is nothing to read yet.
    fn read_with(&self, block: bool, mut read: impl FnMut(&mut Arrived, Now) -> Read) -> Read {
        let arrived = &mut *self.0.borrow_mut();
        let mut pieces = 0;
        loop {
            // Pieces may decode to nothing for long, and who does not want to wait does not want that either.
            pieces += 1;
            if !block && pieces > PIECES {
                return Read::Wait;
            }
            // Nobody waits for what is there already.
            let now = if arrived.delivery.is_ended() { clock::last() } else { clock::now() };
            let answer = read(arrived, now);
            arrived.let_go_if_ended();
            if answer != Read::Wait || !arrived.pull(block) {
                return answer;
            }
        }
    }
}

impl Arrived {
    /// Gets another part of the body; false when there is none yet and this may not wait.
    fn pull(&mut self, block: bool) -> bool {
        let until = self.delivery.deadline().map(|deadline| deadline.at);
        let part = match &mut self.incoming {
            None => Some(Part::Cut(None)),
            Some(incoming) => match incoming.next() {
                Some(part) => Some(part),
                None if block => {
                    if drive::wait_for(incoming.pollable(), until) {
                        incoming.next()
                    } else {
                        Some(Part::Expired)
                    }
                }
                None => until.filter(|until| clock::mono() >= *until).map(|_| Part::Expired),
            },
        };
        let pulled = part.is_some();
        if let Some(part) = part {
            self.delivery.on(part, clock::now());
        }
        self.let_go_if_ended();
        pulled || block
    }

    /// Frees the slot and the handles once nothing more is to be read from the host.
    fn let_go_if_ended(&mut self) {
        if self.delivery.is_ended() {
            if let Some(incoming) = self.incoming.take() {
                incoming.retire(&mut self.kept);
            }
            self.slot = None;
        }
    }
}

impl wit::GuestResponse for Response {
    fn status(&self) -> u16 {
        self.0.borrow().delivery.status()
    }

    fn headers(&self) -> wit::FieldList {
        convert::field_list(self.0.borrow().delivery.headers())
    }

    fn header(&self, name: String) -> Option<String> {
        self.0.borrow().delivery.headers().joined(&name)
    }

    fn url(&self) -> String {
        self.0.borrow().delivery.url().to_owned()
    }

    fn history(&self) -> Vec<wit::Attempt> {
        convert::history(self.0.borrow().delivery.history())
    }

    fn trace(&self) -> Vec<wit::Mark> {
        convert::trace(&self.0.borrow().delivery.trace())
    }

    fn decoded(&self) -> bool {
        self.0.borrow().delivery.is_decoded()
    }

    fn read(&self, max: u32) -> Result<Vec<u8>, wit::Error> {
        self.piece(max, true).map(|piece| piece.unwrap_or_default().into())
    }

    fn try_read(&self, max: u32) -> Result<Option<Vec<u8>>, wit::Error> {
        Ok(self.piece(max, false)?.map(Vec::from))
    }

    fn read_all(&self, limit: u32) -> Result<Vec<u8>, wit::Error> {
        let mut whole = Vec::new();
        match self.read_with(true, |arrived, now| arrived.delivery.read_all(&mut whole, size(limit), now)) {
            Read::Bytes(_) | Read::End | Read::Wait => Ok(whole),
            Read::Fail(error) => Err(convert::error(error)),
        }
    }

    fn read_words(&self, max: u32) -> Result<wit::Words, wit::Error> {
        self.piece(max, true).map(|piece| words(&piece.unwrap_or_default()))
    }

    fn try_read_words(&self, max: u32) -> Result<Option<wit::Words>, wit::Error> {
        Ok(self.piece(max, false)?.map(|piece| words(&piece)))
    }

    fn read_all_words(&self, limit: u32) -> Result<wit::Words, wit::Error> {
        self.read_all(limit).map(|whole| words(&whole))
    }

    fn read_text(&self, limit: u32) -> Result<String, wit::Error> {
        let whole = self.read_all(limit)?;
        Ok(self.0.borrow().delivery.text(&whole))
    }

    fn subscribe(&self) -> Vec<Pollable> {
        let arrived = &mut *self.0.borrow_mut();
        if arrived.delivery.has_at_hand() || arrived.incoming.is_none() {
            return vec![clock::timer_in(Duration::ZERO)];
        }
        let mut lent: Vec<Pollable> = arrived.incoming.as_mut().map(Incoming::lend).into_iter().collect();
        lent.extend(arrived.delivery.deadline().map(|deadline| clock::timer(deadline.at)));
        lent
    }

    fn not_retried(&self) -> Option<String> {
        self.0.borrow().delivery.not_retried().map(str::to_owned)
    }

    fn trailers(&self) -> wit::FieldList {
        convert::field_list(self.0.borrow().delivery.trailers())
    }

    fn take_raw(this: wit::Response) -> Result<IncomingBody, wit::Error> {
        let arrived = this.into_inner::<Self>().0.into_inner();
        arrived.delivery.raw().map_err(convert::error)?;
        match arrived.incoming.and_then(Incoming::into_raw) {
            Some((body, unfinished)) => {
                arrived.pool.keep(unfinished);
                Ok(body)
            }
            None => {
                let reason = "pollables of the response were taken, so its body cannot be";
                Err(convert::error(arrived.delivery.not_raw(reason)))
            }
        }
    }
}

/// Bytes as words of eight.
fn words(bytes: &[u8]) -> wit::Words {
    let mut words = vec![0; bytes.len().div_ceil(8)];
    // The interface wants them little-endian, as WebAssembly is.
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    // No more bytes than were asked for, which a `u32` counts.
    wit::Words { words, length: bytes.len() as u32 }
}

/// A size of the interface in memory; more than there can be counts as all of it.
fn size(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
