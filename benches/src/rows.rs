//! What is measured: rows of work, and who does each.

use std::ops::RangeInclusive;

use clap::ValueEnum;
use serde::Serialize;

use crate::contenders::{Job, Kind, Library};
use crate::origin::{Listening, SMALL};
use crate::servers::Servers;

/// Rows that belong together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Group {
    /// 15 URLs of one origin, one after another.
    Headline,
    /// The same, all at once.
    Multiplexed,
    /// GETs of 15 bytes.
    Small,
    /// GETs of 64 KiB.
    Bodies,
    /// One large download and one large upload.
    Streams,
    /// A cold start, an instance, an empty call.
    Start,
    /// The size of the component by feature.
    Size,
    /// The cost of a request by how many are in flight.
    InFlight,
    /// The cost of a request by how many origins there are.
    Origins,
    /// The cost of a request by how many connections are kept.
    Connections,
}

/// The same work for all of its entries, so that their times can be compared.
pub(crate) struct Row {
    pub(crate) group: Group,
    pub(crate) title: String,
    /// When each measurement begins without connections.
    pub(crate) fresh: bool,
    /// Whether memory is looked at.
    pub(crate) memory: bool,
    /// The most rounds that are worth their time.
    pub(crate) rounds: usize,
    /// Whose time is 1.
    pub(crate) baseline: Kind,
    pub(crate) entries: Vec<Entry>,
}

/// One contender's part in a row.
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// What is special about this one; else empty.
    pub(crate) variant: String,
    /// What is done first, on fresh connections and not measured.
    pub(crate) setup: Option<Job>,
    pub(crate) job: Job,
}

/// How much work a row is.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scale {
    Full,
    /// Enough to see that all of it works, and what to expect.
    Quick,
}

impl Scale {
    fn of(self, full: u32) -> u32 {
        match self {
            Self::Full => full,
            Self::Quick => full / 5,
        }
    }
}

/// The rows of a group that are made of requests.
pub(crate) fn of(group: Group, servers: &Servers, scale: Scale) -> Vec<Row> {
    match group {
        Group::Headline => headline(servers),
        Group::Multiplexed => vec![multiplexed(servers)],
        Group::Small => [1, 16, 64].map(|in_flight| small(in_flight, &servers.near, scale)).into(),
        Group::Bodies => [1, 16].map(|in_flight| bodies(in_flight, &servers.near, scale)).into(),
        Group::Streams => vec![stream(false, &servers.near, scale), stream(true, &servers.near, scale)],
        Group::InFlight => vec![by_in_flight(&servers.near, scale)],
        Group::Origins => vec![by_origins(&servers.near, scale)],
        Group::Connections => vec![by_connections(&servers.near, scale)],
        Group::Start | Group::Size => Vec::new(),
    }
}

fn headline(servers: &Servers) -> Vec<Row> {
    let (near, far) = (&servers.near, &servers.far);
    let places = [
        ("http, loopback", format!("http://127.0.0.1:{}", near.http), false),
        ("https, loopback", format!("https://127.0.0.1:{}", near.https), false),
        ("http, 20 ms away", format!("http://127.0.0.1:{}", far.http), false),
        ("https, 20 ms away", format!("https://127.0.0.1:{}", far.https), false),
        ("http, 20 ms away, connected before", format!("http://127.0.0.1:{}", far.http), true),
        ("https, 20 ms away, connected before", format!("https://127.0.0.1:{}", far.https), true),
    ];
    let contenders =
        [Kind::Stock(Library::Ours), Kind::Pooled(Library::Ours), Kind::HyperUtil, Kind::Reqwest, Kind::Urllib3];
    let row = |(place, origin, connected): (&str, String, bool)| Row {
        group: Group::Headline,
        title: format!("{PAGES} URLs in turn, {place}"),
        fresh: true,
        memory: false,
        rounds: usize::MAX,
        baseline: Kind::Stock(Library::Ours),
        entries: contenders
            .map(|kind| Entry {
                setup: connected.then(|| Job { requests: 1, ..pages(&origin, 1) }),
                ..Entry::of(kind, pages(&origin, 1))
            })
            .into(),
    };
    places.into_iter().map(row).collect()
}

fn multiplexed(servers: &Servers) -> Row {
    let h1 = format!("https://127.0.0.1:{}", servers.far.https);
    let h2 = format!("https://127.0.0.1:{}", servers.far.h2);
    let at_once = |kind, origin: &str, variant: &str| Entry {
        variant: variant.to_owned(),
        ..Entry::of(kind, pages(origin, PAGES))
    };
    Row {
        group: Group::Multiplexed,
        title: format!("{PAGES} URLs, https, 20 ms away"),
        fresh: true,
        memory: false,
        rounds: usize::MAX,
        baseline: Kind::Stock(Library::Ours),
        entries: vec![
            Entry { variant: "in turn".to_owned(), ..Entry::of(Kind::Stock(Library::Ours), pages(&h1, 1)) },
            at_once(Kind::Stock(Library::Ours), &h1, "at once"),
            at_once(Kind::Pooled(Library::Ours), &h1, "at once, no h2 offered"),
            at_once(Kind::Pooled(Library::Ours), &h2, "at once, h2 offered"),
            at_once(Kind::HyperUtil, &h2, "at once, h2 offered"),
            at_once(Kind::Reqwest, &h2, "at once, h2 offered"),
        ],
    }
}

/// The 15 pages of the row that this client is known for.
fn pages(origin: &str, in_flight: u32) -> Job {
    let length = 4096;
    let urls = (0..PAGES).map(|page| format!("{origin}/bytes/{length}?page={page}")).collect();
    Job { urls, requests: PAGES, in_flight, length, upload: 0, raw: false }
}

