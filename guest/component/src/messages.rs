//! Requests, forms and errors: unwrap the handle, call core, wrap the result.

use std::cell::RefCell;

use bytes::Bytes;
use urlpool_core::Error;
use wasip2::http::types::{ErrorCode, Method};
use wasip2::io::streams::InputStream;

use crate::bindings::exports::urlpool::client::{messages as wit, policy as wit_policy};
use crate::body::Kept;
use crate::outgoing::Source;
use crate::policy::{Redirect, Retry, Timeouts};
use crate::response::Response;
use crate::{Client, convert};

impl wit::Guest for Client {
    type Details = Details;
    type Form = Form;
    type Request = Request;
    type Response = Response;
}

/// All that is known of a failure, and the handles that lent a pollable on the way to it.
pub(crate) struct Details {
    error: Error,
    _kept: Kept,
}

impl Details {
    /// The details of this error.
    pub(crate) fn new(error: Error, kept: Kept) -> Self {
        Self { error, _kept: kept }
    }
}

impl wit::GuestDetails for Details {
    fn url(&self) -> Option<String> {
        self.error.url.clone()
    }

    fn phase(&self) -> Option<wit::Phase> {
        self.error.cause.phase().map(convert::phase)
    }

    fn limit(&self) -> Option<u64> {
        self.error.cause.limit().map(convert::nanos)
    }

    fn elapsed(&self) -> u64 {
        convert::nanos(self.error.elapsed)
    }

    fn code(&self) -> Option<ErrorCode> {
        self.error.cause.code().map(convert::wasi_code)
    }

    fn status(&self) -> Option<u16> {
        self.error.cause.status()
    }

    fn location(&self) -> Option<String> {
        self.error.cause.location().map(str::to_owned)
    }

    fn expected(&self) -> Option<u64> {
        self.error.cause.expected()
    }

    fn received(&self) -> Option<u64> {
        self.error.cause.received()
    }

    fn history(&self) -> Vec<wit::Attempt> {
        convert::history(&self.error.history)
    }

    fn trace(&self) -> Vec<wit::Mark> {
        convert::trace(&self.error.trace)
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
        let copy = self.0.borrow().request.try_clone().map_err(convert::error)?;
        Ok(wit::Request::new(Self::new(copy)))
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

    fn set_json(&self, text: String) {
        let open = &mut *self.0.borrow_mut();
        open.request.set_json(Bytes::from(text.into_bytes()));
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
