//! The cases, one file for each subject.

mod connections;
mod credentials;
pub(crate) mod decode;
mod forms;
mod framing;
mod headers;
mod limits;
mod multipart;
mod observability;
mod redirect;
mod retry;
mod reuse;
mod safety;
mod sweep;
mod timeouts;
mod url;

use crate::case::Case;

/// All cases, by area.
pub(crate) fn all() -> Vec<Case> {
    [
        reuse::cases(),
        connections::cases(),
        retry::cases(),
        redirect::cases(),
        timeouts::cases(),
        multipart::cases(),
        forms::cases(),
        url::cases(),
        headers::cases(),
        framing::cases(),
        decode::cases(),
        credentials::cases(),
        observability::cases(),
        limits::cases(),
        safety::cases(),
        sweep::cases(),
    ]
    .concat()
}
