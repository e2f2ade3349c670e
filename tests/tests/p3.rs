//! A guest of WASI 0.3 in the host: the connections it uses, the errors it sees, and what it learns of its uploads.
//!
//! Beside the cases, which drive the urlpool client: this guest speaks to `wasi:http` itself.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use urlpool_conformance::ports::Refused;
use urlpool_conformance::reply::{close, ok, raw};
use urlpool_conformance::server::DEADLINE;
use urlpool_conformance::{Gate, Rig, Server, Step, Until};
use urlpool_host::{Egress, Host, State, add_to_linker, add_to_linker_p3};
use wasmtime::component::{Component, ComponentNamedList, ComponentType, InstancePre, Lift, Linker, Lower};
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct Uploaded {
    answer: Result<Answer, ErrorCode>,
    sent: Result<(), ErrorCode>,
}

#[tokio::test]
async fn sequential_requests_use_one_connection() -> Result<()> {
    let server = Server::replies([ok("one"), ok("two"), ok("three")]).await?;
    let answers = get_all(State::new(&host()?), vec![server.url("/"); 3], 1, None).await?;
    let bodies: Vec<_> = answers.into_iter().map(|answer| answer.map(|answer| answer.body)).collect();
    assert!(
        matches!(&bodies[..], [Ok(one), Ok(two), Ok(three)] if one == b"one" && two == b"two" && three == b"three")
    );
    assert_eq!(server.connections(), 1);
    Ok(())
}

#[tokio::test]
async fn requests_at_once_never_exceed_the_limit_of_connections() -> Result<()> {
    let server = Server::replies([ok("").after(Until::Arrived(4))]).await?;
    let host = Host::builder().connections_per_origin(4).build()?;
    let answers = get_all(State::new(&host), vec![server.url("/"); 8], 8, None).await?;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(answer) if answer.status == 200)), "{answers:?}");
    let log = server.log();
    assert_eq!((log.connections.len(), log.most_in_flight, log.requests.len()), (4, 4, 8));
    Ok(())
}

#[tokio::test]
async fn a_stale_connection_is_repaired_unseen() -> Result<()> {
    let server = Server::replies([ok("one"), close(), ok("two")]).await?;
    let answers = get_all(State::new(&host()?), vec![server.url("/"); 2], 1, None).await?;
    assert!(matches!(&answers[..], [Ok(_), Ok(two)] if two.body == b"two"), "{answers:?}");
    assert_eq!((server.connections(), server.arrivals()), (2, 3));
    Ok(())
}

