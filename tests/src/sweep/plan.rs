//! Which hostile servers there are, generated, and what is right to make of each.
//!
//! Longer than most files: one family of servers after another.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::model::{Answer, Ending, Meaning, Place, read};
use super::oversized;
use super::random::Random;
use super::relay::Cut;
use super::specimen::{Specimen, Then, specimens};
use crate::reply::{Reply, Step, Until, ok, raw, status};
use crate::speech::Speech;

/// One request to one hostile server.
#[derive(Clone)]
pub(crate) struct Run {
    /// Says what the server does: `cut/chunks@57/reset`.
    pub(crate) name: String,
    /// What the server speaks.
    pub(crate) speech: Speech,
    /// What it answers, in order; the last one over and over.
    pub(crate) replies: Vec<Reply>,
    /// Where a relay in front of it cuts.
    pub(crate) relay: Option<Cut>,
    /// The request, but for its URL.
    pub(crate) request: Value,
    /// What is right.
    pub(crate) right: Right,
    /// How long it may take.
    pub(crate) within: Duration,
    /// How often the request may arrive.
    pub(crate) arrivals: usize,
}

/// What a client may make of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Right {
    /// Answers it may deliver.
    pub(crate) answers: Vec<Answer>,
    /// Kinds of errors it may report.
    pub(crate) kinds: Vec<&'static str>,
    /// Whether it may deliver any body: one without a checksum was tampered with.
    pub(crate) any_body: bool,
}

impl Right {
    pub(super) fn answer(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self { answers: vec![Answer { status, body: body.as_ref().to_vec() }], ..Self::default() }
    }

