//! A wasmtime host whose guests share pooled connections.
//!
//! Runs a component that exports `run: func(url: string) -> result<string, string>`, such as `examples/caller` composed with
//! the client, in three stores side by side.

use urlpool_host::{Egress, Host, State, add_to_linker};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> wasmtime::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err(wasmtime::Error::msg("usage: example-embedder COMPONENT URL"));
    };

    let mut config = Config::new();
    // The guests are of WASI 0.2: calls are several times cheaper without the machinery of 0.3.
    config.concurrency_support(false);
    let engine = Engine::new(&config)?;

    let host = Host::builder().connections_per_origin(8).build()?;
    let mut linker = Linker::<State>::new(&engine);
    // Compilers have guests import more than they use; of what is added here, `State` shows them nothing.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    add_to_linker(&mut linker)?;

    let component = Component::from_file(&engine, &path)?;
    let program = linker.instantiate_pre(&component)?;

    let guest = host
        .guest()
        .tenant("acme") // connections of its own
        .requests(2) // in flight at once
        .egress(Egress::untrusted().allow("127.0.0.0/8")?) // where it may go
        .build()?;

    let one = async || -> wasmtime::Result<String> {
        let mut store = Store::new(&engine, State::of(&guest));
        let instance = program.instantiate_async(&mut store).await?;
        let run = instance.get_typed_func::<(&str,), (Result<String, String>,)>(&mut store, "run")?;
        let (answer,) = run.call_async(&mut store, (&url,)).await?;
        answer.map_err(wasmtime::Error::msg)
    };
    for answer in <[String; 3]>::from(tokio::try_join!(one(), one(), one())?) {
        println!("{answer}");
    }
    println!("{}", host.stats().prometheus());
    Ok(())
}
