//! Every case as a trial of its own, and a table of what came of them.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use urlpool_conformance::behaviours::{Table, counts};
use urlpool_conformance::run::{self, Outcome, Verdict};
use urlpool_conformance::{Carrier, Case, Rig, all};

/// Names the file of another component to hold to the cases, such as one built with fewer features.
pub(crate) const OTHER: &str = "URLPOOL_CONFORM";

/// The component to test.
pub(crate) fn component() -> Result<Vec<u8>, String> {
    match std::env::var_os(OTHER) {
        None => urlpool_script::component().map(<[u8]>::to_vec).map_err(|error| error.to_string()),
        Some(path) => std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display())),
    }
}

/// Runs the cases and these trials, prints how many rows of each area hold, and ends the process.
pub(crate) fn conclude(carrier: Carrier, more: Vec<Trial>) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(run::SIDE_BY_SIDE);
    let verdicts = Arc::new(Mutex::new(Vec::new()));
    let mut trials = more;
    trials.extend(all().into_iter().map(|case| trial(case, carrier, verdicts.clone())));
    let whole = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut verdicts = verdicts.lock().expect("all trials are over").clone();
    if whole {
        // They are told as ignored.
        verdicts.extend(all().into_iter().filter_map(|case| {
            let outcome = Outcome::NotHere(case.excuse_on(carrier)?);
            Some(Verdict { case, outcome, took: Duration::ZERO })
        }));
    }
    if !verdicts.is_empty() {
        print!("{}", Table(&counts(&verdicts, whole)));
    }
    conclusion.exit()
}

fn trial(case: Case, carrier: Carrier, verdicts: Arc<Mutex<Vec<Verdict>>>) -> Trial {
    let trial = Trial::test(case.title(), move || {
        let verdict = run::run(case, &rig(carrier)?);
        let result = match &verdict.outcome {
            Outcome::Failed(seen) => Err(seen.clone().into()),
            Outcome::Passed | Outcome::NotHere(_) => Ok(()),
        };
        verdicts.lock().expect("no trial panics with it").push(verdict);
        result
    });
    trial.with_ignored_flag(case.excuse_on(carrier).is_some())
}

/// The rig that all cases share; compiled by the first that needs it.
fn rig(carrier: Carrier) -> Result<Arc<Rig>, Failed> {
    static RIG: OnceLock<Result<Arc<Rig>, String>> = OnceLock::new();
    let rig = RIG.get_or_init(|| {
        let rig = match std::env::var_os(OTHER) {
            None => Rig::embedded(),
            Some(_) => Rig::new(&component()?),
        };
        rig.map(|rig| Arc::new(rig.carried_by(carrier))).map_err(|error| format!("{error:#}"))
    });
    rig.clone().map_err(Failed::from)
}
