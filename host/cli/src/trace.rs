//! What `--trace` shows: the moments of a call, each with a bar from the one before it.

use std::fmt::Write as _;
use std::time::Duration;
use urlpool_script::Mark;

/// How many characters the whole call is wide.
const WIDTH: usize = 32;

/// The marks as lines, without colours: a time, what happened, and on the scale of the whole call how long it took.
pub(crate) fn chart(trace: &[Mark]) -> String {
    let whole = trace.last().map_or(Duration::ZERO, |mark| mark.after);
    let mut before = Duration::ZERO;
    let mut attempt = 0;
    let mut lines = String::new();
    for mark in trace {
        let number = if mark.attempt == attempt { String::new() } else { format!("#{}", mark.attempt) };
        attempt = mark.attempt;
        let after = mark.after.as_secs_f64() * 1e3;
        let line = format!("{number:>4} {after:>10.3} ms  {:<24}", what(mark));
        // Writing to a text cannot fail.
        let _ = writeln!(lines, "{line}{}", bar(before, mark.after, whole).trim_end());
        before = mark.after;
    }
    lines
}

fn what(mark: &Mark) -> String {
    match (mark.status, mark.delay) {
        (Some(status), _) => format!("{} {status}", mark.what),
        (None, Some(delay)) => format!("{} in {} ms", mark.what, delay.as_millis()),
        (None, None) => mark.what.clone(),
    }
}

/// A bar from one moment to another; a thin one where both fall together.
fn bar(from: Duration, to: Duration, whole: Duration) -> String {
    let place = |moment: Duration| match whole.is_zero() {
        true => 0,
        false => ((moment.as_secs_f64() / whole.as_secs_f64() * WIDTH as f64) as usize).min(WIDTH),
    };
    let (from, to) = (place(from).min(WIDTH - 1), place(to));
    match to.saturating_sub(from) {
        0 => format!("{}▏", " ".repeat(from)),
        width => format!("{}{}", " ".repeat(from), "█".repeat(width)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(after: u64, attempt: u32, what: &str) -> Mark {
        Mark { after: Duration::from_millis(after), attempt, what: what.into(), status: None, delay: None }
    }

    #[test]
    fn each_attempt_is_numbered_once_and_bars_follow_each_other() {
        let sent = mark(0, 1, "sent");
        let answered = Mark { status: Some(503), ..mark(16, 1, "first-byte") };
        let retried = Mark { delay: Some(Duration::from_millis(16)), ..mark(16, 1, "retried") };
        let chart = chart(&[sent, answered, retried, mark(32, 2, "queued")]);
        let lines: Vec<&str> = chart.lines().collect();
        assert_eq!(lines[0], "  #1      0.000 ms  sent                    ▏");
        assert_eq!(lines[1], format!("         16.000 ms  first-byte 503          {}", "█".repeat(16)));
        assert_eq!(lines[2], format!("         16.000 ms  retried in 16 ms        {}▏", " ".repeat(16)));
        assert_eq!(
            lines[3],
            format!("  #2     32.000 ms  queued                  {}{}", " ".repeat(16), "█".repeat(16))
        );
    }

    #[test]
    fn a_call_that_took_no_time_has_a_chart_too() {
        assert_eq!(chart(&[mark(0, 1, "failed")]).lines().count(), 1);
        assert_eq!(chart(&[]), "");
    }
}
