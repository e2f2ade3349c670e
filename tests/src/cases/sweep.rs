//! A slice of the sweep of hostile servers; `urlpool conform --sweep` runs all of it.

use anyhow::{Result, bail, ensure};

use crate::case::{cases, stock};
use crate::rig::Rig;
use crate::sweep::{SEED, Sweep};

cases! { "sweep";
    "G34" an_answer_cut_at_any_byte_is_whole_or_an_error, not on stock: stock::NO_SETTINGS;
    "G35" a_server_that_falls_silent_at_any_byte_is_given_up_in_time, not on stock: stock::NO_SETTINGS;
    "G36" an_answer_that_drips_is_whole, not on stock: stock::NO_SETTINGS;
    "G37" an_answer_that_was_tampered_with_is_never_taken_for_another, not on stock: stock::NO_SETTINGS;
    "G38" a_server_that_goes_away_during_an_upload_is_an_error, not on stock: stock::NO_SETTINGS;
    "G39" a_connection_may_end_in_any_phase, not on stock: stock::NO_SETTINGS;
    "G40" nothing_is_too_large_to_be_refused, not on stock: stock::NO_SETTINGS;
}

/// Runs one of `every` of the runs whose names begin with one of these.
async fn slice(rig: &Rig, families: &[&str], every: usize) -> Result<()> {
    let sweep = Sweep::all(SEED)?.of(families).thinned(every, SEED);
    ensure!(sweep.len() >= 20, "only {} runs of {families:?}", sweep.len());
    let bad = sweep.run(rig, |_| {}).await?;
    match bad.first() {
        None => Ok(()),
        Some(first) => {
            let wrong = first.wrong.as_deref().unwrap_or_default();
            bail!("{} of {} did not end well; {}: {wrong}", bad.len(), sweep.len(), first.name)
        }
    }
}

async fn an_answer_cut_at_any_byte_is_whole_or_an_error(rig: &Rig) -> Result<()> {
    slice(rig, &["cut"], 31).await
}

async fn a_server_that_falls_silent_at_any_byte_is_given_up_in_time(rig: &Rig) -> Result<()> {
    slice(rig, &["silence"], 11).await
}

async fn an_answer_that_drips_is_whole(rig: &Rig) -> Result<()> {
    slice(rig, &["drip"], 4).await
}

async fn an_answer_that_was_tampered_with_is_never_taken_for_another(rig: &Rig) -> Result<()> {
    slice(rig, &["insert", "mutate"], 17).await
}

async fn a_server_that_goes_away_during_an_upload_is_an_error(rig: &Rig) -> Result<()> {
    slice(rig, &["upload"], 3).await
}

async fn a_connection_may_end_in_any_phase(rig: &Rig) -> Result<()> {
    slice(rig, &["phase"], 13).await
}

async fn nothing_is_too_large_to_be_refused(rig: &Rig) -> Result<()> {
    slice(rig, &["oversized"], 3).await
}
