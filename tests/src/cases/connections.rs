//! How many connections a host has, for how long, and for whom.
//!
//! Longer than most files, as [`reuse`](super::reuse) is: the area is the headline of the product.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use urlpool_host::{Egress, Failure, Host, Versions};

use crate::case::{cases, same, stock};
use crate::ports::Refused;
use crate::reply::{ok, status};
use crate::rig::{Rig, finding};
use crate::server::End;
use crate::{Gate, Server, Speech, Until};

cases! { "connections";
    "P17" a_connection_past_its_age_finishes_its_request_and_serves_no_other, not on stock: stock::NO_SETTINGS;
    "P18" the_time_that_a_server_grants_is_kept_to, not on stock: stock::KEEPS_NONE;
    "P19" a_server_gets_no_more_requests_than_it_takes, not on stock: stock::KEEPS_NONE;
    "P20b" the_idle_connection_used_least_recently_makes_room, not on stock: stock::NO_SETTINGS;
    "P21" a_response_streams_on_when_its_origin_is_the_one_to_go;
    "P22" use_refreshes_the_order_of_origins, not on stock: stock::NO_SETTINGS;
    "P24" the_default_port_is_the_same_origin_and_https_another, not on stock: stock::NO_SETTINGS;
    "P25" guests_of_other_tenants_rules_and_versions_share_no_connection, not on stock: stock::NO_SETTINGS;
    "P25b" hosts_that_trust_others_share_no_connection, not on stock: stock::PUBLIC_ROOTS;
    "P36b" the_figures_are_exact_while_requests_wait, not on stock: stock::NO_SETTINGS;
    "P36c" the_figures_are_exact_when_all_has_ended, not on stock: stock::COUNTS_NOTHING;
    "P38b" one_instance_shares_its_connections_among_all_it_sends, not on stock: stock::KEEPS_NONE;
    "P40" a_host_opens_connections_ahead_of_requests, not on stock: stock::NO_SETTINGS;
    "P40b" a_host_opens_no_more_connections_ahead_than_it_may_have, not on stock: stock::NO_SETTINGS;
}

async fn a_connection_past_its_age_finishes_its_request_and_serves_no_other(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let gate = Gate::new();
        let server = Server::replies_in(speech, [ok("one").after(Until::Open(gate.clone())), ok("two")]).await?;
        let age = Duration::from_millis(100);
        let mut client = rig.client_set(&server, |host| host.max_age(Some(age))).await?;
        client.start("busy", json!({"url": server.url("/")})).await?;
        server.until("the request", |log| log.requests.len() == 1).await?;
        tokio::time::sleep(2 * age).await;
        gate.open();
        let busy = client.finish("busy").await?;
        same!(busy["body"], "one", speech);
        same!(busy["attempts"], 1, speech);
        same!(client.get(server.url("/")).await?["body"], "two", speech);
        let requests = server.requests();
        same!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 1], speech);
        server.until("the close", |log| log.connections[0].ended == Some(End::Client)).await?;
        same!(client.host().await?["discarded"]["max-age"].as_u64() >= Some(1), true, speech);
    }
    Ok(())
}

async fn the_time_that_a_server_grants_is_kept_to(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let server = Server::replies_in(speech, [ok("").header("Keep-Alive", "timeout=2")]).await?;
        let mut client = rig.client_for(&server).await?;
        let begun = Instant::now();
        for _ in 0..2 {
            client.get(server.url("/")).await?;
        }
        same!(server.connections(), 1, speech);
        // The host closes it by itself, about a second after the last request.
        server.until("the close", |log| log.connections[0].ended == Some(End::Client)).await?;
        let took = begun.elapsed();
        ensure!((Duration::from_millis(500)..Duration::from_secs(5)).contains(&took), "{speech:?}: took {took:?}");
        client.get(server.url("/")).await?;
        same!(server.connections(), 2, speech);
        same!(client.host().await?["discarded"], json!({"keep-alive-hint": 1}), speech);
    }
    Ok(())
}

