//! A generated sweep of hostile servers: every answer cut at every byte, silent, dripping, tampered with, oversized, and gone in
//! every phase.
//!
//! Each run sends one request to one server, and must end in the right answer or in an error of the expected kind, in time. After it
//! the pool holds no slot, the host holds no more than before, and the next request to the same server is answered well. What is right
//! is told by a model of its own, which shares no code with the client.

mod model;
mod oversized;
mod plan;
mod random;
mod relay;
mod specimen;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use urlpool_host::Egress;

use self::plan::{GOOD, Run};
use self::relay::Relay;
use crate::client::{Client, body};
use crate::reply::{Reply, ok, status};
use crate::rig::Rig;
use crate::server::{Request, Server};
use crate::speech::Speech;
use crate::tls::Authority;

/// Hostile servers, generated, each with what is right to make of it.
pub struct Sweep {
    runs: Arc<[Run]>,
}

impl Sweep {
    /// All of them; the seed decides what is drawn at random.
    ///
    /// # Errors
    ///
    /// When a body cannot be coded.
    pub fn all(seed: u64) -> Result<Self> {
        Ok(Self { runs: plan::plan(seed)?.into() })
    }

    /// Those of these families: the first words of their names, such as `cut`.
    #[must_use]
    pub fn of(self, families: &[&str]) -> Self {
        let family = |run: &&Run| families.contains(&run.name.split('/').next().unwrap_or_default());
        Self { runs: self.runs.iter().filter(family).cloned().collect() }
    }

    /// Those whose names hold this.
    #[must_use]
    pub fn filtered(self, text: &str) -> Self {
        Self { runs: self.runs.iter().filter(|run| run.name.contains(text)).cloned().collect() }
    }

    /// One of `every` of them, evenly; which, `offset` decides.
    #[must_use]
    pub fn thinned(self, every: usize, offset: u64) -> Self {
        let first = usize::try_from(offset % every.max(1) as u64).unwrap_or_default();
        Self { runs: self.runs.iter().skip(first).step_by(every.max(1)).cloned().collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().map(|run| run.name.as_str())
    }

    /// Runs all of them, many side by side, and tells of each as it ends; gives those that did not end well, by name.
    ///
    /// # Errors
    ///
    /// When there is no server or no host to run them with.
    pub async fn run(&self, rig: &Rig, mut tell: impl FnMut(&Verdict)) -> Result<Vec<Verdict>> {
        let shared = Shared {
            runs: self.runs.clone(),
            next: Arc::new(AtomicUsize::new(0)),
            arrivals: self.runs.iter().map(|_| AtomicUsize::new(0)).collect(),
        };
        let (told, mut verdicts) = unbounded_channel();
        let count = SIDE_BY_SIDE.min(self.runs.len());
        let mut workers = JoinSet::new();
        for _ in 0..count {
            workers.spawn(work(rig.clone(), shared.clone(), told.clone()));
        }
        drop(told);
        let mut bad = Vec::new();
        while let Some(verdict) = verdicts.recv().await {
            tell(&verdict);
            bad.extend((verdict.wrong.is_some()).then_some(verdict));
        }
        while let Some(worker) = workers.join_next().await {
            worker.context("a worker")??;
        }
        Ok(bad)
    }
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Its name, such as `cut/chunks@57/reset`.
    pub name: String,
    /// What went wrong.
    pub wrong: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// The seed of the runs where none is given.
pub const SEED: u64 = 1;

/// How many runs go on at once: most wait for a timer or a socket.
const SIDE_BY_SIDE: usize = 16;

/// An instance serves so many runs before it makes place for a fresh one, so that what it keeps shows, and what it breaks is bounded.
const RUNS_OF_AN_INSTANCE: usize = 200;

/// A run, and the request after it, that take longer than this hang.
const HANGS: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Shared {
    runs: Arc<[Run]>,
    next: Arc<AtomicUsize>,
    arrivals: Arc<[AtomicUsize]>,
}

/// Takes one run after another until there is none.
async fn work(rig: Rig, shared: Shared, told: UnboundedSender<Verdict>) -> Result<()> {
    let servers = Servers::start(&shared).await?;
    let mut instance = None;
    loop {
        let index = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(run) = shared.runs.get(index) else { return Ok(()) };
        let mut fresh = match instance.take() {
            Some(instance) => instance,
            None => Instance::start(&rig, &servers).await?,
        };
        let begun = Instant::now();
        let wrong = match tokio::time::timeout(HANGS, fresh.judge(index, run, &shared, &servers)).await {
            Ok(result) => result.err().map(|error| format!("{error:#}")),
            Err(_) => Some(format!("hangs: not over after {HANGS:?}")),
        };
        fresh.runs += 1;
        // What is broken may spoil the next run too.
        if wrong.is_none() && fresh.runs < RUNS_OF_AN_INSTANCE {
            instance = Some(fresh);
        }
        let verdict = Verdict { name: run.name.clone(), wrong, took: begun.elapsed() };
        // The listener outlives the workers.
        let _ = told.send(verdict);
    }
}

/// One server of each speech.
struct Servers {
    plain: Server,
    tls: Server,
    h2: Server,
}

impl Servers {
    async fn start(shared: &Shared) -> Result<Self> {
        let authority = Authority::new()?;
        let start = |speech: Speech| Server::vouched_for(&authority, speech, script(speech, shared.clone()));
        Ok(Self {
            plain: start(Speech::Http1).await?,
            tls: start(Speech::Http1Tls).await?,
            h2: start(Speech::Http2Tls).await?,
        })
    }

    fn of(&self, speech: Speech) -> &Server {
        match speech {
            Speech::Http1 => &self.plain,
            Speech::Http1Tls => &self.tls,
            Speech::Http2Tls => &self.h2,
        }
    }
}

/// Answers `/N` as the run of that number says, and `/good` well.
fn script(speech: Speech, shared: Shared) -> impl FnMut(&Request) -> Reply + Send + 'static {
    let mut goods = 0_usize;
    move |request| {
        if request.path() == "/good" {
            goods += 1;
            // Every other run meets a fresh connection.
            return match speech {
                _ if goods.is_multiple_of(2) => ok(GOOD),
                Speech::Http1 | Speech::Http1Tls => ok(GOOD).header("Connection", "close").close(),
                // It has no such field.
                Speech::Http2Tls => ok(GOOD).close(),
            };
        }
        let index: Option<usize> = request.path().strip_prefix('/').and_then(|path| path.parse().ok());
        let Some((run, arrivals)) = index.and_then(|index| shared.runs.get(index).zip(shared.arrivals.get(index)))
        else {
            return status(404);
        };
        let nth = arrivals.fetch_add(1, Ordering::AcqRel);
        run.replies.get(nth).or(run.replies.last()).cloned().unwrap_or_else(|| status(404))
    }
}

/// An instance of the component in a host of its own.
struct Instance {
    client: Client,
    runs: usize,
    /// What the host held for it after its first good answer.
    held: usize,
}

impl Instance {
    async fn start(rig: &Rig, servers: &Servers) -> Result<Self> {
        // What was tampered with may name any place there is.
        let egress = Egress::default().allow("127.0.0.1")?;
        let mut client = rig.client_set(&servers.tls, |host| host.egress(egress)).await?;
        client.open(json!({"slots": 1, "when_full": "refuse", "retry": "never"})).await?;
        client.get(servers.plain.url("/good")).await?;
        let held = client.held();
        Ok(Self { client, runs: 0, held })
    }

