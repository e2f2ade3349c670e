//! A guest that uses the crate `urlpool`, composed with the component, in the host: what the crate makes of the interface.
//!
//! The guest is `tests/guests/client`; each test here names one of its functions, and holds what it tells and what the server
//! saw.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use urlpool_conformance::ports::Refused;
use urlpool_conformance::reply::{ok, stall, status};
use urlpool_conformance::server::DEADLINE;
use urlpool_conformance::{Gate, Request, Server, Step, Until};
use urlpool_host::{Host, State, add_to_linker};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Engine, Store};

#[tokio::test]
async fn parts_of_a_request_arrive_as_they_were_set() -> Result<()> {
    let server = Server::routes([("/form", [ok("thanks")]), ("/missing", [status(404)])]).await?;
    let told = run("parts of a request", server.url("/")).await?;
    ensure!(told == "200 OK thanks Status Some(404)", "{told}");
    let form = server.request(0)?;
    ensure!(form.method == "POST" && form.target == "/form?q=a+b", "{form:?}");
    ensure!(form.header("x-pool") == Some("of the pool") && form.header("x-one") == Some("1"), "{form:?}");
    ensure!(form.header("x-latin") == Some("café") && form.header("user-agent").is_none(), "{form:?}");
    ensure!(form.header("authorization") == Some("Bearer secret"), "{form:?}");
    ensure!(form.header("content-type") == Some("multipart/form-data; boundary=edge"), "{form:?}");
    let parts = form.text();
    ensure!(parts.contains("name=\"title\"\r\n\r\nReport\r\n"), "{parts}");
    ensure!(parts.contains("filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nfour\r\n--edge--"), "{parts}");
    ensure!(server.request(1)?.header("authorization") == Some("Basic dXNlcjpwYXNz"));
    Ok(())
}

#[tokio::test]
async fn types_of_the_http_crate_go_both_ways() -> Result<()> {
    let reply = status(201).header("set-cookie", "a=1").header("set-cookie", "b=2").body("made");
    let server = Server::replies([reply]).await?;
    let told = run("a request of the http crate", server.url("/there")).await?;
    ensure!(told == "201 Created a=1; b=2 made", "{told}");
    let request = server.request(0)?;
    ensure!(request.method == "PUT" && request.all("x-one") == ["1", "2"] && *request.body == *b"four", "{request:?}");
    Ok(())
}

