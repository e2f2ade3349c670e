//! `urlpool-bench soak`: so many requests that whatever grows has grown.

use std::io::IsTerminal as _;

use anyhow::{Result, bail};
use futures::future::try_join_all;

use crate::contenders::{Job, Library, Parts, host};
use crate::engine::Setup;
use crate::guest::{Guest, Instance, Transport};
use crate::memory;
use crate::origin::SMALL;
use crate::servers::Servers;

/// Makes the requests, in instances that share one host and live to the end.
///
/// # Errors
///
/// When a request fails, and when memory, sockets or table entries have grown from the first tenth to the last.
pub(crate) async fn run(requests: u64, instances: u32, setup: Setup, parts: &Parts) -> Result<()> {
    let mut servers = Servers::start(0).await?;
    let guest = Guest::new(&setup.engine()?, &parts.guest(Library::Ours)?, true)?;
    let host = host(&servers.near.root)?;
    let transport = Transport::Pooled(host.clone());
    let mut instances = try_join_all((0..instances.max(1)).map(|_| guest.instance(&transport))).await?;
    let urls = vec![format!("http://127.0.0.1:{}/bytes/{SMALL}", servers.near.http)];
    let job = Job { urls, requests: BATCH, in_flight: 16, length: SMALL, upload: 0, raw: false };

    let a_step = u64::from(BATCH) * instances.len() as u64;
    let steps = requests.div_ceil(a_step).max(10);
    let mut held = Vec::new();
    for step in 1..=steps {
        try_join_all(instances.iter_mut().map(|instance| instance.run(&job))).await?;
        held.push(Held::by(&mut instances)?);
        progress(step, steps, step * a_step, &held[held.len() - 1]);
    }
    let tenth = held.len() / 10;
    let (first, last) = (Held::most(&held[..tenth]), Held::most(&held[held.len() - tenth..]));
    println!("first tenth: {first}\nlast tenth:  {last}");
    println!("{} connections served {} requests", servers.connections().await?, steps * a_step);
    println!("{:?}", host.stats());
    first.is_no_less_than(&last)
}

/// The requests of each between two looks at what is held.
const BATCH: u32 = 1000;

/// What is held between requests.
#[derive(Clone, Default)]
struct Held {
    resident: u64,
    guests: usize,
    files: usize,
    /// Those of all tables; a guest may keep a timer to use it again.
    entries: usize,
}

impl Held {
    fn by(instances: &mut [Instance]) -> Result<Self> {
        Ok(Self {
            resident: memory::resident()?,
            guests: instances.iter().map(Instance::memory).sum(),
            files: memory::open_files()?,
            entries: instances.iter_mut().map(Instance::entries).sum(),
        })
    }

    fn most(held: &[Self]) -> Self {
        held.iter().fold(Self::default(), |most, held| Self {
            resident: most.resident.max(held.resident),
            guests: most.guests.max(held.guests),
            files: most.files.max(held.files),
            entries: most.entries.max(held.entries),
        })
    }

    fn is_no_less_than(&self, later: &Self) -> Result<()> {
        if later.resident > self.resident + ALLOCATOR {
            bail!("the process has grown by {} KiB", (later.resident - self.resident) / 1024);
        }
        if later.guests > self.guests {
            bail!("the guests have grown by {} KiB", (later.guests - self.guests) / 1024);
        }
        if later.files > self.files {
            bail!("{} more sockets are open", later.files - self.files);
        }
        if later.entries > self.entries {
            bail!("the tables of the stores have {} more entries", later.entries - self.entries);
        }
        Ok(())
    }
}

/// What a busy allocator may keep for itself; one byte leaked per request would be more.
const ALLOCATOR: u64 = 800 * 1024;

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resident, guests, files, entries } = self;
        let (resident, guests) = (resident / 1024, guests / 1024);
        write!(f, "{resident} KiB resident, {guests} KiB in guests, {files} files open, {entries} table entries")
    }
}

/// Tells on a terminal each step, elsewhere each twentieth part.
fn progress(step: u64, steps: u64, requests: u64, held: &Held) {
    let part = |step| step * 20 / steps;
    let line = format!("{:>3} %  {requests} requests, {held}", step * 100 / steps);
    if std::io::stderr().is_terminal() {
        eprint!("\r{line}   ");
        if step == steps {
            eprintln!();
        }
    } else if part(step) > part(step - 1) {
        eprintln!("{line}");
    }
}