#[tokio::test]
async fn a_refused_connection_is_told_as_such() -> Result<()> {
    let refused = Refused::bind()?;
    let error = fails(State::new(&host()?), refused.url("/"), None).await?;
    assert!(matches!(error, ErrorCode::ConnectionRefused), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_body_that_stops_is_a_read_timeout() -> Result<()> {
    let server = Server::replies([ok("partly").cut(PARTLY).stall()]).await?;
    let error = fails(State::new(&host()?), server.url("/"), Some(Duration::from_millis(50))).await?;
    assert!(matches!(error, ErrorCode::ConnectionReadTimeout), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_incomplete() -> Result<()> {
    let server = Server::replies([ok("partly").cut(PARTLY).close()]).await?;
    let error = fails(State::new(&host()?), server.url("/"), None).await?;
    assert!(matches!(error, ErrorCode::HttpResponseIncomplete), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_chunk_that_is_none_is_a_protocol_error() -> Result<()> {
    let server =
        Server::replies([raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nnone\r\n").stall()])
            .await?;
    let error = fails(State::new(&host()?), server.url("/"), None).await?;
    assert!(matches!(error, ErrorCode::HttpProtocolError), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_host_that_the_egress_policy_denies_is_a_denied_request() -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let guest = host()?.guest().egress(Egress::open().deny("localhost")?).build()?;
    let error = fails(State::of(&guest), server.url_at("localhost", "/"), None).await?;
    assert!(matches!(error, ErrorCode::HttpRequestDenied), "{error:?}");
    assert_eq!(server.connections(), 0);
    Ok(())
}

#[tokio::test]
async fn an_address_that_the_egress_policy_denies_is_a_prohibited_one() -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let guest = host()?.guest().egress(Egress::untrusted()).build()?;
    let error = fails(State::of(&guest), server.url("/"), None).await?;
    assert!(matches!(error, ErrorCode::DestinationIpProhibited), "{error:?}");
    assert_eq!(server.connections(), 0);
    Ok(())
}

#[tokio::test]
async fn an_upload_that_arrived_whole_was_sent() -> Result<()> {
    let server = Server::replies([ok("thanks")]).await?;
    let Uploaded { answer, sent } = upload(State::new(&host()?), server.url("/"), 64).await?;
    assert!(matches!(&answer, Ok(answer) if answer.body == b"thanks"), "{answer:?}");
    assert!(matches!(sent, Ok(())), "{sent:?}");
    let request = server.request(0)?;
    assert_eq!((request.whole, request.body.len()), (true, 64 * PIECE as usize));
    Ok(())
}

#[tokio::test]
async fn an_upload_that_was_answered_before_its_end_was_not_sent() -> Result<()> {
    let server = Server::replies([ok("enough").deaf()]).await?;
    let Uploaded { answer, sent } = upload(State::new(&host()?), server.url("/"), MORE_THAN_FITS).await?;
    assert!(matches!(&answer, Ok(answer) if answer.body == b"enough"), "{answer:?}");
    assert!(matches!(sent, Err(ErrorCode::ConnectionTerminated)), "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn an_upload_in_whose_middle_the_server_closes_was_not_sent() -> Result<()> {
    let heard = Gate::new();
    let reply = ok("partly").cut(PARTLY).deaf().then(Step::Wait(Until::Open(heard.clone()))).close();
    let server = Server::replies([reply]).await?;
    let host = host()?;
    let closing = async {
        // The response has begun once the host read of it. The host tells nobody when, so this asks again and again.
        let begun = Instant::now();
        while host.stats().bytes_read < PARTLY as u64 {
            ensure!(begun.elapsed() < Duration::from_secs(20), "the host has read nothing");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        heard.open();
        Ok(())
    };
    let uploading = upload(State::new(&host), server.url("/"), MORE_THAN_FITS);
    let (Uploaded { answer, sent }, ()) = tokio::try_join!(uploading, closing)?;
    assert!(matches!(answer, Err(ErrorCode::HttpResponseIncomplete | ErrorCode::ConnectionTerminated)), "{answer:?}");
    assert!(matches!(sent, Err(ErrorCode::ConnectionTerminated)), "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn an_upload_that_gets_no_response_fails_with_its_request() -> Result<()> {
    let server = Server::replies([close().deaf()]).await?;
    let Uploaded { answer, .. } = upload(State::new(&host()?), server.url("/"), MORE_THAN_FITS).await?;
    assert!(matches!(answer, Err(ErrorCode::ConnectionTerminated)), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn guests_of_both_generations_share_a_connection() -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let host = host()?;
    let mut client = Rig::embedded()?.client_of(&host).await?;
    client.get(server.url("/older")).await?;
    let newer = get_all(State::new(&host), vec![server.url("/newer")], 1, None).await?;
    assert!(matches!(&newer[..], [Ok(_)]), "{newer:?}");
    client.get(server.url("/older")).await?;
    assert_eq!((server.connections(), server.arrivals()), (1, 3));
    assert_eq!((host.stats().opened, host.stats().reused), (1, 2));
    Ok(())
}

/// How much of an answer with the body "partly" ends within that body.
const PARTLY: usize = "HTTP/1.1 200 Scripted\r\nContent-Length: 6\r\n\r\npar".len();

/// The length of each piece of an upload.
const PIECE: u32 = 64 * 1024;

/// So many pieces as no sockets take whose server reads nothing.
const MORE_THAN_FITS: u32 = 1024;

fn host() -> Result<Host> {
    Ok(Host::builder().build()?)
}

async fn fails(state: State, url: String, between_bytes: Option<Duration>) -> Result<ErrorCode> {
    match get_all(state, vec![url], 1, between_bytes).await?.pop().context("one answer")? {
        Ok(answer) => bail!("expected an error, got {answer:?}"),
        Err(error) => Ok(error),
    }
}

async fn get_all(
    state: State,
    urls: Vec<String>,
    at_once: u32,
    between_bytes: Option<Duration>,
) -> Result<Vec<Result<Answer, ErrorCode>>> {
    let between_bytes = between_bytes.map(|wait| wait.as_nanos() as u64);
    let (answers,) = call(state, "get-all", (urls, at_once, between_bytes)).await?;
    Ok(answers)
}

async fn upload(state: State, url: String, pieces: u32) -> Result<Uploaded> {
    let (uploaded,) = call(state, "upload", (url, pieces, PIECE)).await?;
    Ok(uploaded)
}

/// Calls a function of a fresh instance.
async fn call<P, R>(state: State, name: &str, parameters: P) -> Result<R>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let calling = async {
        let guest = guest()?;
        let mut store = Store::new(guest.engine(), state);
        let instance = guest.instantiate_async(&mut store).await?;
        let function = instance.get_typed_func::<P, R>(&mut store, name)?;
        store.run_concurrent(async |store| function.call_concurrent(store, parameters).await).await?
    };
    let called = tokio::time::timeout(DEADLINE, calling).await.context("the guest hangs")?;
    called.map_err(|error| anyhow::anyhow!("{error:?}"))
}

/// The guest, ready to be instantiated, in an engine and a linker for both generations; compiled by the first that needs it.
fn guest() -> wasmtime::Result<&'static InstancePre<State>> {
    static GUEST: OnceLock<Result<InstancePre<State>, String>> = OnceLock::new();
    let compiling = || {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker)?;
        add_to_linker_p3(&mut linker)?;
        linker.instantiate_pre(&Component::from_file(&engine, file())?)
    };
    let guest = GUEST.get_or_init(|| {
        compiling().map_err(|error| format!("{}: {error:?}; `cargo xtask component` builds it", file().display()))
    });
    guest.as_ref().map_err(wasmtime::Error::msg)
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/component/guest-p3.wasm")
}