#[tokio::test]
async fn json_is_sent_and_read_and_what_is_none_is_malformed() -> Result<()> {
    let server = Server::answering(|request: &Request| match request.path() {
        "/echo" => ok("{\"name\": \"ada\"}"),
        _ => ok("[1, 2]"),
    });
    let server = server.await?;
    let told = run("json", server.url("/")).await?;
    ensure!(told == "ada Malformed true", "{told}");
    let sent = server.request(0)?;
    ensure!(sent.all("content-type") == ["application/json"] && sent.text() == "{\"name\":\"ada\"}", "{sent:?}");
    let sent = server.request(2)?;
    ensure!(sent.all("content-type") == ["application/merge-patch+json"], "{sent:?}");
    let sent = server.request(3)?;
    ensure!(sent.all("content-type") == ["application/x-www-form-urlencoded"] && sent.text() == "a=b", "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_sent_fails_when_it_is_sent_or_built() -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let told = run("what cannot be sent", server.url("/")).await?;
    ensure!(told == ["InvalidRequest"; 6].join(" "), "{told}");
    ensure!(server.arrivals() == 0);
    Ok(())
}

#[tokio::test]
async fn a_refused_connection_tells_its_kind_and_code() -> Result<()> {
    let told = run("a refused connection", Refused::bind()?.url("/")).await?;
    ensure!(told == "Connect Some(ErrorCode::ConnectionRefused) 0 None", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_timeout_tells_its_phase_limit_and_time() -> Result<()> {
    let server = Server::replies([stall()]).await?;
    let told = run("a timeout", server.url("/")).await?;
    ensure!(told == "TimedOut Some(Total) 50ms true", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_retry_stands_in_the_history_and_the_figures() -> Result<()> {
    let server = Server::replies([status(503), ok("")]).await?;
    let told = run("a retry", server.url("/")).await?;
    ensure!(told == "200 OK GET Answered(503) Retry 1", "{told}");
    let credentials =
        server.requests().iter().all(|request| request.header("authorization") == Some("Basic dXNlcjpwYXNz"));
    ensure!(credentials && server.arrivals() == 2, "{:?}", server.requests());
    Ok(())
}

#[tokio::test]
async fn a_body_beyond_a_limit_is_too_large_however_it_is_limited() -> Result<()> {
    let server = Server::replies([ok("longer than that")]).await?;
    let told = run("a body that is too large", server.url("/")).await?;
    ensure!(told == "200 OK TooLarge TooLarge", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_reader_gets_what_came_before_the_cut_and_then_the_typed_error() -> Result<()> {
    let whole = "HTTP/1.1 200 Scripted\r\nContent-Length: 6\r\n\r\npar".len();
    let server = Server::replies([ok("partly").cut(whole).close()]).await?;
    let told = run("a body that is cut", server.url("/")).await?;
    ensure!(told == "[112, 97, 114] UnexpectedEof Interrupted Some(3) of Some(6)", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_body_is_a_reader_and_its_trailers_follow() -> Result<()> {
    let server = Server::replies([ok("").chunks(["four", "and", "more"]).trailer("x-sum", "7")]).await?;
    let told = run("a reader", server.url("/")).await?;
    ensure!(told == "four andmore Some(\"7\")", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_body_is_the_same_by_pieces_of_any_size() -> Result<()> {
    let body: String = (0..30_011).map(|at| char::from(b' ' + (at % 89) as u8)).collect();
    let server = Server::replies(vec![ok(body.clone()); 3]).await?;
    let told = run("a reader of odd pieces", server.url("/")).await?;
    ensure!(told == body, "{} bytes", told.len());
    Ok(())
}

#[tokio::test]
async fn a_raw_body_is_forwarded_and_nothing_traps_when_that_is_given_up() -> Result<()> {
    let server = Server::answering(|request: &Request| match request.path() {
        "/from" => ok("carried"),
        "/to" => ok("stored"),
        _ => stall(),
    });
    let server = server.await?;
    let told = run("a forwarded body", server.url("/")).await?;
    ensure!(told == "Some(7) stored false Other", "{told}");
    let to = server.requests().into_iter().find(|request| request.path() == "/to").context("no such request")?;
    ensure!(to.header("content-length") == Some("7") && to.text() == "carried", "{to:?}");
    Ok(())
}

#[tokio::test]
async fn many_are_sent_over_the_slots_and_answered_in_order() -> Result<()> {
    let server = Server::answering(|request: &Request| ok(request.path()).after(Until::Arrived(4)));
    let server = server.await?;
    let told = run("many at a time", server.url("/")).await?;
    let expected: Vec<_> =
        (0..20).map(|number| if number == 7 { "InvalidRequest".to_owned() } else { format!("/{number}") }).collect();
    ensure!(told.split_whitespace().eq(expected.iter().map(String::as_str)), "{told}");
    ensure!(server.log().most_in_flight == 4 && server.arrivals() == 19, "{:?}", server.log());
    Ok(())
}

#[tokio::test]
async fn pending_ones_are_told_in_the_order_in_which_they_finish() -> Result<()> {
    let (first, second) = (Gate::new(), Gate::new());
    let (open_second, open_last) = (first.clone(), second.clone());
    let server = Server::answering(move |request: &Request| match request.path() {
        "/first" => ok("first"),
        "/second" => ok("second").after(Until::Open(open_second.clone())),
        _ => ok("last").after(Until::Open(open_last.clone())),
    });
    let server = server.await?;
    let opening = async {
        server.until("three requests", |log| log.requests.len() == 3).await?;
        server.until("the first is answered", |log| log.in_flight == 2).await?;
        first.open();
        server.until("the second is answered", |log| log.in_flight == 1).await?;
        second.open();
        Ok(())
    };
    let (told, ()) = tokio::try_join!(run("in order of completion", server.url("/")), opening)?;
    ensure!(told == "2: InvalidRequest 1: first 3: second 0: last ", "{told}");
    Ok(())
}

#[tokio::test]
async fn futures_are_under_way_at_once() -> Result<()> {
    let server = Server::answering(|request: &Request| ok(request.path()).after(Until::Arrived(3))).await?;
    let told = run("futures side by side", server.url("/")).await?;
    ensure!(told == "/1 /2 /3 /4", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_body_that_waits_keeps_no_other_from_being_read() -> Result<()> {
    let server = Server::answering(|request: &Request| match request.path() {
        "/one" => ok("one").cut(HEAD).then(Step::Wait(Until::Arrived(2))).then(rest("one")),
        _ => ok("two"),
    });
    let server = server.await?;
    let told = run("bodies side by side", server.url("/")).await?;
    ensure!(told == "one two", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_future_that_is_dropped_while_it_waits_leaves_nothing_behind() -> Result<()> {
    let server = Server::answering(|request: &Request| match request.path() {
        "/stalls" => stall(),
        "/stops" => ok("partly").cut(HEAD + 3).stall(),
        _ => ok("after"),
    });
    let server = server.await?;
    let told = run("a cancelled future", server.url("/")).await?;
    ensure!(told == "the clock TimedOut par after", "{told}");
    Ok(())
}

#[tokio::test]
async fn any_executor_serves_that_can_wait_for_pollables() -> Result<()> {
    let server = Server::replies([ok("").chunks(["in", "several", "pieces"])]).await?;
    let told = run("another executor", server.url("/")).await?;
    ensure!(told == "inseveralpieces", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_future_under_no_executor_of_ours_blocks_instead_of_hanging() -> Result<()> {
    let server = Server::replies([ok("there")]).await?;
    let told = run("a future outside", server.url("/")).await?;
    ensure!(told == "there", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_closed_pool_is_closed_for_its_clones_and_its_responses_stay() -> Result<()> {
    let server = Server::replies([ok("kept")]).await?;
    let told = run("a closed pool", server.url("/")).await?;
    ensure!(told == "true kept 200 OK", "{told}");
    Ok(())
}

/// What comes before the body "partly", or any of one digit's length.
const HEAD: usize = "HTTP/1.1 200 Scripted\r\nContent-Length: 6\r\n\r\n".len();

fn rest(text: &'static str) -> Step {
    Step::Send(text.into())
}

/// Has a fresh instance do what a test is named.
async fn run(test: &str, url: String) -> Result<String> {
    let state = State::new(&Host::builder().build()?);
    let told = tokio::time::timeout(DEADLINE, call(state, test, url)).await.context("the guest hangs")?;
    told.map_err(|error| anyhow::anyhow!("{error:?}"))?.map_err(anyhow::Error::msg)
}

async fn call(state: State, test: &str, url: String) -> wasmtime::Result<Result<String, String>> {
    let guest = guest()?;
    let mut store = Store::new(guest.engine(), state);
    let instance = guest.instantiate_async(&mut store).await?;
    let function = instance.get_typed_func::<(String, String), (Result<String, String>,)>(&mut store, "run")?;
    let (told,) = function.call_async(&mut store, (test.to_owned(), url)).await?;
    Ok(told)
}

/// The guest with the client in it, ready to be instantiated; composed and compiled by the first test that needs it.
fn guest() -> wasmtime::Result<&'static InstancePre<State>> {
    static GUEST: OnceLock<Result<InstancePre<State>, String>> = OnceLock::new();
    let compiling = || -> wasmtime::Result<_> {
        let mut config = Config::new();
        config.concurrency_support(false);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker)?;
        let composed = composed().map_err(|error| wasmtime::Error::msg(format!("{error:#}")))?;
        linker.instantiate_pre(&Component::new(&engine, composed)?)
    };
    let guest = GUEST.get_or_init(|| compiling().map_err(|error| format!("{error:?}")));
    guest.as_ref().map_err(wasmtime::Error::msg)
}

fn composed() -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str, file: &str| {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/component").join(file);
        let bytes = std::fs::read(&file)
            .with_context(|| format!("{}: not there; `cargo xtask component` builds it", file.display()))?;
        let package = Package::from_bytes(name, None, bytes, graph.types_mut())?;
        anyhow::Ok(graph.register_package(package)?)
    };
    let guest = register("guest", "guest-client.wasm")?;
    let client = register("client", "urlpool.wasm")?;
    plug(&mut graph, vec![client], guest)?;
    Ok(graph.encode(EncodeOptions::default())?)
}
