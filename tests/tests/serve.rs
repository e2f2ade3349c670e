//! Handlers behind a server: what one request may cost, and what instances share.
//!
//! Longer than most files: it is one list of what a served component can do wrong.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt, Empty, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use urlpool_compose::Client;
use urlpool_conformance::reply::{ok, stall};
use urlpool_conformance::server::DEADLINE;
use urlpool_conformance::{Gate, Server as Upstream, Until};
use urlpool_host::{Egress, Host};
use urlpool_run::{Error, Event, Fault, Metrics, Server, ServerBuilder};

#[tokio::test]
async fn ten_requests_that_fan_out_stay_within_the_caps_of_the_host_and_lose_nothing() -> Result<()> {
    let upstream = Upstream::replies([ok("up").after(Until::Arrived(8))]).await?;
    let host = Host::builder().connections_per_origin(8).build()?;
    let server = edge(Server::builder(), &host)?;
    let five: Vec<_> = (0..5).map(|at| upstream.url(&format!("/{at}"))).collect();
    let path = format!("/fan?20000&{}", five.join("&"));
    let answers = join_all((0..10).map(|_| get(&server, &path))).await;
    for answer in answers {
        assert_eq!(answer?, (200, "200 up\n".repeat(5)));
    }
    let log = upstream.log();
    assert_eq!((log.requests.len(), log.connections.len(), log.most_in_flight), (50, 8, 8));
    assert_eq!((host.stats().opened, host.stats().reused), (8, 42));
    assert_eq!((server.stats().started, server.stats().running), (10, 0));
    Ok(())
}

#[tokio::test]
async fn the_quota_of_the_guest_holds_across_its_instances() -> Result<()> {
    let upstream = Upstream::replies([ok("up").after(Until::Arrived(3))]).await?;
    let host = Host::builder().build()?;
    let guest = host.guest().requests(3).build()?;
    let server = Server::builder().build(component("edge")?, guest)?;
    let path = format!("/fan?20000&{0}&{0}", upstream.url("/"));
    for answer in join_all((0..5).map(|_| get(&server, &path))).await {
        assert_eq!(answer?, (200, "200 up\n".repeat(2)));
    }
    assert_eq!((upstream.arrivals(), upstream.log().most_in_flight), (10, 3));
    Ok(())
}

