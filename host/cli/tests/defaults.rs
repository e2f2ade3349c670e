//! The defaults of the interface, as the command line shows them.
//!
//! What a server can see of a default is held by the conformance suite, and each policy's own values by the tests of core.
//! This holds the third place in which they stand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::urlpool;

/// The default that the help names for a flag, its lines joined.
fn shown(help: &str, flag: &str) -> Option<String> {
    let start = help.lines().position(|line| line.trim_start().split(' ').any(|word| word == flag))?;
    let lines = help.lines().skip(start);
    let of_flag = lines.enumerate().take_while(|(index, line)| *index == 0 || !line.trim_start().starts_with('-'));
    let text = of_flag.map(|(_, line)| line.trim()).collect::<Vec<_>>().join(" ");
    let default = text.split_once("[default: ")?.1;
    Some(default.split_once(']')?.0.to_owned())
}

#[test]
fn every_default_of_the_design_is_shown() {
    let ran = urlpool(&["send", "--help"]);
    let help = ran.text();
    for (flag, default) in [
        ("--retries", "3"),
        ("--retry-on", "none; 413, 429 and 503 with Retry-After"),
        ("--retry-methods", "the idempotent ones"),
        ("--retry-after-max", "60s"),
        ("--backoff", "100ms"),
        ("--backoff-max", "10s"),
        ("--jitter", "full"),
        ("--redirects", "10"),
        ("--slots", "8"),
        ("--preload", "8388608"),
        ("--max-ratio", "200"),
        ("--timeout", "none"),
        ("--timeout-slot", "30s"),
        ("--timeout-connect", "10s"),
        ("--timeout-write", "60s"),
        ("--timeout-first-byte", "60s"),
        ("--timeout-between-bytes", "60s"),
        ("--connections", "32"),
        ("--idle-timeout", "90s"),
        ("--max-age", "none"),
        ("--max-uses", "none"),
        ("--http", "auto"),
        ("--roots", "bundled"),
        ("--proxy", "none"),
    ] {
        assert_eq!(shown(help, flag).as_deref(), Some(default), "{flag}");
    }
}

#[test]
fn the_interface_names_the_same_defaults() {
    let ran = urlpool(&["wit"]);
    // Prose breaks its lines anywhere.
    let wit = ran.text().lines().map(|line| line.trim().trim_start_matches("///").trim()).collect::<Vec<_>>().join(" ");
    for promise in [
        "Default: `some(8)`.",
        "Default: `queue`.",
        "forgotten. Default: 32.",
        "Default: 8 MiB.",
        "Default: `some(200)`.",
        "Default: `some(3)`.",
        "Default: GET, HEAD, OPTIONS, TRACE, PUT, DELETE and QUERY.",
        "Default: a tenth of a second, and ten seconds.",
        "Default: `full`.",
        "Default: one minute.",
        "Default: `deliver`.",
        "Default: 10.",
        "Default: 30 seconds.",
        "Default: 10 seconds.",
        "Default: 60 seconds.",
        "Default: `none`.",
    ] {
        assert!(wit.contains(promise), "{promise}");
    }
}
