//! Runs every case as a test of its own, and holds the list of behaviours and the component itself to their promises.

mod trials;

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::{Failed, Trial};
use trials::component;
use urlpool_conformance::behaviours::{Standing, row_of, rows};
use urlpool_conformance::{Carrier, all};
use wasmparser::{Parser, Payload};

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

fn main() {
    let more = vec![
        Trial::test("behaviours::every_case_has_its_row", every_case_has_its_row),
        Trial::test("behaviours::every_row_has_its_case_or_a_reason", every_row_has_its_case_or_a_reason),
        Trial::test("behaviours::no_id_is_missing", no_id_is_missing),
        Trial::test("component::imports_http_io_clocks_and_random_alone", imports_http_io_clocks_and_random_alone),
        Trial::test("component::weighs_less_than_a_megabyte", weighs_less_than_a_megabyte),
    ];
    trials::conclude(Carrier::Pooled, more)
}

/// The cases of each row.
fn cases() -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut cases = BTreeMap::<_, BTreeSet<_>>::new();
    for case in all() {
        cases.entry(row_of(case.id)).or_default().insert(format!("{}::{}", case.area, case.name));
    }
    cases
}

fn every_case_has_its_row() -> Result<(), Failed> {
    let rows: BTreeMap<_, _> = rows().into_iter().map(|row| (row.id, row.standing)).collect();
    let mut ids = BTreeSet::new();
    for case in all() {
        if !ids.insert(case.id) {
            return Err(format!("{}: the id of two cases", case.id).into());
        }
    }
    for (id, cases) in cases() {
        let named: BTreeSet<_> = match rows.get(id) {
            None => return Err(format!("{id}: no row").into()),
            Some(Standing::Cases(names)) => names.iter().map(|&name| name.to_owned()).collect(),
            Some(_) => BTreeSet::new(),
        };
        if named != cases {
            return Err(format!("{id}: the row names {named:?}, the cases are {cases:?}").into());
        }
    }
    Ok(())
}

fn every_row_has_its_case_or_a_reason() -> Result<(), Failed> {
    let cases = cases();
    let mut seen = BTreeSet::new();
    for row in rows() {
        if !seen.insert(row.id) {
            return Err(format!("{}: two rows", row.id).into());
        }
        match row.standing {
            Standing::Cases(_) if !cases.contains_key(row.id) => {
                return Err(format!("{}: there is no such case", row.id).into());
            }
            Standing::Unsaid => return Err(format!("{}: neither a case nor a reason", row.id).into()),
            Standing::Cases(_) | Standing::Elsewhere | Standing::Later | Standing::NotHere => {}
        }
    }
    Ok(())
}

fn no_id_is_missing() -> Result<(), Failed> {
    let rows: BTreeSet<_> = rows().into_iter().map(|row| row.id.to_owned()).collect();
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
