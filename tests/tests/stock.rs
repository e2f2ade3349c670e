//! Runs every case on wasmtime's own handler too, where all must hold but for those that say why they cannot.

mod trials;

use urlpool_conformance::Carrier;

fn main() {
    trials::conclude(Carrier::Stock, Vec::new())
}
