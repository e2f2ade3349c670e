//! What `bindgen!` makes of the WIT package.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated; the documentation is the WIT's")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "urlpool:client/client",
    imports: { default: trappable },
    exports: { default: async },
    require_store_data_send: true,
    with: {
        "wasi:io": wasmtime_wasi::p2::bindings::io,
        "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
        "wasi:random": wasmtime_wasi::p2::bindings::random,
        "wasi:http": wasmtime_wasi_http::p2::bindings::http,
    },
});
