//! Tells once of each destination that a component was kept from, and which flag would let it through.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};
use urlpool_host::{Event, Observe, Origin};

/// Writes a line on stderr for each destination that is denied.
#[derive(Default)]
pub(crate) struct Denials {
    told: Mutex<HashSet<String>>,
}

impl Observe for Denials {
    fn observe(&self, event: Event<'_>) {
        let Event::Denied { origin, address, reason } = event else { return };
        let line = line(origin, address, reason);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // A component that tries them all has been understood by then.
        if told.len() < MOST && told.insert(line.clone()) {
            eprintln!("urlpool: {line}");
        }
    }
}

/// How many destinations are told.
const MOST: usize = 32;

fn line(origin: Origin<'_>, address: Option<IpAddr>, reason: &str) -> String {
    let rule = |host: &str| match host.contains(':') {
        true => format!("[{host}]:{}", origin.port()),
        false => format!("{host}:{}", origin.port()),
    };
    let name = rule(origin.host());
    match (reason, address) {
        ("not-public", Some(address)) => {
            let rule = rule(&address.to_string());
            format!("denied {origin}: {address} is not public; --allow {rule} or --allow-private lets it through")
        }
        ("listed", _) => format!("denied {origin}: a --deny names it"),
        _ => format!("denied {origin}: no --allow names it; --allow {name} would"),
    }
}
