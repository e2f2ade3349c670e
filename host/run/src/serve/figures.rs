//! What a server counts.

use super::fault::Fault;
use http::StatusCode;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The figures of a [`Server`](super::Server) at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Requests answered, by the first digit of their status: those of the component and those that the server made up.
    pub answered: BTreeMap<u16, u64>,
    /// Requests that the component did not answer, or not wholly, by the [word](Fault::word) of the reason.
    pub faults: BTreeMap<&'static str, u64>,
    /// Responses that were cut off after their head.
    pub cut: u64,
    /// Instances made.
    pub started: u64,
    /// Instances that are handling a request now.
    pub running: usize,
    /// Instances that wait for another request now.
    pub idle: usize,
}

impl Served {
    /// The figures in the text format of Prometheus, to stand beside those of the [host](urlpool_host::Stats::prometheus).
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        let mut metric = |name: &str, help: &str, values: &[(String, u64)]| {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP urlpool_{name} {help}\n# TYPE urlpool_{name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(text, "urlpool_{name}{labels} {value}");
            }
        };
        let by_class: Vec<_> =
            self.answered.iter().map(|(class, count)| (format!("{{class=\"{class}xx\"}}"), *count)).collect();
        let by_reason: Vec<_> =
            self.faults.iter().map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), *count)).collect();
        let one = |value: u64| [(String::new(), value)];
        metric("served_requests_total", "Requests answered, by the class of their status.", &by_class);
        metric("served_faults_total", "Requests that the component did not answer, by reason.", &by_reason);
        metric("served_cut_total", "Responses cut off after their head.", &one(self.cut));
        metric("instances_started_total", "Instances made.", &one(self.started));
        metric("instances_running", "Instances that are handling a request.", &one(self.running as u64));
        metric("instances_idle", "Instances that wait for a request.", &one(self.idle as u64));
        text
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        *self.answered.entry(status.as_u16() / 100).or_default() += 1;
    }

    pub(crate) fn failed(&mut self, fault: &Fault) {
        *self.faults.entry(fault.word()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_written_for_prometheus() {
        let mut served = Served { started: 3, ..Served::default() };
        served.answered(StatusCode::NOT_FOUND);
        served.answered(StatusCode::OK);
        served.failed(&Fault::Busy);
        let text = served.prometheus();
        for line in [
            "# TYPE urlpool_served_requests_total counter",
            "urlpool_served_requests_total{class=\"2xx\"} 1",
            "urlpool_served_faults_total{reason=\"busy\"} 1",
            "urlpool_instances_started_total 3",
            "# TYPE urlpool_instances_idle gauge",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}: {text}");
        }
    }
}