    pub(super) fn error(kinds: &[&'static str]) -> Self {
        Self { kinds: kinds.to_vec(), ..Self::default() }
    }

    pub(super) fn or_error(self, kinds: &[&'static str]) -> Self {
        Self { kinds: kinds.to_vec(), ..self }
    }
}

/// What a good page says.
pub(crate) const GOOD: &str = "good";

/// No run that is right comes near it; what takes longer is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// The limit of the runs in which a server falls silent.
const PATIENCE: Duration = Duration::from_millis(60);

/// All runs; `seed` decides what is drawn.
pub(crate) fn plan(seed: u64) -> Result<Vec<Run>> {
    let specimens = specimens()?;
    let mut random = Random::new(seed);
    let mut runs = Vec::new();
    cuts(&specimens, &mut runs);
    silences(&specimens, &mut runs);
    drips(&specimens, &mut runs);
    insertions(&specimens, &mut runs);
    mutations(&specimens, &mut random, &mut runs);
    uploads(&mut runs);
    phases(&mut runs);
    oversized::oversized(&mut runs)?;
    Ok(runs)
}

/// A run that makes one attempt.
pub(super) fn once(name: String, method: &str, replies: Vec<Reply>, right: Right) -> Run {
    let request = json!({"method": method, "retry": "never", "redirect": "never"});
    // The host resends what a kept connection swallowed, so a GET may come twice.
    let arrivals = if method == "POST" { 1 } else { 2 };
    Run { name, speech: Speech::Http1, replies, relay: None, request, right, within: STUCK, arrivals }
}

/// A run of what a client does about a specimen.
fn about(specimen: &Specimen, name: String, reply: Reply, right: Right) -> Run {
    let mut run = once(name, specimen.method, vec![reply], right);
    match specimen.then {
        Then::Deliver => {}
        Then::Follow => run.request["redirect"] = json!({"limit": 1}),
        Then::Retry => {
            run.request["retry"] = json!({"limit": 1, "backoff": "1ms"});
            run.arrivals += 1;
            run.replies.push(ok(GOOD));
        }
    }
    run
}

/// What is right once all that came of a specimen is `bytes`.
fn right(specimen: &Specimen, bytes: &[u8], ending: Ending) -> Right {
    let meaning = read(bytes, ending, specimen.method == "HEAD", &specimen.coded);
    let silent = ending == Ending::Silence;
    let unfinished = if silent { ["timed-out"] } else { ["interrupted"] };
    match (specimen.then, meaning) {
        // Whatever came of the first answer, there is a second one.
        (Then::Retry, Meaning::Whole(_) | Meaning::Unfinished(_)) => Right::answer(200, GOOD),
        // A head is enough to follow it.
        (Then::Follow, Meaning::Whole(_) | Meaning::Unfinished(Place::Body(_))) => Right::answer(200, GOOD),
        (_, Meaning::Whole(answers)) => Right { answers, ..Right::default() },
        (_, Meaning::Unfinished(Place::Head | Place::Body(_))) => Right::error(&unfinished),
        (_, Meaning::Unfinished(Place::Coding)) => Right::error(&["undecodable"]),
        (_, Meaning::Repairable(answers)) => Right { answers, kinds: SPOILT.to_vec(), any_body: false },
        (_, Meaning::Undetectable) => Right { kinds: SPOILT.to_vec(), any_body: true, ..Right::default() },
        (_, Meaning::Malformed) => Right::error(&SPOILT),
    }
}

/// What is right once a specimen was tampered with, so that what is wrong with it is seen in one place or in another.
fn tampered(specimen: &Specimen, bytes: &[u8]) -> Right {
    let mut right = right(specimen, bytes, Ending::Closed);
    if !right.kinds.is_empty() {
        right.kinds = SPOILT.to_vec();
    }
    right
}

/// What may be said of an answer that is spoilt.
const SPOILT: [&str; 3] = ["interrupted", "protocol", "undecodable"];

fn ended(reply: Reply, ending: Ending) -> Reply {
    match ending {
        Ending::Closed => reply.close(),
        Ending::Reset => reply.reset(),
        Ending::Silence => reply.stall(),
    }
}

fn word(ending: Ending) -> &'static str {
    match ending {
        Ending::Closed => "close",
        Ending::Reset => "reset",
        Ending::Silence => "silence",
    }
}

/// Every answer, cut at every byte.
fn cuts(specimens: &[Specimen], runs: &mut Vec<Run>) {
    for specimen in specimens {
        for at in 0..=specimen.bytes.len() {
            for ending in [Ending::Closed, Ending::Reset] {
                let came = &specimen.bytes[..at];
                let mut right = right(specimen, came, ending);
                if ending == Ending::Reset && !right.answers.is_empty() && specimen.then == Then::Deliver {
                    // A reset may overtake what was sent before it.
                    right.kinds.push("interrupted");
                }
                let name = format!("cut/{}@{at}/{}", specimen.name, word(ending));
                runs.push(about(specimen, name, ended(raw(came), ending), right));
            }
        }
    }
}

/// Every answer, silent from every third byte on.
fn silences(specimens: &[Specimen], runs: &mut Vec<Run>) {
    for specimen in specimens {
        for at in (0..specimen.bytes.len()).step_by(3) {
            let came = &specimen.bytes[..at];
            let right = right(specimen, came, Ending::Silence);
            if specimen.then == Then::Deliver && !right.answers.is_empty() {
                // It was whole before.
                continue;
            }
            let name = format!("silence/{}@{at}", specimen.name);
            let mut run = about(specimen, name, raw(came).stall(), right);
            let limit = format!("{}ms", PATIENCE.as_millis());
            run.request["timeouts"] = json!({"first_byte": limit, "between_bytes": limit});
            runs.push(run);
        }
    }
}

/// Every answer, in small pieces.
fn drips(specimens: &[Specimen], runs: &mut Vec<Run>) {
    for specimen in specimens {
        for size in [1, 2, 3, 7, 50] {
            let pause = Until::Passed(Duration::ZERO);
            let reply = raw(&specimen.bytes).pieces(size, pause).close();
            let right = right(specimen, &specimen.bytes, Ending::Closed);
            runs.push(about(specimen, format!("drip/{}/{size}", specimen.name), reply, right));
        }
    }
}

/// What does not belong into an answer, at every fifth byte of it.
fn insertions(specimens: &[Specimen], runs: &mut Vec<Run>) {
    let garbage: [&[u8]; 8] = [b"\0", b"\r", b"\n", b"\r\n", b" ", b"\xff", b":", b"0"];
    for specimen in specimens.iter().filter(|specimen| specimen.then == Then::Deliver) {
        for at in (0..specimen.bytes.len()).step_by(5) {
            let inserted = garbage[at / 5 % garbage.len()];
            let bytes = [&specimen.bytes[..at], inserted, &specimen.bytes[at..]].concat();
            let name = format!("insert/{}@{at}/{}", specimen.name, inserted.escape_ascii());
            runs.push(about(specimen, name, raw(&bytes).close(), tampered(specimen, &bytes)));
        }
    }
}

/// How many answers are tampered with at random.
const MUTATIONS: usize = 3000;

/// Answers with one to three random changes.
fn mutations(specimens: &[Specimen], random: &mut Random, runs: &mut Vec<Run>) {
    for nth in 0..MUTATIONS {
        let specimen = &specimens[random.below(specimens.len())];
        let mut bytes = specimen.bytes.clone();
        let mut changes = Vec::new();
        for _ in 0..=random.below(3) {
            changes.push(mutate(&mut bytes, random));
        }
        // What it says may lead anywhere, so nothing is followed.
        let alone = Specimen { then: Then::Deliver, ..specimen.clone() };
        let right = tampered(&alone, &bytes);
        let name = format!("mutate/{nth}/{}/{}", specimen.name, changes.join(","));
        runs.push(about(&alone, name, raw(&bytes).close(), right));
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            format!("flip@{at}")
        }
        1 => {
            bytes[at] = random.byte();
            format!("set@{at}")
        }
        2 => {
            bytes.insert(at, random.byte());
            format!("insert@{at}")
        }
        3 => {
            let end = bytes.len().min(at + 1 + random.below(12));
            bytes.drain(at..end);
            format!("delete@{at}..{end}")
        }
        4 => {
            let end = bytes.len().min(at + 1 + random.below(40));
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
            format!("double@{at}..{end}")
        }
        _ => {
            let other = random.below(bytes.len());
            bytes.swap(at, other);
            format!("swap@{at},{other}")
        }
    }
}

