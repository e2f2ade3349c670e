//! A wasmtime host whose guests share pooled connections.
//!
//! Runs a component that exports `run: func(url: string) -> result<string, string>`, such as `examples/caller` composed with
//! the client, or any other that imports no more than wasi:http, in three stores side by side.

use urlpool_host::{Host, State, add_to_linker};
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
    let component = Component::from_file(&engine, &path)?;
    let mut linker = Linker::<State>::new(&engine);
    add_to_linker(&mut linker)?;
    let guest = linker.instantiate_pre(&component)?;

    let host = Host::builder().connections_per_origin(8).build()?;
    // Two requests at once, for all three stores together.
    let tenant = host.guest().tenant("example").requests(2).build()?;
    let one = async || -> wasmtime::Result<String> {
        let mut store = Store::new(&engine, State::of(&tenant));
        let instance = guest.instantiate_async(&mut store).await?;
        let run = instance.get_typed_func::<(&str,), (Result<String, String>,)>(&mut store, "run")?;
        let (answer,) = run.call_async(&mut store, (&url,)).await?;
        answer.map_err(wasmtime::Error::msg)
    };
    let answers = tokio::try_join!(one(), one(), one())?;
    println!("{answers:?}\n{}", host.stats().prometheus());
    Ok(())
}