async fn a_server_gets_no_more_requests_than_it_takes(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let server = Server::replies_in(speech, [ok("").header("Keep-Alive", "timeout=5, max=2")]).await?;
        let mut client = rig.client_for(&server).await?;
        for _ in 0..5 {
            same!(client.get(server.url("/")).await?["attempts"], 1, speech);
        }
        let requests = server.requests();
        same!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 0, 1, 1, 2], speech);
        let host = client.until_host("an idle connection", |host| host["live"] == 1).await?;
        same!(host["discarded"], json!({"keep-alive-hint": 2}), speech);
    }
    Ok(())
}

async fn guests_of_other_tenants_rules_and_versions_share_no_connection(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("")]).await?;
        let host = server.trusted_by(Host::builder())?.build()?;
        let egress = Egress::default().deny("b.test")?;
        // The second of each pair has all in common with the first.
        for (guest, connections) in [
            (host.guest(), 1),
            (host.guest(), 1),
            (host.guest().tenant("a"), 2),
            (host.guest().tenant("a"), 2),
            (host.guest().tenant("b"), 3),
            (host.guest().egress(egress.clone()), 4),
            (host.guest().egress(egress), 4),
        ] {
            let mut client = rig.client_as(&guest.build()?).await?;
            client.get(server.url("/")).await?;
            same!(server.connections(), connections, speech);
        }
        let versions = if speech.shares() { Versions::Http2 } else { Versions::Http1 };
        let mut client = rig.client_as(&host.guest().versions(versions).build()?).await?;
        client.get(server.url("/")).await?;
        same!(server.connections(), 5, speech);
    }
    Ok(())
}

async fn hosts_that_trust_others_share_no_connection(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&[Speech::Http1Tls, Speech::Http2Tls]) {
        let server = Server::replies_in(speech, [ok("")]).await?;
        let mut trusting = rig.client_for(&server).await?;
        let mut wary = rig.client().await?;
        trusting.get(server.url("/")).await?;
        let error = wary.refused("protocol", json!({"url": server.url("/"), "retry": "never"})).await?;
        same!(error["code"], "TLS-certificate-error", speech);
        trusting.get(server.url("/")).await?;
        same!(server.arrivals(), 2, speech);
        same!(server.connections(), 2, speech);
    }
    Ok(())
}

async fn a_host_opens_connections_ahead_of_requests(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let server = Server::replies_in(speech, [ok("").after(Until::Arrived(3))]).await?;
        let host = server.trusted_by(Host::builder())?.build()?;
        same!(host.warm(&server.url("/"), 3).await, Ok(3), speech);
        server.until("three connections", |log| log.connections.len() == 3).await?;
        same!(server.arrivals(), 0, speech);
        same!(host.stats().idle, 3, speech);
        let mut client = rig.client_of(&host).await?;
        client.send_all(vec![json!({"url": server.url("/")}); 3]).await?;
        same!(server.connections(), 3, speech);
        same!(server.log().connections.iter().map(|one| one.requests).collect::<Vec<_>>(), [1, 1, 1], speech);
    }
    // One is enough where requests share it.
    let server = Server::replies_in(Speech::Http2Tls, [ok("").after(Until::Arrived(3))]).await?;
    let host = server.trusted_by(Host::builder())?.build()?;
    same!(host.warm(&server.url("/"), 1).await, Ok(1));
    let mut client = rig.client_of(&host).await?;
    client.send_all(vec![json!({"url": server.url("/")}); 3]).await?;
    same!(server.connections(), 1);
    Ok(())
}

async fn a_host_opens_no_more_connections_ahead_than_it_may_have(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("")]).await?;
        let host = server.trusted_by(Host::builder())?.connections_per_origin(2).build()?;
        let opened = host.warm(&server.url("/"), 5).await;
        let opened = opened.map_err(|failure| anyhow::anyhow!("{speech:?}: {failure}"))?;
        same!(opened, 2, speech);
        server.until("the connections", |log| log.connections.len() == 2).await?;
        same!(host.stats().live, 2, speech);
    }
    let refused = Refused::bind()?;
    let host = Host::builder().build()?;
    same!(host.warm(&refused.url("/"), 2).await, Err(Failure::Refused));
    Ok(())
}