const PAGES: u32 = 15;

fn small(in_flight: u32, origin: &Listening, scale: Scale) -> Row {
    let requests = scale.of(if in_flight == 1 { 2000 } else { 4000 });
    let job = Job { requests, in_flight, ..gets(origin, SMALL) };
    Row {
        title: format!("GETs of {SMALL} bytes, {in_flight} in flight"),
        entries: all(&job),
        ..Row::native(Group::Small)
    }
}

fn bodies(in_flight: u32, origin: &Listening, scale: Scale) -> Row {
    let job = Job { requests: scale.of(1000), in_flight, ..gets(origin, 64 * 1024) };
    Row { title: format!("GETs of 64 KiB, {in_flight} in flight"), entries: all(&job), ..Row::native(Group::Bodies) }
}

fn stream(up: bool, origin: &Listening, scale: Scale) -> Row {
    let mebibytes = match scale {
        Scale::Full => 1024,
        Scale::Quick => 128,
    };
    let bytes = mebibytes << 20;
    let job = if up {
        let urls = vec![format!("http://127.0.0.1:{}/upload/{bytes}", origin.http)];
        Job { urls, requests: 1, in_flight: 1, length: SMALL, upload: bytes, raw: false }
    } else {
        Job { requests: 1, ..gets(origin, bytes) }
    };
    Row {
        title: format!("{mebibytes} MiB {}", if up { "up" } else { "down" }),
        fresh: true,
        memory: true,
        rounds: 5,
        entries: all(&job),
        ..Row::native(Group::Streams)
    }
}

fn by_in_flight(origin: &Listening, scale: Scale) -> Row {
    growth(Group::InFlight, "GETs of 15 bytes by requests in flight", 0..=10, |in_flight| {
        let job = Job { requests: scale.of(4096).max(2 * in_flight), in_flight, ..gets(origin, SMALL) };
        // So that all connections are there, and only the requests are measured.
        (gather(in_flight, origin), job)
    })
}

fn by_origins(origin: &Listening, scale: Scale) -> Row {
    let known = u32::try_from(origin.many.len()).unwrap_or(u32::MAX);
    growth(Group::Origins, "GETs of 15 bytes by origins, one in flight", 0..=10, |origins| {
        let ports = origin.many.iter().take(origins as usize);
        let urls: Vec<_> = ports.map(|port| format!("http://127.0.0.1:{port}/bytes/{SMALL}")).collect();
        let origins = origins.min(known);
        let job =
            Job { urls, requests: scale.of(2000).max(origins), in_flight: 1, length: SMALL, upload: 0, raw: false };
        (Job { requests: origins, ..job.clone() }, job)
    })
}

fn by_connections(origin: &Listening, scale: Scale) -> Row {
    growth(Group::Connections, "GETs of 15 bytes by connections kept, one in flight", 0..=10, |connections| {
        (gather(connections, origin), Job { requests: scale.of(2000), ..gets(origin, SMALL) })
    })
}

/// A row whose variants are the powers of two, up to a thousand.
fn growth(group: Group, title: &str, powers: RangeInclusive<u32>, job: impl Fn(u32) -> (Job, Job)) -> Row {
    let mut entries = Vec::new();
    for power in powers.step_by(2) {
        let number = 1 << power;
        let (setup, job) = job(number);
        for kind in [Kind::HyperUtil, Kind::Pooled(Library::Ours)] {
            entries.push(Entry { kind, variant: number.to_string(), setup: Some(setup.clone()), job: job.clone() });
        }
    }
    Row { title: title.to_owned(), entries, rounds: 9, ..Row::native(group) }
}

fn gets(origin: &Listening, length: u64) -> Job {
    let urls = vec![format!("http://127.0.0.1:{}/bytes/{length}", origin.http)];
    Job { urls, requests: 1, in_flight: 1, length, upload: 0, raw: false }
}

/// So many requests that are answered only when all of them are there, each on a connection of its own.
fn gather(many: u32, origin: &Listening) -> Job {
    let urls = vec![format!("http://127.0.0.1:{}/gather/{many}", origin.http)];
    Job { urls, requests: many, in_flight: many, length: SMALL, upload: 0, raw: false }
}

/// Everyone who can do the job.
fn all(job: &Job) -> Vec<Entry> {
    let mut kinds = vec![Kind::HyperUtil, Kind::Reqwest];
    kinds.extend(Library::ALL.map(Kind::Pooled));
    kinds.extend(Library::ALL.map(Kind::Stock));
    // waki blocks on each request, and keeps bodies to send in memory.
    let beyond_waki = job.in_flight > 1 || job.upload > 0;
    kinds.retain(|kind| !beyond_waki || !matches!(kind, Kind::Pooled(Library::Waki) | Kind::Stock(Library::Waki)));
    let mut entries: Vec<_> = kinds.into_iter().map(|kind| Entry::of(kind, job.clone())).collect();
    if job.length > SMALL {
        let raw = Entry::of(Kind::Pooled(Library::Ours), Job { raw: true, ..job.clone() });
        let after_ours = 1 + entries.iter().position(|entry| entry.kind == raw.kind).unwrap_or(0);
        entries.insert(after_ours, Entry { variant: "by take-raw".to_owned(), ..raw });
    }
    entries
}

impl Row {
    /// An empty one whose times are compared with those of the native client.
    fn native(group: Group) -> Self {
        Self {
            group,
            title: String::new(),
            fresh: false,
            memory: false,
            rounds: usize::MAX,
            baseline: Kind::HyperUtil,
            entries: Vec::new(),
        }
    }
}

impl Entry {
    fn of(kind: Kind, job: Job) -> Self {
        Self { kind, variant: String::new(), setup: None, job }
    }
}
