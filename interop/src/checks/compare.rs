//! Our column of the comparison with other clients: no cell of it is wrong.

use anyhow::{Result, ensure};
use urlpool_compare::{Contender, Group, Table, all, play};
use urlpool_conformance::Rig;

use crate::check::checks;

checks! { "compare";
    [] content_codings_are_right;
    [] framing_is_right;
    [] redirects_are_right;
    [] connections_are_right;
    [] requests_are_right;
}

async fn content_codings_are_right(rig: &Rig) -> Result<()> {
    right(Group::Decoding, rig).await
}

async fn framing_is_right(rig: &Rig) -> Result<()> {
    right(Group::Framing, rig).await
}

async fn redirects_are_right(rig: &Rig) -> Result<()> {
    right(Group::Redirects, rig).await
}

async fn connections_are_right(rig: &Rig) -> Result<()> {
    right(Group::Connections, rig).await
}

async fn requests_are_right(rig: &Rig) -> Result<()> {
    right(Group::Requests, rig).await
}

async fn right(group: Group, rig: &Rig) -> Result<()> {
    let mut ours = Contender::ours(rig);
    let mut table = Table::new(vec![(ours.name().to_owned(), ours.version().to_owned())]);
    for case in all().into_iter().filter(|case| case.group == group) {
        table.push(case, vec![play(&case, &mut ours).await?]);
    }
    let wrong = table.wrong(ours.name());
    ensure!(wrong.is_empty(), "{wrong:?}");
    Ok(())
}