async fn the_idle_connection_used_least_recently_makes_room(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let servers = three(speech).await?;
        let mut client = rig.client_set(&servers[0], |host| host.connections(2)).await?;
        for server in &servers {
            client.get(server.url("/")).await?;
        }
        let host = client.until_host("two idle connections", |host| host["idle"] == 2).await?;
        same!(host["evicted"], 1, speech);
        same!(host["live"], 2, speech);
        servers[0].until("the close", |log| log.connections[0].ended == Some(End::Client)).await?;
        same!(servers.iter().map(Server::connections).collect::<Vec<_>>(), [1, 1, 1], speech);
    }
    Ok(())
}

async fn use_refreshes_the_order_of_origins(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let [a, b, c] = three(speech).await?;
        let mut client = rig.client_set(&a, |host| host.connections(2)).await?;
        for server in [&a, &b, &a, &c, &a] {
            client.get(server.url("/")).await?;
        }
        same!([a.connections(), b.connections(), c.connections()], [1, 1, 1], speech);
        b.until("the close", |log| log.connections[0].ended == Some(End::Client)).await?;
        same!(client.host().await?["evicted"], 1, speech);
    }
    Ok(())
}

async fn a_response_streams_on_when_its_origin_is_the_one_to_go(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let gate = Gate::new();
        let first = Server::replies_in(speech, [status(200).chunks(vec![vec![b'x'; 65_536]; 64]), ok("")]).await?;
        let other = Server::replies([ok("other").after(Until::Open(gate.clone()))]).await?;
        let mut client = rig.client_for(&first).await?;
        client.open(json!({"origins": 1, "preload": null})).await?;
        client.send(json!({"url": first.url("/"), "as": "streamed"})).await?;
        client.start("other", json!({"url": other.url("/")})).await?;
        client.ok(json!({"op": "read", "handle": "streamed", "max": 1000})).await?;
        gate.open();
        client.ok(json!({"op": "finish", "handle": "other", "as": "other"})).await?;
        same!(client.ok(json!({"op": "read-all", "handle": "other"})).await?["body"], "other", speech);
        let rest = client.ok(json!({"op": "read-all", "handle": "streamed"})).await?;
        let all = rest["body_bytes"].as_u64().unwrap_or_default();
        ensure!((64 * 65_536 - 1000..64 * 65_536).contains(&all), "{speech:?}: {all} bytes were left");
        same!(first.connections(), 1, speech);
    }
    Ok(())
}

async fn the_default_port_is_the_same_origin_and_https_another(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("")]).await?;
        let ports = [server.port()];
        let mut client = rig.client_set(&server, |host| host.resolver(finding("a.test", &ports))).await?;
        let (port, other) = if speech.scheme() == "http" { (80, "https") } else { (443, "http") };
        for url in ["a.test/".to_owned(), format!("a.test:{port}/"), format!("A.test:{port}")] {
            client.get(format!("{}://{url}", speech.scheme())).await?;
        }
        same!(server.connections(), 1, speech);
        same!(client.pool().await?["origins"], 1, speech);
        // The same port, asked in the other way: another connection, on which this server understands nothing.
        let url = format!("{other}://a.test:{port}/");
        // It may wait for a greeting that never comes.
        let timeouts = json!({"connect": "200ms", "first_byte": "200ms"});
        let refused = client.op(json!({"op": "send", "url": url, "retry": "never", "timeouts": timeouts})).await;
        same!(refused["ok"], false, speech);
        same!(server.connections(), 2, speech);
        same!(server.arrivals(), 3, speech);
        same!(client.pool().await?["origins"], 2, speech);
    }
    Ok(())
}

