//! Each target holds for its kept seeds and for some random inputs, the same each time.

use std::path::Path;

use urlpool_fuzz::TARGETS;
use urlpool_fuzz::random::Until;

/// Enough to notice at once what is badly broken; `cargo xtask fuzz` looks for the rest.
const RUNS: u64 = 2_000;

#[test]
fn each_target_has_a_program_and_seeds_of_its_name() {
    let mut names = TARGETS.map(|target| target.name.to_owned());
    names.sort_unstable();
    for folder in ["fuzz_targets", "seeds"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = folder.read_dir().expect("the folder is there");
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut found: Vec<String> = entries.map(|entry| stem(&entry.expect("it can be read").path())).collect();
        found.sort_unstable();
        assert_eq!(found, names, "{}", folder.display());
    }
}

#[test]
fn each_target_holds_for_its_seeds_and_for_random_inputs() {
    for target in TARGETS {
        let outcome = target.fuzz(1, Until::Runs(RUNS)).expect("its seeds can be read");
        assert_eq!(outcome.finding, None, "{}", target.name);
        assert!(outcome.seeds > 0, "{} has no seeds", target.name);
    }
}