#[tokio::test]
async fn a_slow_upstream_costs_only_its_deadline() -> Result<()> {
    let (upstream, silent) = (Upstream::replies([ok("up")]).await?, Upstream::replies([stall()]).await?);
    let server = edge(Server::builder(), &Host::builder().build()?)?;
    let (up, no) = (upstream.url("/"), silent.url("/"));
    let path = format!("/fan?400&{up}&{up}&{no}&{up}&{up}");
    let begun = Instant::now();
    for answer in join_all((0..10).map(|_| get(&server, &path))).await {
        let (status, text) = answer?;
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((status, &lines[..2], &lines[3..]), (200, &["200 up"; 2][..], &["200 up"; 2][..]), "{text}");
        assert!(lines[2].ends_with("TimedOut"), "{text}");
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!((upstream.arrivals(), silent.arrivals()), (40, 10));
    Ok(())
}

#[tokio::test]
async fn an_instance_is_given_one_request_unless_told_otherwise() -> Result<()> {
    let host = Host::builder().build()?;
    for (server, expected, started) in [
        (edge(Server::builder(), &host)?, ["1", "1", "1", "1"], 4),
        (edge(Server::builder().reuse(3), &host)?, ["1", "2", "3", "1"], 2),
    ] {
        let mut given = Vec::new();
        for _ in 0..4 {
            let response = ask(&server, "/hello").await?;
            given.push(response.headers()["x-given"].to_str()?.to_owned());
            // The instance is free once its response was handed over.
            collect(response).await?;
            wait_for(|| server.stats().running == 0).await;
        }
        assert_eq!((given.as_slice(), server.stats().started), (&expected.map(str::to_owned)[..], started));
    }
    Ok(())
}

#[tokio::test]
async fn what_the_component_does_wrong_is_a_status_and_a_fault() -> Result<()> {
    let told = Told::default();
    let builder = Server::builder().memory(64 << 20).reuse(2).observer(told.observer());
    let server = edge(builder, &Host::builder().build()?)?;
    for (path, fault) in [
        ("/trap?secret", "component: trapped: wasm `unreachable` instruction executed"),
        ("/eat?100", "component: wanted more memory than an instance may have"),
        ("/silent", "component: ended without a response"),
    ] {
        assert_eq!(get(&server, path).await?, (500, "the component failed\n".to_owned()), "{path}");
        let name = path.split('?').next().context("a path")?;
        assert_eq!(told.take(), [format!("GET {name} 500 {fault}")]);
        // Nothing of it is left for the next request.
        let response = ask(&server, "/hello").await?;
        assert_eq!((response.status().as_u16(), &response.headers()["x-given"]), (200, &"1".parse()?));
        collect(response).await?;
        assert_eq!(told.take(), ["GET /hello 200"]);
        wait_for(|| server.stats().idle == 1).await;
        // Its second and last.
        assert_eq!(get(&server, "/eat?10").await?.0, 200);
        assert_eq!(told.take(), ["GET /eat 200"]);
        wait_for(|| server.stats().running == 0).await;
    }
    // An error of its own is no failure of the instance.
    assert_eq!(get(&server, "/refuse").await?.0, 500);
    assert_eq!(told.take(), ["GET /refuse 500 component: answered with an error: ErrorCode::LoopDetected"]);
    wait_for(|| server.stats().idle == 1).await;
    let served = server.stats();
    assert_eq!((served.answered[&2], served.answered[&5], served.faults.len()), (6, 4, 4));
    assert_eq!((served.faults["memory"], served.faults["silent"]), (1, 1));
    Ok(())
}

/// On one thread: what computes gives way all the same.
#[tokio::test]
async fn a_component_that_computes_for_good_keeps_nobody_waiting() -> Result<()> {
    let server = edge(Server::builder().deadline(None), &Host::builder().build()?)?;
    let greeting = async {
        for _ in 0..4 {
            assert_eq!(get(&server, "/hello").await?.0, 200);
        }
        anyhow::Ok(())
    };
    tokio::select! {
        _ = server.handle(request("/spin")?) => anyhow::bail!("it ended"),
        greeted = greeting => greeted?,
    }
    // Its client has left, and it is ended for that.
    wait_for(|| server.stats().running == 0).await;
    Ok(())
}

#[tokio::test]
async fn a_component_that_computes_beyond_the_deadline_is_ended() -> Result<()> {
    let told = Told::default();
    let builder = Server::builder().deadline(Some(Duration::from_millis(300))).observer(told.observer());
    let server = edge(builder, &Host::builder().build()?)?;
    assert_eq!(get(&server, "/spin").await?, (504, "the component took too long\n".to_owned()));
    assert_eq!(told.take(), ["GET /spin 504 component: took longer than the deadline"]);
    assert_eq!(server.stats().running, 0);
    Ok(())
}

#[tokio::test]
async fn a_component_that_waits_beyond_the_deadline_is_ended() -> Result<()> {
    let server = edge(Server::builder().deadline(Some(Duration::from_millis(100))), &Host::builder().build()?)?;
    assert_eq!(get(&server, "/wait?60000").await?.0, 504);
    assert_eq!(get(&server, "/wait?1").await?, (200, "waited\n".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_response_that_cannot_be_finished_is_cut_off() -> Result<()> {
    let told = Told::default();
    let builder = Server::builder().deadline(Some(Duration::from_millis(200))).observer(told.observer());
    let server = edge(builder, &Host::builder().build()?)?;
    for (path, fault) in [
        ("/half", "component: trapped: wasm `unreachable` instruction executed"),
        ("/endless", "component: took longer than the deadline"),
    ] {
        let response = ask(&server, path).await?;
        assert_eq!(response.status(), 200);
        assert!(collect(response).await.is_err(), "{path}");
        wait_for(|| told.len() == 2).await;
        assert_eq!(told.take(), [format!("GET {path} 200"), format!("GET {path} cut {fault}")]);
    }
    assert_eq!(server.stats().cut, 2);
    Ok(())
}

#[tokio::test]
async fn a_request_waits_for_an_instance_and_then_gives_up() -> Result<()> {
    let gate = Gate::new();
    let upstream = Upstream::replies([ok("up").after(Until::Open(gate.clone()))]).await?;
    let builder = Server::builder().instances(1).wait(Duration::from_millis(50));
    let server = edge(builder, &Host::builder().build()?)?;
    let path = format!("/fan?20000&{}", upstream.url("/"));
    let (first, second) = tokio::join!(get(&server, &path), async {
        wait_for(|| upstream.arrivals() == 1).await;
        let response = ask(&server, "/hello").await?;
        gate.open();
        anyhow::Ok((response.status().as_u16(), response.headers()["retry-after"].clone()))
    });
    assert_eq!((first?, second?), ((200, "200 up\n".to_owned()), (503, "1".parse()?)));
    assert_eq!(get(&server, "/hello").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_instance() -> Result<()> {
    let upstream = Upstream::replies([stall()]).await?;
    let server = edge(Server::builder().instances(1), &Host::builder().build()?)?;
    let path = format!("/fan?20000&{}", upstream.url("/"));
    let asking = get(&server, &path);
    tokio::select! {
        _ = asking => anyhow::bail!("the upstream answers nothing"),
        () = wait_for(|| upstream.arrivals() == 1) => {}
    }
    // The only instance is free again.
    assert_eq!(get(&server, "/hello").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn bodies_pass_through_as_they_come() -> Result<()> {
    let served = Served::start(edge(Server::builder(), &Host::builder().build()?)?).await?;
    let body: Bytes = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let request = http::Request::post(served.url("/echo")).body(Full::new(body.clone()))?;
    let response = Host::builder().build()?.send(request, urlpool_host::Timeouts::default()).await?;
    let answered = response.into_body().collect().await?.to_bytes();
    assert!(answered == body, "{} bytes", answered.len());
    served.end().await
}

#[tokio::test]
async fn a_request_that_names_no_host_is_refused() -> Result<()> {
    let served = Served::start(edge(Server::builder(), &Host::builder().build()?)?).await?;
    let mut stream = TcpStream::connect(served.address).await?;
    stream.write_all(b"GET /hello HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    served.end().await
}

#[tokio::test]
async fn what_has_begun_is_finished_when_the_server_ends() -> Result<()> {
    let gate = Gate::new();
    let upstream = Upstream::replies([ok("up").after(Until::Open(gate.clone()))]).await?;
    let served = Served::start(edge(Server::builder(), &Host::builder().build()?)?).await?;
    let client = Host::builder().build()?;
    // A connection that is idle when the server ends keeps it from nothing.
    assert_eq!(fetch(&client, &served.url("/hello")).await?.0, 200);
    let url = served.url(&format!("/fan?20000&{}", upstream.url("/")));
    let address = served.address;
    let (begun, ended) = tokio::join!(fetch(&client, &url), async {
        wait_for(|| upstream.arrivals() == 1).await;
        let ending = served.end();
        tokio::pin!(ending);
        let refused = async {
            // Until the listener is gone, connections may still be accepted by the system.
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut ending => anyhow::bail!("it ended before its request"),
            () = refused => gate.open(),
        }
        ending.await
    });
    ended?;
    assert_eq!(begun?, (200, "200 up\n".to_owned()));
    Ok(())
}

#[tokio::test]
async fn what_takes_too_long_at_the_end_is_cut_off_and_told() -> Result<()> {
    let upstream = Upstream::replies([stall()]).await?;
    let builder = Server::builder().grace(Duration::from_millis(50));
    let served = Served::start(edge(builder, &Host::builder().build()?)?).await?;
    let client = Host::builder().build()?;
    let url = served.url(&format!("/fan?20000&{}", upstream.url("/")));
    let (_, ended) =
        tokio::join!(async { tokio::time::timeout(Duration::from_millis(500), fetch(&client, &url)).await }, async {
            wait_for(|| upstream.arrivals() == 1).await;
            served.end().await
        });
    assert!(ended.is_err_and(|error| error.to_string().contains("cut off")));
    Ok(())
}

#[tokio::test]
async fn a_handler_of_wasi_0_3_is_served_alike() -> Result<()> {
    let upstream = Upstream::replies([ok("up")]).await?;
    let host = Host::builder().build()?;
    for (reuse, handled) in [(1, ["1", "1", "1"]), (2, ["1", "2", "1"])] {
        let server = Server::builder().reuse(reuse).build(component("p3-app")?, host.guest().build()?)?;
        for handled in handled {
            let response = ask(&server, &format!("/?{}", upstream.url("/"))).await?;
            assert_eq!(response.headers()["x-handled"], handled);
            assert_eq!(collect(response).await?, "up");
            wait_for(|| server.stats().running == 0).await;
        }
    }
    assert_eq!((upstream.connections(), upstream.arrivals()), (1, 6));
    // What it answers with an error is no response.
    let closed = host.guest().egress(Egress::untrusted()).build()?;
    let told = Told::default();
    let server = Server::builder().observer(told.observer()).build(component("p3-app")?, closed)?;
    assert_eq!(get(&server, &format!("/?{}", upstream.url("/"))).await?.0, 500);
    let [line] = &told.take()[..] else { anyhow::bail!("one event") };
    assert!(line.contains("DestinationIpProhibited"), "{line}");
    Ok(())
}

#[tokio::test]
async fn figures_are_shown_on_a_page() -> Result<()> {
    let host = Host::builder().build()?;
    let server = edge(Server::builder(), &host)?;
    get(&server, "/hello").await?;
    let figures = server.clone();
    let metrics = Metrics::serve(TcpListener::bind("127.0.0.1:0").await?, move || figures.stats().prometheus())?;
    let page = fetch(&host, &format!("http://{}/metrics", metrics.address())).await?;
    assert!(page.0 == 200 && page.1.contains("urlpool_served_requests_total{class=\"2xx\"} 1\n"), "{page:?}");
    assert_eq!(fetch(&host, &format!("http://{}/", metrics.address())).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_served_is_told_before() -> Result<()> {
    let guest = || Host::builder().build()?.guest().build().map_err(anyhow::Error::from);
    let refused = |builder: ServerBuilder, component: &[u8], guest| match builder.build(component, guest) {
        Ok(_) => anyhow::bail!("it is served"),
        Err(error) => Ok(error),
    };
    let error = refused(Server::builder(), component("get")?, guest()?)?;
    assert!(matches!(&error, Error::World { exports, .. } if exports[0].starts_with("wasi:cli/run@")), "{error}");
    let error = refused(Server::builder().instances(0), component("edge")?, guest()?)?;
    assert!(matches!(error, Error::Limit("instances")), "{error}");
    let error = refused(Server::builder().reuse(0), component("edge")?, guest()?)?;
    assert!(matches!(error, Error::Limit("reuse")), "{error}");
    let error = refused(Server::builder(), b"\0asm\x01\0\0\0", guest()?)?;
    assert!(matches!(error, Error::NotAComponent(_)), "{error}");
    // Too many for the address space: they get their memory one by one.
    let server = Server::builder().instances(100_000).build(component("edge")?, guest()?)?;
    assert_eq!(get(&server, "/hello").await?.0, 200);
    Ok(())
}

/// A server of the guest that imports the client.
fn edge(builder: ServerBuilder, host: &Host) -> Result<Server> {
    Ok(builder.build(component("edge")?, host.guest().build()?)?)
}

/// A guest of the tests, with the client in it if it wants that.
fn component(name: &str) -> Result<&'static [u8]> {
    static EDGE: OnceLock<Vec<u8>> = OnceLock::new();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../target/component/guest-{name}.wasm"));
    let read =
        || std::fs::read(&path).with_context(|| format!("{}: `cargo xtask component` builds it", path.display()));
    if name != "edge" {
        return Ok(read()?.leak());
    }
    if let Some(edge) = EDGE.get() {
        return Ok(edge);
    }
    let edge = Client::new(urlpool_script::component()?)?.plug_into(&read()?)?;
    Ok(EDGE.get_or_init(|| edge))
}

/// The head of what the server answers, and its body as it comes.
async fn ask(server: &Server, path: &str) -> Result<http::Response<wasmtime_wasi_http::WasiBody>> {
    tokio::time::timeout(DEADLINE, server.handle(request(path)?)).await.context("the server hangs")
}

fn request(path: &str) -> Result<http::Request<Empty<Bytes>>> {
    Ok(http::Request::get(path).header("host", "edge.test").body(Empty::new())?)
}

async fn collect(response: http::Response<wasmtime_wasi_http::WasiBody>) -> Result<String> {
    let body = tokio::time::timeout(DEADLINE, response.into_body().collect()).await.context("the body hangs")?;
    let body = body.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(String::from_utf8(body.to_bytes().to_vec())?)
}

async fn get(server: &Server, path: &str) -> Result<(u16, String)> {
    let response = ask(server, path).await?;
    Ok((response.status().as_u16(), collect(response).await?))
}

/// The same from outside.
async fn fetch(client: &Host, url: &str) -> Result<(u16, String)> {
    let request = http::Request::get(url).body(Empty::<Bytes>::new())?;
    let response = client.send(request, urlpool_host::Timeouts::default()).await?;
    let status = response.status().as_u16();
    Ok((status, String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?))
}

/// Waits until something holds that nobody tells of; that it never does is a failure of its own.
async fn wait_for(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("it comes to hold");
}

/// A server on a port of its own.
struct Served {
    address: std::net::SocketAddr,
    end: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn start(server: Server) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let ended = async {
                let _ = ended.await;
            };
            server.serve(listener, ended).await
        });
        Ok(Self { address, end, task })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn end(self) -> Result<()> {
        let _ = self.end.send(());
        Ok(tokio::time::timeout(DEADLINE, self.task).await.context("the server does not end")???)
    }
}

/// The events of a server, a line each.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn observer(&self) -> Arc<dyn urlpool_run::Observe> {
        let told = Arc::clone(&self.0);
        Arc::new(move |event: Event<'_>| {
            let line = match event {
                Event::Answered { method, path, status, fault, .. } => {
                    let fault = fault.map(|fault: &Fault| format!(" {fault}")).unwrap_or_default();
                    format!("{method} {path} {}{fault}", status.as_u16())
                }
                Event::Cut { method, path, fault } => format!("{method} {path} cut {fault}"),
                other => format!("{other:?}"),
            };
            told.lock().expect("nobody panics").push(line);
        })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("nobody panics"))
    }

    fn len(&self) -> usize {
        self.0.lock().expect("nobody panics").len()
    }
}
