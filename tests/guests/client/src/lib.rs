//! A guest that uses the crate `urlpool` as the tests ask for.
//!
//! Each function is one test of `tests/tests/client.rs`, which has the server, and compares what is told here.

#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ world: "guest", path: "wit" });
}

use std::error::Error;
use std::fmt::Write as _;
use std::future::IntoFuture as _;
use std::io::Read as _;
use std::time::Duration;

use futures::future::{Either, join3, select};
use serde::{Deserialize, Serialize};
use urlpool::http::{self, HeaderMap, HeaderValue, Method};
use urlpool::{ErrorKind, Form, Milestone, Phase, Pollable, Pool, Retry, Timeouts, task};

struct Guest;

bindings::export!(Guest with_types_in bindings);

type Told = Result<String, Box<dyn Error>>;

impl bindings::Guest for Guest {
    fn run(test: String, url: String) -> Result<String, String> {
        let told = match test.as_str() {
            "parts of a request" => parts_of_a_request(&url),
            "a request of the http crate" => a_request_of_the_http_crate(&url),
            "json" => json(&url),
            "what cannot be sent" => what_cannot_be_sent(&url),
            "a refused connection" => a_refused_connection(&url),
            "a timeout" => a_timeout(&url),
            "a retry" => a_retry(&url),
            "a body that is too large" => a_body_that_is_too_large(&url),
            "a body that is cut" => a_body_that_is_cut(&url),
            "a reader" => a_reader(&url),
            "a reader of odd pieces" => a_reader_of_odd_pieces(&url),
            "a forwarded body" => a_forwarded_body(&url),
            "many at a time" => many_at_a_time(&url),
            "in order of completion" => in_order_of_completion(&url),
            "futures side by side" => task::block_on(futures_side_by_side(&url)),
            "bodies side by side" => task::block_on(bodies_side_by_side(&url)),
            "a cancelled future" => task::block_on(a_cancelled_future(&url)),
            "another executor" => another_executor(&url),
            "a future outside" => a_future_outside(&url),
            "a closed pool" => a_closed_pool(&url),
            unknown => Err(format!("{unknown}: no such test").into()),
        };
        told.map_err(|error| error.to_string())
    }
}

fn parts_of_a_request(url: &str) -> Told {
    let pool = Pool::builder().at(url).header("x-pool", "of the pool").without_header("user-agent").build()?;
    let form = Form::new().field("title", "Report").file("file", "a.txt", "text/plain", "four").boundary("edge");
    let mut more = HeaderMap::new();
    more.append("x-latin", HeaderValue::from_bytes(b"caf\xe9")?);
    let sent =
        pool.post("/form").query("q", "a b").header("x-one", "1").headers(&more).bearer_auth("secret").form(form);
    let response = sent.send()?.error_for_status()?;
    let missing = pool.get("/missing").basic_auth("user", "pass").send()?.error_for_status();
    let missing = missing.err().ok_or("404 is no error")?;
    Ok(format!("{} {} {:?} {:?}", response.status(), response.text()?, missing.kind(), missing.status()))
}

/// The same body by small and by large pieces, and as a whole; the last is told.
fn a_reader_of_odd_pieces(url: &str) -> Told {
    let pool = Pool::new();
    let whole = pool.get(url).send()?.bytes()?;
    let mut small = Vec::new();
    let mut response = pool.get(url).stream().send()?;
    for size in (1..=19).cycle() {
        let mut buffer = vec![0; size];
        match response.read(&mut buffer)? {
            0 => break,
            read => small.extend_from_slice(&buffer[..read]),
        }
    }
    let mut large = Vec::new();
    let response = pool.get(url).stream().send()?;
    loop {
        let piece = task::block_on(response.next(10_007))?;
        if piece.is_empty() {
            break;
        }
        large.extend_from_slice(&piece);
    }
    if small != whole || large != whole {
        return Err(format!("{} and {} bytes, other than {}", small.len(), large.len(), whole.len()).into());
    }
    Ok(String::from_utf8(whole)?)
}

fn a_request_of_the_http_crate(url: &str) -> Told {
    let request = http::Request::put(url).header("x-one", "1").header("x-one", "2").body("four")?;
    let response = Pool::new().prepare(request).send()?.into_http();
    let cookies: Vec<_> =
        response.headers().get_all("set-cookie").iter().map(|value| value.as_bytes().to_vec()).collect();
    let status = response.status();
    let mut text = String::new();
    response.into_body().read_to_string(&mut text)?;
    Ok(format!(
        "{status} {} {text}",
        cookies.iter().map(|cookie| String::from_utf8_lossy(cookie)).collect::<Vec<_>>().join("; ")
    ))
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
}

