//! Runs every case as a test of its own, and holds the list of behaviours and the component itself to their promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use urlpool_conformance::{BEHAVIOURS, Case, Rig, all};
use wasmparser::{Parser, Payload};

/// No case waits for anything longer than a few seconds; what takes this long hangs.
const HANGS: Duration = Duration::from_secs(20);

/// Names the file of another component to hold to the cases, such as one built with fewer features.
const OTHER: &str = "URLPOOL_CONFORM";

/// The most that the component may weigh, with all decoders.
const MOST_BYTES: usize = 1_000_000;

/// The packages that the component may import from.
const IMPORTS: [&str; 4] = ["wasi:http/", "wasi:io/", "wasi:clocks/", "wasi:random/"];

/// The ids that must have a row, by letter and count.
const ROWS: [(char, usize); 11] = [
    ('P', 40),
    ('R', 50),
    ('D', 34),
    ('T', 10),
    ('M', 33),
    ('F', 13),
    ('H', 19),
    ('B', 22),
    ('E', 26),
    ('O', 6),
    ('L', 6),
];

/// Passed and failed cases, by area.
type Tally = Arc<Mutex<BTreeMap<&'static str, (usize, usize)>>>;

fn main() {
    let mut arguments = Arguments::from_args();
    // Most cases wait for timers and sockets, not for a processor.
    arguments.test_threads.get_or_insert(4);
    let tally = Tally::default();
    let mut trials = vec![
        Trial::test("behaviours::every_case_has_its_row", every_case_has_its_row),
        Trial::test("behaviours::every_row_has_its_case_or_a_reason", every_row_has_its_case_or_a_reason),
        Trial::test("behaviours::no_id_is_missing", no_id_is_missing),
        Trial::test("component::imports_http_io_clocks_and_random_alone", imports_http_io_clocks_and_random_alone),
        Trial::test("component::weighs_less_than_a_megabyte", weighs_less_than_a_megabyte),
    ];
    trials.extend(all().into_iter().map(|case| {
        let tally = tally.clone();
        Trial::test(case.title(), move || {
            let result = run(case);
            let mut tally = tally.lock().expect("no trial panics with it");
            let (passed, failed) = tally.entry(case.area).or_default();
            *if result.is_ok() { passed } else { failed } += 1;
            result
        })
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    for (area, (passed, failed)) in tally.lock().expect("all trials are over").iter() {
        println!("{area:>12}: {passed} passed, {failed} failed");
    }
    conclusion.exit();
}

/// Runs a case on a runtime of its own, so that none disturbs another, under a deadline that a spinning component cannot stop.
fn run(case: Case) -> Result<(), Failed> {
    let rig = rig()?;
    let (done, result) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let result = match runtime {
            Ok(runtime) => {
                let result = runtime.block_on((case.run)(rig));
                runtime.shutdown_background();
                result
            }
            Err(error) => Err(error.into()),
        };
        // Nobody listens any more once the deadline has passed.
        let _ = done.send(result);
    });
    match result.recv_timeout(HANGS) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{error:#}").into()),
        Err(RecvTimeoutError::Timeout) => Err(format!("hangs: not over after {HANGS:?}").into()),
        Err(RecvTimeoutError::Disconnected) => Err("panicked".into()),
    }
}

/// The rig that all cases share; compiled by the first that needs it.
fn rig() -> Result<&'static Rig, Failed> {
    static RIG: OnceLock<Result<Rig, String>> = OnceLock::new();
    let rig = RIG.get_or_init(|| match std::env::var_os(OTHER) {
        None => Rig::embedded().map_err(|error| format!("{error:#}")),
        Some(_) => Rig::new(&component()?).map_err(|error| format!("{error:#}")),
    });
    rig.as_ref().map_err(|error| error.clone().into())
}

/// The rows of the list: id and last column.
fn rows() -> Vec<(&'static str, &'static str)> {
    BEHAVIOURS
        .lines()
        .filter_map(|line| {
            let mut columns = line.trim().strip_prefix('|')?.strip_suffix('|')?.splitn(3, '|').map(str::trim);
            let (id, _, last) = (columns.next()?, columns.next()?, columns.next()?);
            let is_id = id.starts_with(|letter: char| letter.is_ascii_uppercase())
                && id.len() > 1
                && id[1..].chars().all(|digit| digit.is_ascii_digit());
            is_id.then_some((id, last))
        })
        .collect()
}

/// The names in backticks of a column.
fn names(column: &str) -> BTreeSet<String> {
    column.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).map(str::to_owned).collect()
}

/// The cases of each row; `P9b` belongs to `P9`.
fn cases() -> BTreeMap<String, BTreeSet<String>> {
    let mut cases = BTreeMap::<_, BTreeSet<_>>::new();
    for case in all() {
        let row = case.id.trim_end_matches(|letter: char| letter.is_ascii_lowercase()).to_owned();
        cases.entry(row).or_default().insert(format!("{}::{}", case.area, case.name));
    }
    cases
}

fn every_case_has_its_row() -> Result<(), Failed> {
    let rows: BTreeMap<_, _> = rows().into_iter().collect();
    let mut ids = BTreeSet::new();
    for case in all() {
        if !ids.insert(case.id) {
            return Err(format!("{}: the id of two cases", case.id).into());
        }
    }
    for (id, cases) in cases() {
        let Some(column) = rows.get(id.as_str()) else { return Err(format!("{id}: no row").into()) };
        if names(column) != cases {
            return Err(format!("{id}: the row names {:?}, the cases are {cases:?}", names(column)).into());
        }
    }
    Ok(())
}

fn every_row_has_its_case_or_a_reason() -> Result<(), Failed> {
    let cases = cases();
    let mut seen = BTreeSet::new();
    for (id, column) in rows() {
        if !seen.insert(id) {
            return Err(format!("{id}: two rows").into());
        }
        let reasoned = ["later: ", "elsewhere: ", "not here: "].iter().any(|start| column.starts_with(start));
        if !cases.contains_key(id) && !reasoned {
            return Err(format!("{id}: neither a case nor a reason").into());
        }
    }
    Ok(())
}

fn no_id_is_missing() -> Result<(), Failed> {
    let rows: BTreeSet<_> = rows().into_iter().map(|(id, _)| id.to_owned()).collect();
    for (letter, count) in ROWS {
        for number in 1..=count {
            let id = format!("{letter}{number}");
            if !rows.contains(&id) {
                return Err(format!("{id}: no row").into());
            }
        }
    }
    Ok(())
}

fn imports_http_io_clocks_and_random_alone() -> Result<(), Failed> {
    let mut imports = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(&component()?) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            // Those of the component itself, not those of what is nested in it.
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    if imports.is_empty() {
        return Err("no imports found".into());
    }
    for import in &imports {
        if !IMPORTS.iter().any(|allowed| import.starts_with(allowed)) {
            return Err(format!("the component imports {import}").into());
        }
    }
    Ok(())
}

fn weighs_less_than_a_megabyte() -> Result<(), Failed> {
    let size = component()?.len();
    if size < MOST_BYTES { Ok(()) } else { Err(format!("the component has {size} bytes").into()) }
}

fn component() -> Result<Vec<u8>, String> {
    match std::env::var_os(OTHER) {
        None => urlpool_script::component().map(<[u8]>::to_vec).map_err(|error| error.to_string()),
        Some(path) => std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display())),
    }
}