async fn the_figures_are_exact_while_requests_wait(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let gate = Gate::new();
        let server = Server::replies_in(speech, [ok("").after(Until::Open(gate.clone()))]).await?;
        let mut client = rig.client_set(&server, |host| host.connections_per_origin(2)).await?;
        client.open(json!({"slots": 3})).await?;
        for name in ["a", "b", "c", "d"] {
            client.start(name, json!({"url": server.url("/")})).await?;
        }
        server.until("two in flight", |log| log.in_flight == 2).await?;
        // Two have a connection, one waits for one in the host, and one for a slot of the guest.
        let host = client.until_host("one that waits", |host| host["waiting"] == 1).await?;
        same!(figures(&host, ["opened", "live", "idle", "reused"]), [2, 2, 0, 0], speech);
        let pool = client.pool().await?;
        same!(figures(&pool, ["requests", "attempts", "in_flight", "queued"]), [4, 3, 3, 1], speech);
        gate.open();
        for name in ["a", "b", "c", "d"] {
            client.finish(name).await?;
        }
        let host = client.until_host("two idle connections", |host| host["idle"] == 2).await?;
        same!(figures(&host, ["opened", "live", "waiting", "reused"]), [2, 2, 0, 2], speech);
        same!(host["discarded"], json!({}), speech);
        same!(figures(&client.pool().await?, ["attempts", "in_flight", "queued", "retries"]), [4, 0, 0, 0], speech);
        same!(server.connections(), 2, speech);
    }
    Ok(())
}

async fn the_figures_are_exact_when_all_has_ended(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::routes_in(
            speech,
            [
                ("/ok", vec![ok("body")]),
                ("/moved", vec![status(302).header("Location", "/ok")]),
                ("/busy", vec![status(503).header("Retry-After", "0"), ok("")]),
            ],
        )
        .await?;
        let mut client = rig.client_for(&server).await?;
        for path in ["/ok", "/moved", "/busy", "/ok"] {
            client.get(server.url(path)).await?;
        }
        let host = client.until_host("an idle connection", |host| host["idle"] == 1).await?;
        same!(figures(&host, ["opened", "reused", "resent", "evicted"]), [1, 5, 0, 0], speech);
        same!(figures(&host, ["live", "waiting", "idle", "opened"]), [1, 0, 1, 1], speech);
        same!(host["discarded"], json!({}), speech);
        let pool = client.pool().await?;
        same!(figures(&pool, ["requests", "attempts", "retries", "redirects"]), [4, 6, 1, 1], speech);
        same!((server.connections(), server.arrivals()), (1, 6), speech);
    }
    Ok(())
}

async fn one_instance_shares_its_connections_among_all_it_sends(rig: &Rig) -> Result<()> {
    const REQUESTS: usize = 1600;
    const SLOTS: usize = 8;
    for speech in rig.speeches(&Speech::ALL) {
        // Nobody is answered before there are as many as slots.
        let server = Server::answering_in(speech, |request| ok(&request.target).after(Until::Arrived(SLOTS))).await?;
        let mut client = rig.client_for(&server).await?;
        client.open(json!({"slots": SLOTS})).await?;
        let targets: Vec<_> = (0..REQUESTS).map(|number| format!("/{number}")).collect();
        let requests = targets.iter().map(|target| json!({"url": server.url(target)})).collect();
        let answers = client.send_all(requests).await?;
        same!(answers.len(), REQUESTS, speech);
        for (answer, target) in answers.iter().zip(&targets) {
            same!(answer["body"], **target, speech);
        }
        let log = server.log();
        same!(log.requests.len(), REQUESTS, speech);
        same!(log.most_in_flight, SLOTS, speech);
        same!(log.connections.len(), if speech.shares() { 1 } else { SLOTS }, speech);
    }
    Ok(())
}

/// Three origins that one host believes.
async fn three(speech: Speech) -> Result<[Server; 3]> {
    let authority = crate::tls::Authority::new()?;
    let start = async || Server::vouched_for(&authority, speech, |_| ok("")).await;
    Ok([start().await?, start().await?, start().await?])
}

/// These figures of many.
fn figures<const N: usize>(stats: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| stats[name].as_u64().unwrap_or(u64::MAX))
}
