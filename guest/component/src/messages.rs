//! Requests, forms, responses and errors: unwrap the handle, call core, wrap the result.

use std::cell::RefCell;

use bytes::Bytes;
use urlpool_core::delivery::{Part, Read};
use urlpool_core::error::Cause;
use urlpool_core::{Error, Now};
use wasip2::http::types::{ErrorCode, IncomingBody, Method};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::InputStream;

use crate::bindings::exports::urlpool::client::{messages as wit, policy as wit_policy};
use crate::drive::{self, Arrived};
use crate::outgoing::Source;
use crate::policy::{Redirect, Retry, Timeouts};
use crate::{Client, clock, convert};

impl wit::Guest for Client {
    type Details = Details;
    type Form = Form;
    type Request = Request;
    type Response = Response;
}

/// All that is known of a failure.
pub(crate) struct Details(pub(crate) Error);

impl wit::GuestDetails for Details {
    fn url(&self) -> Option<String> {
        self.0.url.clone()
    }

    fn phase(&self) -> Option<wit::Phase> {
        self.0.cause.phase().map(convert::phase)
    }

    fn limit(&self) -> Option<u64> {
        self.0.cause.limit().map(convert::nanos)
    }

    fn elapsed(&self) -> u64 {
        convert::nanos(self.0.elapsed)
    }

    fn code(&self) -> Option<ErrorCode> {
        self.0.cause.code().map(convert::wasi_code)
    }

    fn status(&self) -> Option<u16> {
        self.0.cause.status()
    }

    fn location(&self) -> Option<String> {
        self.0.cause.location().map(str::to_owned)
    }

    fn expected(&self) -> Option<u64> {
        self.0.cause.expected()
    }

    fn received(&self) -> Option<u64> {
        self.0.cause.received()
    }

    fn history(&self) -> Vec<wit::Attempt> {
        convert::history(&self.0.history)
    }
}

/// A form, and the streams of its files.
pub(crate) struct Form(RefCell<OpenForm>);

#[derive(Default)]
struct OpenForm {
    form: urlpool_core::form::Form,
    streams: Vec<InputStream>,
}

impl wit::GuestForm for Form {
    fn new() -> Self {
        Self(RefCell::default())
    }

    fn multipart(boundary: Option<String>) -> Result<wit::Form, wit::Error> {
        let form = urlpool_core::form::Form::multipart(boundary.as_deref()).map_err(convert::invalid)?;
        Ok(wit::Form::new(Self(RefCell::new(OpenForm { form, streams: Vec::new() }))))
    }

    fn append_field(&self, name: String, value: String) {
        self.0.borrow_mut().form.append_field(&name, &value);
    }

    fn append_file(
        &self,
        name: String,
        filename: String,
        content: Vec<u8>,
        content_type: Option<String>,
    ) -> Result<(), wit::Error> {
        let form = &mut self.0.borrow_mut().form;
        form.append_file(&name, &filename, Bytes::from(content), content_type.as_deref()).map_err(convert::invalid)
    }

    fn append_file_stream(
        &self,
        name: String,
        filename: String,
        content: InputStream,
        length: Option<u64>,
        content_type: Option<String>,
    ) -> Result<(), wit::Error> {
        let OpenForm { form, streams } = &mut *self.0.borrow_mut();
        form.append_stream(&name, &filename, streams.len(), length, content_type.as_deref())
            .map_err(convert::invalid)?;
        streams.push(content);
        Ok(())
    }
}

/// A request, and the streams of its body.
pub(crate) struct Request(RefCell<OpenRequest>);

struct OpenRequest {
    request: urlpool_core::Request,
    streams: Vec<InputStream>,
}

impl Request {
    /// A request without streams.
    pub(crate) fn new(request: urlpool_core::Request) -> Self {
        Self(RefCell::new(OpenRequest { request, streams: Vec::new() }))
    }

    /// The request, and the sources of its body.
    pub(crate) fn open(self) -> (urlpool_core::Request, Vec<Source>) {
        let OpenRequest { request, streams } = self.0.into_inner();
        (request, streams.into_iter().map(Source::new).collect())
    }

    /// Sets a form as the body.
    pub(crate) fn set_open_form(&self, form: wit::Form) {
        let OpenForm { form, streams } = form.into_inner::<Form>().0.into_inner();
        let open = &mut *self.0.borrow_mut();
        open.request.set_form(form);
        open.streams = streams;
    }
}

impl wit::GuestRequest for Request {
    fn create(method: Method, url: String) -> Result<wit::Request, wit::Error> {
        let request = urlpool_core::Request::create(convert::method_name(&method), &url).map_err(convert::invalid)?;
        Ok(wit::Request::new(Self::new(request)))
    }

    fn clone(&self) -> Result<wit::Request, wit::Error> {
        let open = self.0.borrow();
        if open.request.has_streams() {
            let url = Some(open.request.target().to_string());
            let cause = Cause::NotReplayable { code: None, status: None };
            return Err(convert::error(Error { url, ..Error::new(cause) }));
        }
        Ok(wit::Request::new(Self::new(open.request.clone())))
    }

    fn method(&self) -> Method {
        convert::wasi_method(self.0.borrow().request.method().as_str())
    }

    fn url(&self) -> String {
        self.0.borrow().request.target().to_string()
    }

    fn append_query(&self, name: String, value: String) {
        self.0.borrow_mut().request.append_query(&name, &value);
    }

    fn append_header(&self, name: String, value: String) -> Result<(), wit::Error> {
        self.0.borrow_mut().request.append_header(&name, value.as_bytes()).map_err(convert::invalid)
    }

