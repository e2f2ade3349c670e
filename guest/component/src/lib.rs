//! The urlpool client as a WASI 0.2 component: bindings and the export, nothing else.
//!
//! The shell carries out what `urlpool-core` decides. It knows handles, streams
//! and pollables, and nothing of HTTP.

mod body;
mod clock;
mod convert;
mod drive;
mod messages;
mod outgoing;
mod policy;
mod pool;
mod response;
mod running;
mod shared;

#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        world: "client",
        path: "../../wit",
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:io/poll@0.2.12": wasip2::io::poll,
            "wasi:io/streams@0.2.12": wasip2::io::streams,
            "wasi:clocks/monotonic-clock@0.2.12": wasip2::clocks::monotonic_clock,
            "wasi:clocks/wall-clock@0.2.12": wasip2::clocks::wall_clock,
            "wasi:random/random@0.2.12": wasip2::random::random,
            "wasi:http/types@0.2.12": wasip2::http::types,
            "wasi:http/outgoing-handler@0.2.12": wasip2::http::outgoing_handler,
        },
    });
}

/// The component.
struct Client;

bindings::export!(Client with_types_in bindings);