/// Servers that go away while they are sent a body.
fn uploads(runs: &mut Vec<Run>) {
    let bodies = [
        ("small", json!({"body": "x".repeat(10)})),
        ("large", json!({"body": "x".repeat(200_000)})),
        ("stream", json!({"body_stream": {"chunks": vec!["x".repeat(20_000); 10], "gap": "1ms"}})),
        ("known", json!({"body_stream": {"chunks": vec!["x".repeat(20_000); 10], "gap": "1ms", "length": 200_000}})),
    ];
    let soon = || Step::Wait(Until::Passed(Duration::from_millis(3)));
    let cut_answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let refusal = status(413).body("too much");
    let either = || Right::answer(413, "too much").or_error(&["interrupted"]);
    let interrupted = || Right::error(&["interrupted"]);
    let servers: Vec<(&str, Reply, Right)> = vec![
        ("reset-at-head", raw("").early().reset(), interrupted()),
        ("close-at-head", raw("").early().close(), interrupted()),
        ("reset-in-body", raw("").deaf().then(soon()).reset(), interrupted()),
        ("close-in-body", raw("").deaf().then(soon()).close(), interrupted()),
        ("reset-after-body", raw("").reset(), interrupted()),
        ("close-after-body", raw("").close(), interrupted()),
        ("refuse-and-close", refusal.clone().early().close(), either()),
        ("refuse-and-reset", refusal.clone().early().reset(), either()),
        ("refuse-deaf-and-close", refusal.clone().deaf().then(soon()).close(), either()),
        ("refuse-and-read", refusal.clone().early(), Right::answer(413, "too much")),
        ("cut-answer-early", raw(cut_answer).early().close(), interrupted()),
        ("cut-answer-early-reset", raw(cut_answer).early().reset(), interrupted()),
        ("cut-answer-late", raw(cut_answer).close(), interrupted()),
        ("garbage-early", raw("garbage\r\n\r\n").early().close(), Right::error(&["interrupted", "protocol"])),
        ("garbage-late", raw("garbage\r\n\r\n").close(), Right::error(&["interrupted", "protocol"])),
    ];
    for (body_name, body) in &bodies {
        for method in ["POST", "PUT"] {
            for (server, reply, right) in &servers {
                let name = format!("upload/{body_name}/{method}/{server}");
                let mut run = once(name, method, vec![reply.clone()], right.clone());
                let fields = body.as_object().into_iter().flatten();
                fields.for_each(|(key, value)| run.request[key] = value.clone());
                runs.push(run);
            }
        }
    }
}

/// Connections that end in any of their phases, TLS handshakes and records included.
fn phases(runs: &mut Vec<Run>) {
    let body = "a page that was sent whole";
    for ending in [Ending::Closed, Ending::Reset, Ending::Silence] {
        for method in ["GET", "POST"] {
            let name = format!("phase/accepted/{method}/{}", word(ending));
            runs.push(relayed(name, Speech::Http1, method, Cut { after: 0, ending }, body));
        }
        for (speech, name) in [(Speech::Http1Tls, "tls"), (Speech::Http2Tls, "h2")] {
            for after in (0..1800).step_by(if ending == Ending::Silence { 90 } else { 9 }) {
                let name = format!("phase/{name}@{after}/{}", word(ending));
                runs.push(relayed(name, speech, "GET", Cut { after, ending }, body));
            }
        }
    }
}

fn relayed(name: String, speech: Speech, method: &str, cut: Cut, body: &str) -> Run {
    let mut right = Right::answer(200, body).or_error(&["connect", "interrupted", "protocol"]);
    let mut run = once(name, method, vec![ok(body)], Right::default());
    run.speech = speech;
    run.relay = Some(cut);
    if cut.ending == Ending::Silence {
        right.kinds.push("timed-out");
        // A shared connection is doubted only once it has said nothing for a second.
        let limit = if speech == Speech::Http2Tls { "1500ms" } else { "200ms" };
        run.request["timeouts"] = json!({"connect": limit, "first_byte": limit, "between_bytes": limit});
    }
    run.right = right;
    run
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_run_has_a_name_of_its_own_and_a_seed_decides_it() -> Result<()> {
        let names = |seed| -> Result<Vec<String>> { Ok(plan(seed)?.into_iter().map(|run| run.name).collect()) };
        let all = names(1)?;
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(all, names(1)?);
        assert_ne!(all, names(2)?);
        assert!(all.len() > 10_000, "only {}", all.len());
        Ok(())
    }

    #[test]
    fn every_specimen_is_whole_by_the_model() -> Result<()> {
        for specimen in specimens()? {
            let meaning = read(&specimen.bytes, Ending::Closed, specimen.method == "HEAD", &specimen.coded);
            assert!(matches!(meaning, Meaning::Whole(_)), "{}: {meaning:?}", specimen.name);
        }
        Ok(())
    }
}