fn json(url: &str) -> Told {
    let pool = Pool::at(url)?;
    let answer: Named = pool.post("/echo").json(&Named { name: "ada".to_owned() }).send()?.json()?;
    let other = pool.get("/other?api_key=SECRET").send()?.json::<Named>();
    let error = other.err().ok_or("no error")?;
    if error.to_string().contains("SECRET") {
        return Err(error.into());
    }
    // The type goes out once, and with the body that it is of.
    let typed = pool.post("/typed").json(&answer).header("Content-Type", "application/merge-patch+json");
    typed.json(&answer).send()?;
    pool.post("/form").json(&answer).form(Form::new().field("a", "b")).send()?;
    Ok(format!("{} {:?} {}", answer.name, error.kind(), error.source().is_some()))
}

fn what_cannot_be_sent(url: &str) -> Told {
    let pool = Pool::new();
    let mut told = String::new();
    let bad = [
        pool.get("ftp://a.test/"),
        pool.get(url).header("x-a", "a\nb"),
        pool.get(url).header("host", "b.test"),
        pool.post(url).form(Form::new().file("f", "f", "no type", "")),
    ];
    for request in bad {
        let error = request.send().err().ok_or("was sent")?;
        write!(told, "{:?} ", error.kind())?;
    }
    let closed = Pool::builder().header("x y", "1").build().err().ok_or("was built")?;
    let elsewhere = Pool::at(url)?.get("http://b.test/").start().finish().err().ok_or("was sent")?;
    write!(told, "{:?} {:?}", closed.kind(), elsewhere.kind())?;
    Ok(told)
}

fn a_refused_connection(url: &str) -> Told {
    let error = Pool::builder().retry(Retry::never()).build()?.get(url).send().err().ok_or("no error")?;
    let told = format!("{:?} {:?} {} {:?}", error.kind(), error.code(), error.history().len(), error.phase());
    // What is read of it lives in the client, and is given back there.
    drop(error);
    Ok(told)
}

fn a_timeout(url: &str) -> Told {
    let timeouts = Timeouts::default().with_total(Duration::from_millis(50));
    let error = Pool::new().get(url).timeouts(timeouts).send().err().ok_or("no error")?;
    let limit = error.limit().ok_or("no limit")?;
    let late = error.elapsed().ok_or("no time")? >= limit;
    Ok(format!("{:?} {:?} {limit:?} {late}", error.kind(), error.phase()))
}

fn a_retry(url: &str) -> Told {
    let retry = Retry::default().with_statuses([503]).with_limit(2);
    let pool = Pool::builder().retry(retry).seed(1).queue(1).basic_auth(url, "user", "pass").build()?;
    let response = pool.get(url).send()?;
    let trace: Vec<_> = response.trace().into_iter().map(|mark| mark.what).collect();
    let retried = trace.windows(2).any(|pair| matches!(pair, [Milestone::Retried(_), Milestone::Queued]));
    if !retried || trace.first() != Some(&Milestone::Queued) || trace.last() != Some(&Milestone::BodyEnd) {
        return Err(format!("{trace:?}").into());
    }
    let history = response.history();
    let first = history.first().ok_or("no history")?;
    let stats = pool.stats();
    Ok(format!("{} {} {:?} {:?} {}", response.status(), first.method, first.outcome, first.followed_by, stats.retries))
}

fn a_body_that_is_too_large(url: &str) -> Told {
    let pool = Pool::new();
    let response = pool.get(url).max_body(10).send()?;
    let status = response.status();
    let limited = response.bytes().err().ok_or("no error")?;
    let read = pool.get(url).send()?.bytes_within(10).err().ok_or("no error")?;
    Ok(format!("{status} {:?} {:?}", limited.kind(), read.kind()))
}

fn a_body_that_is_cut(url: &str) -> Told {
    let mut response = Pool::new().get(url).stream().send()?;
    let mut start = Vec::new();
    let error = response.read_to_end(&mut start).err().ok_or("no error")?;
    let kind = error.kind();
    let error = error.downcast::<urlpool::Error>()?;
    Ok(format!("{start:?} {kind:?} {:?} {:?} of {:?}", error.kind(), error.received(), error.expected()))
}

fn a_reader(url: &str) -> Told {
    let mut response = Pool::new().get(url).stream().send()?;
    let mut word = [0; 4];
    response.read_exact(&mut word)?;
    let mut rest = String::new();
    response.read_to_string(&mut rest)?;
    let trailers = response.trailers();
    Ok(format!("{} {rest} {:?}", String::from_utf8_lossy(&word), trailers.get("x-sum")))
}

fn a_forwarded_body(url: &str) -> Told {
    let pool = Pool::at(url)?;
    let from = pool.get("/from").stream().send()?.into_raw()?;
    let length = from.length();
    // Once in a call that blocks, once in one that is given up, whose parts are dropped in whatever order is right.
    let response = pool.put("/to").body(from).send()?;
    let given_up = pool.put("/never").body(pool.get("/from").stream().send()?.into_raw()?).start();
    let over = given_up.advance();
    drop(given_up);
    let preloaded = pool.get("/from").send()?.into_raw().err().ok_or("read twice")?;
    Ok(format!("{length:?} {} {over} {:?}", response.text()?, preloaded.kind()))
}

