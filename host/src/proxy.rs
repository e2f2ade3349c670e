//! stub
use http::HeaderValue;
/// What to add.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) authorization: Option<HeaderValue>,
}
