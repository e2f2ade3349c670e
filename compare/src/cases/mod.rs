//! The cases, by the parts of the table.

mod connections;
mod decoding;
mod framing;
mod redirects;
mod requests;

use crate::case::Case;

/// Every case, in the order of the table.
pub fn all() -> Vec<Case> {
    [decoding::CASES, framing::CASES, redirects::CASES, connections::CASES, requests::CASES].concat()
}