    fn append_headers(&self, fields: wit::FieldList) -> Result<(), wit::Error> {
        self.0.borrow_mut().request.append_headers(&fields).map_err(convert::invalid)
    }

    fn remove_header(&self, name: String) {
        self.0.borrow_mut().request.remove_header(&name);
    }

    fn basic_auth(&self, username: String, password: String) -> Result<(), wit::Error> {
        self.0.borrow_mut().request.basic_auth(&username, &password).map_err(convert::invalid)
    }

    fn bearer_auth(&self, token: String) -> Result<(), wit::Error> {
        self.0.borrow_mut().request.bearer_auth(&token).map_err(convert::invalid)
    }

    fn set_body(&self, content: Vec<u8>) {
        let open = &mut *self.0.borrow_mut();
        open.request.set_body(Bytes::from(content));
        open.streams.clear();
    }

    fn set_body_stream(&self, content: InputStream, length: Option<u64>) {
        let open = &mut *self.0.borrow_mut();
        open.request.set_body_stream(length);
        open.streams = vec![content];
    }

    fn set_form(&self, form: wit::Form) {
        self.set_open_form(form);
    }

    fn set_retry(&self, retry: wit_policy::RetryBorrow<'_>) {
        self.0.borrow_mut().request.set_retry(retry.get::<Retry>().0.borrow().clone());
    }

    fn set_redirect(&self, redirect: wit_policy::RedirectBorrow<'_>) {
        self.0.borrow_mut().request.set_redirect(redirect.get::<Redirect>().0.borrow().clone());
    }

    fn set_timeouts(&self, timeouts: wit_policy::TimeoutsBorrow<'_>) {
        self.0.borrow_mut().request.set_timeouts(timeouts.get::<Timeouts>().0.borrow().clone());
    }

    fn set_decode(&self, decode: bool) {
        self.0.borrow_mut().request.set_decode(decode);
    }

    fn set_trailers(&self, fields: wit::FieldList) -> Result<(), wit::Error> {
        self.0.borrow_mut().request.set_trailers(&fields).map_err(convert::invalid)
    }

    fn set_preload(&self, limit: Option<u64>) {
        self.0.borrow_mut().request.set_preload(limit);
    }

    fn set_max_body(&self, limit: Option<u64>) {
        self.0.borrow_mut().request.set_max_body(limit);
    }

    fn set_max_ratio(&self, limit: Option<u32>) {
        self.0.borrow_mut().request.set_max_ratio(limit);
    }
}

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

    /// Reads by this function until it has an answer; `block` waits where there is nothing to read yet.
    fn read_with(&self, block: bool, mut read: impl FnMut(&mut Arrived, Now) -> Read) -> Read {
        let arrived = &mut *self.0.borrow_mut();
        loop {
            let answer = read(arrived, clock::now());
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

    fn decoded(&self) -> bool {
        self.0.borrow().delivery.is_decoded()
    }

    fn read(&self, max: u32) -> Result<Vec<u8>, wit::Error> {
        match self.read_with(true, |arrived, now| arrived.delivery.read(size(max), now)) {
            Read::Bytes(bytes) => Ok(bytes.into()),
            Read::End | Read::Wait => Ok(Vec::new()),
            Read::Fail(error) => Err(convert::error(error)),
        }
    }

    fn try_read(&self, max: u32) -> Result<Option<Vec<u8>>, wit::Error> {
        match self.read_with(false, |arrived, now| arrived.delivery.read(size(max), now)) {
            Read::Bytes(bytes) => Ok(Some(bytes.into())),
            Read::End => Ok(Some(Vec::new())),
            Read::Wait => Ok(None),
            Read::Fail(error) => Err(convert::error(error)),
        }
    }

    fn read_all(&self, limit: u32) -> Result<Vec<u8>, wit::Error> {
        let mut whole = Vec::new();
        match self.read_with(true, |arrived, now| arrived.delivery.read_all(&mut whole, size(limit), now)) {
            Read::Bytes(_) | Read::End | Read::Wait => Ok(whole),
            Read::Fail(error) => Err(convert::error(error)),
        }
    }

    fn read_text(&self, limit: u32) -> Result<String, wit::Error> {
        let whole = self.read_all(limit)?;
        Ok(self.0.borrow().delivery.text(&whole))
    }

    fn subscribe(&self) -> Vec<Pollable> {
        let arrived = &mut *self.0.borrow_mut();
        let mut lent: Vec<Pollable> = arrived.incoming.as_mut().map(crate::body::Incoming::lend).into_iter().collect();
        lent.extend(arrived.delivery.deadline().map(|deadline| clock::timer(deadline.at)));
        if arrived.incoming.is_none() {
            lent.push(clock::timer_in(std::time::Duration::ZERO));
        }
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
        let refused = |why: &str| {
            convert::error(Error {
                url: Some(arrived.delivery.url().to_owned()),
                ..Error::new(Cause::Other(why.to_owned()))
            })
        };
        if !arrived.delivery.is_untouched() {
            return Err(refused("the body was preloaded or read, so it cannot be taken as it was sent"));
        }
        match arrived.incoming.and_then(crate::body::Incoming::into_raw) {
            Some((body, unfinished)) => {
                arrived.pool.unfinished.borrow_mut().extend(unfinished);
                Ok(body)
            }
            None => Err(refused("the response has no body to take")),
        }
    }
}

/// A size of the interface in memory; more than there can be counts as all of it.
fn size(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
