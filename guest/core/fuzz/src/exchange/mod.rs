//! Calls that share the slots of a pool, whatever happens to them.

mod call;
mod settings;
mod shell;

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use urlpool_core::slots::{Slots, WhenFull};
use urlpool_core::{Instant, Now};

use settings::Settings;
use shell::{Happening, Shell};

/// Holds of calls under random settings and events, and a clock that jumps:
///
/// - each ends once the server stalls, after a bounded number of steps, and the end is reported once
/// - each holds the slot of the origin it sends to, one at most, none while it waits, and none after its end: when it failed or was
///   given up, when the body that it delivered has ended, and when its reader drops it
/// - retries, hops and attempts stay within their limits, and the history has one record for each
/// - nothing is sent, waited for or drained once the total limit has passed, and no deadline is later
/// - a stream is sent from its start every time, and never again once its start is gone
/// - what the server may have acted on is repeated only where the method or the policy allows
/// - a secret of the request goes to the first origin alone, and to that no more once a hop has left it; credentials of the pool go
///   to their own origin
/// - what begins in its trace ends, in order
/// - a delivered body is what the server sent, and its end is a good one only when all of it came
pub fn exchange(input: &[u8]) {
    if let Ok(script) = Script::arbitrary_take_rest(arbitrary::Unstructured::new(input)) {
        script.play();
    }
}

#[derive(Arbitrary, Debug)]
struct Script {
    slots: u8,
    queue: Option<u8>,
    refuse: bool,
    first: Settings,
    more: Vec<Settings>,
    events: Vec<(u8, u16, Happening)>,
}

impl Script {
    fn play(self) {
        let when_full = if self.refuse { WhenFull::Refuse } else { WhenFull::Queue };
        let slots = u32::from(self.slots % 3);
        let queue = self.queue.map(|queue| u32::from(queue % 3));
        let slots = Slots::new((slots > 0).then_some(slots), when_full, 1).with_queue(queue);
        let mut shell = Shell::new(slots, queue);
        for settings in std::iter::once(self.first).chain(self.more).take(3) {
            shell.begin(settings);
        }
        for (which, pause, happening) in self.events.into_iter().take(120) {
            shell.pass(Duration::from_millis(u64::from(pause % 4096)));
            shell.happen(usize::from(which), happening);
        }
        shell.stall();
    }
}

/// The moment so many nanoseconds after the beginning.
pub(crate) fn at(nanos: u64) -> Now {
    let passed = Duration::from_nanos(nanos);
    Now {
        mono: Instant::from_nanos(5_000_000_000).after(passed),
        // Tue, 14 Nov 2023 22:13:20 GMT.
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + passed,
    }
}