fn many_at_a_time(url: &str) -> Told {
    let pool = Pool::builder().at(url).slots(4).build()?;
    let requests = (0..20).map(|number| match number {
        7 => pool.get("http://b.test/elsewhere"),
        _ => pool.get(format!("/{number}")),
    });
    let answers = pool.send_all(requests);
    let mut told = String::new();
    for answer in answers {
        match answer {
            Ok(response) => write!(told, "{} ", response.text()?)?,
            Err(error) => write!(told, "{:?} ", error.kind())?,
        }
    }
    Ok(told)
}

fn in_order_of_completion(url: &str) -> Told {
    let pool = Pool::at(url)?;
    let begun = ["/last", "/first", "http://b.test/", "/second"].map(|path| pool.get(path).start());
    let mut told = String::new();
    for (place, answer) in pool.as_completed(begun) {
        match answer {
            Ok(response) => write!(told, "{place}: {} ", response.text()?)?,
            Err(error) => write!(told, "{place}: {:?} ", error.kind())?,
        }
    }
    Ok(told)
}

async fn futures_side_by_side(url: &str) -> Told {
    let pool = Pool::at(url)?;
    // Each answer waits until all three have arrived, so one after another would never end.
    let get = |path: &str| pool.get(path).start().into_future();
    let (one, two, three) = join3(get("/1"), get("/2"), get("/3")).await;
    let slept = task::sleep(Duration::from_millis(1));
    let (four, ()) = futures::future::join(get("/4"), slept).await;
    Ok(format!("{} {} {} {}", one?.text()?, two?.text()?, three?.text()?, four?.text()?))
}

async fn bodies_side_by_side(url: &str) -> Told {
    let pool = Pool::at(url)?;
    let read = async |path: &str| -> Result<Vec<u8>, urlpool::Error> {
        let response = pool.get(path).stream().start().await?;
        let mut whole = Vec::new();
        loop {
            let piece = response.next(1024).await?;
            if piece.is_empty() {
                return Ok(whole);
            }
            whole.extend(piece);
        }
    };
    // The end of the one is sent once the other was asked for.
    let (one, two) = futures::future::join(read("/one"), read("/two")).await;
    Ok(format!("{} {}", String::from_utf8(one?)?, String::from_utf8(two?)?))
}

async fn a_cancelled_future(url: &str) -> Told {
    let pool = Pool::builder().at(url).slots(1).build()?;
    let stalled = std::pin::pin!(pool.get("/stalls").start().into_future());
    let late = std::pin::pin!(task::sleep(Duration::from_millis(20)));
    let first = match select(stalled, late).await {
        Either::Left(_) => "the request",
        Either::Right(_) => "the clock",
    };
    // A body that is given up in the middle of a wait, with its pollables.
    let response = pool.get("/stops").stream().timeouts(Timeouts::default().with_slot(Duration::from_millis(1)));
    let full = response.start().await.err().ok_or("the pinned future holds the one slot")?;
    let open = Pool::new();
    let body = open.get(format!("{url}stops")).stream().start().await?;
    let piece = body.next(100).await?;
    {
        let more = std::pin::pin!(body.next(100));
        let late = std::pin::pin!(task::sleep(Duration::from_millis(20)));
        if let Either::Left(_) = select(more, late).await {
            return Err("there is no more of that body".into());
        }
    }
    drop(body);
    let after = open.get(format!("{url}after")).start().await?;
    Ok(format!("{first} {:?} {} {}", full.kind(), String::from_utf8(piece)?, after.text()?))
}

/// The simplest one there is: it blocks for any one of the pollables.
async fn ready(pollables: Vec<Pollable>) {
    wasip2::io::poll::poll(&pollables.iter().collect::<Vec<_>>());
}

/// Runs a future of which no part ever waits.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    use futures::FutureExt as _;
    future.now_or_never()
}

fn another_executor(url: &str) -> Told {
    let told = at_once(async {
        let response = Pool::new().get(url).stream().start().finish_with(ready).await?;
        let mut whole = Vec::new();
        loop {
            let piece = response.next_with(4, ready).await?;
            if piece.is_empty() {
                return Ok(String::from_utf8(whole)?);
            }
            whole.extend(piece);
        }
    });
    told.unwrap_or_else(|| Err("it waited".into()))
}

fn a_future_outside(url: &str) -> Told {
    let response = at_once(Pool::new().request(Method::GET, url).start().into_future()).ok_or("it waited")??;
    let piece = at_once(response.next(100)).ok_or("it waited")??;
    Ok(String::from_utf8(piece)?)
}

fn a_closed_pool(url: &str) -> Told {
    let pool = Pool::new();
    let response = pool.get(url).send()?;
    let other = pool.clone();
    other.close();
    let error = pool.get(url).send().err().ok_or("it is closed")?;
    let by_function = urlpool::get(url)?;
    debug_assert_ne!(error.phase(), Some(Phase::Slot));
    let closed = error.kind() == ErrorKind::Closed;
    Ok(format!("{closed} {} {}", response.text()?, by_function.status()))
}