    /// Does a run, and what has to be possible after it.
    async fn judge(&mut self, index: usize, run: &Run, shared: &Shared, servers: &Servers) -> Result<()> {
        let server = servers.of(run.speech);
        let relay = match run.relay {
            None => None,
            Some(cut) => Some(Relay::start(server.port(), cut).await?),
        };
        let port = relay.as_ref().map_or(server.port(), Relay::port);
        let url = |path: &str| format!("{}://127.0.0.1:{port}{path}", run.speech.scheme());

        let mut request = run.request.clone();
        request["op"] = json!("send");
        request["url"] = json!(url(&format!("/{index}")));
        let begun = Instant::now();
        let answer = self.client.op(request).await;
        let took = begun.elapsed();
        is_right(&answer, run)?;
        ensure!(took < run.within, "took {took:?}");
        let arrivals = shared.arrivals[index].load(Ordering::Acquire);
        ensure!(arrivals <= run.arrivals, "arrived {arrivals} times");

        let pool = self.client.pool().await.context("figures after it")?;
        ensure!(pool["in_flight"] == 0 && pool["queued"] == 0, "holds a slot: {pool}");
        if let Some(relay) = &relay {
            relay.be_fair();
        }
        let good = self.client.get(url("/good")).await.context("the request after it")?;
        ensure!(good["status"] == 200 && good["body"] == GOOD, "the request after it got {good}");
        let held = self.client.held();
        ensure!(held <= self.held, "the host holds {held} things, {} before", self.held);
        Ok(())
    }
}

/// Fails unless the answer is one that the run allows.
fn is_right(answer: &Value, run: &Run) -> Result<()> {
    let right = &run.right;
    if answer["ok"] == true {
        let body = body(answer)?;
        let fits = |expected: &model::Answer| answer["status"] == expected.status && body == expected.body;
        if right.any_body || right.answers.iter().any(fits) {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        bail!("got {} with {} bytes, {shown:?}; expected {}", answer["status"], body.len(), expected(run));
    }
    let kind = answer["error"]["kind"].as_str().unwrap_or_default();
    ensure!(right.kinds.contains(&kind), "got {}; expected {}", answer["error"], expected(run));
    ensure!(answer["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "no message: {answer}");
    Ok(())
}

fn expected(run: &Run) -> String {
    let shown = |answer: &model::Answer| {
        let start = String::from_utf8_lossy(&answer.body[..answer.body.len().min(100)]).into_owned();
        format!("{} with {} bytes, {start:?}", answer.status, answer.body.len())
    };
    let answers = run.right.answers.iter().map(shown);
    let kinds = run.right.kinds.iter().map(|kind| format!("`{kind}`"));
    let any = run.right.any_body.then(|| "any body".to_owned());
    answers.chain(kinds).chain(any).collect::<Vec<_>>().join(" or ")
}
