//! Each target holds for its kept seeds and for some random inputs, the same each time.

use urlpool_fuzz::TARGETS;
use urlpool_fuzz::random::Until;

/// Enough to notice at once what is badly broken; `cargo xtask fuzz` looks for the rest.
const RUNS: u64 = 2_000;

#[test]
fn each_target_holds_for_its_seeds_and_for_random_inputs() {
    for target in TARGETS {
        let outcome = target.fuzz(1, Until::Runs(RUNS)).expect("its seeds can be read");
        assert_eq!(outcome.finding, None, "{}", target.name);
        assert!(outcome.seeds > 0, "{} has no seeds", target.name);
    }
}
