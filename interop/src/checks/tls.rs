//! TLS against OpenSSL, as nginx and haproxy speak it.

use anyhow::{Result, ensure};
use serde_json::json;
use urlpool_conformance::{Client, Rig};
use urlpool_host::{Host, Roots, Tls};

use crate::certificates::{Authority, Identity};
use crate::check::checks;
use crate::need::Need;
use crate::nginx::{Nginx, Setup};

checks! { "tls";
    [Need::Nginx] one_handshake_serves_many_requests;
    [Need::Nginx] the_second_connection_resumes_the_session_of_the_first;
    [Need::Nginx] the_second_connection_resumes_the_session_of_the_first_in_tls_1_2;
    [Need::Nginx] a_server_of_tls_1_2_alone_is_served;
    [Need::Nginx] a_server_of_tls_1_3_alone_is_served;
    [Need::Nginx] an_older_tls_is_refused;
    [Need::Nginx] an_expired_certificate_is_refused_before_anything_is_sent;
    [Need::Nginx] a_certificate_for_another_name_is_refused_before_anything_is_sent;
    [Need::Nginx] a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent;
    [Need::Nginx] a_client_certificate_is_shown_to_a_server_that_asks_for_one;
    [Need::Nginx] a_client_certificate_of_an_unknown_authority_is_refused_by_nginx;
    [Need::Nginx] without_a_client_certificate_the_refusal_of_nginx_is_delivered;
    [Need::Nginx] clear_text_to_a_tls_port_gets_the_refusal_of_nginx;
    [Need::Nginx] tls_to_a_port_of_clear_text_is_a_tls_error;
}

const HELLO: &str = r#"location / { return 200 "hello\n"; }"#;

async fn trusting(authority: &Authority, rig: &Rig) -> Result<Client> {
    let host = Host::builder().add_roots_pem(authority.pem().as_bytes())?.build()?;
    rig.client_of(&host).await
}

async fn one_handshake_serves_many_requests(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::tls(&authority.issue("127.0.0.1")?, &format!("ssl_protocols TLSv1.2 TLSv1.3; {HELLO}")).await?;
    let mut client = trusting(&authority, rig).await?;
    for _ in 0..10 {
        ensure!(client.get(nginx.url("/")).await?["body"] == "hello\n");
    }
    let seen = nginx.seen(10).await?;
    ensure!(seen.per_connection() == [10], "{seen:?}");
    ensure!(seen.0.iter().all(|line| line.tls == "TLSv1.3" && line.protocol == "HTTP/1.1"), "{seen:?}");
    Ok(())
}

async fn the_second_connection_resumes_the_session_of_the_first(rig: &Rig) -> Result<()> {
    resumes("TLSv1.3", rig).await
}

async fn the_second_connection_resumes_the_session_of_the_first_in_tls_1_2(rig: &Rig) -> Result<()> {
    resumes("TLSv1.2", rig).await
}

async fn resumes(version: &str, rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let server = format!("ssl_protocols {version}; ssl_session_cache shared:tls:1m; keepalive_requests 1; {HELLO}");
    let nginx = Nginx::tls(&authority.issue("127.0.0.1")?, &server).await?;
    let mut client = trusting(&authority, rig).await?;
    for _ in 0..3 {
        client.get(nginx.url("/")).await?;
    }
    let seen = nginx.seen(3).await?;
    ensure!(seen.per_connection() == [1, 1, 1], "{seen:?}");
    ensure!(seen.0.iter().all(|line| line.tls == version), "{seen:?}");
    let resumed: Vec<_> = seen.0.iter().map(|line| line.resumed).collect();
    ensure!(resumed == [false, true, true]);
    Ok(())
}

async fn a_server_of_tls_1_2_alone_is_served(rig: &Rig) -> Result<()> {
    served_by("TLSv1.2", rig).await
}

async fn a_server_of_tls_1_3_alone_is_served(rig: &Rig) -> Result<()> {
    served_by("TLSv1.3", rig).await
}

async fn served_by(version: &str, rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::tls(&authority.issue("localhost")?, &format!("ssl_protocols {version}; {HELLO}")).await?;
    let mut client = trusting(&authority, rig).await?;
    client.get(nginx.url_at("localhost", "/")).await?;
    let answer = client.send(json!({"method": "POST", "url": nginx.url_at("localhost", "/"), "body": "four"})).await?;
    ensure!(answer["body"] == "hello\n");
    let seen = nginx.seen(2).await?;
    ensure!(seen.per_connection() == [2], "{seen:?}");
    ensure!(seen.0.iter().all(|line| line.tls == version), "{seen:?}");
    Ok(())
}

async fn an_older_tls_is_refused(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    // OpenSSL 3 has it only below its default level of security.
    let server = format!("ssl_protocols TLSv1.1; ssl_ciphers DEFAULT:@SECLEVEL=0; {HELLO}");
    let nginx = Nginx::tls(&authority.issue("127.0.0.1")?, &server).await?;
    let mut client = trusting(&authority, rig).await?;
    let answer = client.op(json!({"op": "send", "url": nginx.url("/"), "retry": "never"})).await;
    let code = answer["error"]["code"].as_str().unwrap_or_default();
    ensure!(["TLS-protocol-error", "TLS-alert-received"].contains(&code), "{answer}");
    ensure!(nginx.seen_so_far()?.0.is_empty());
    Ok(())
}

async fn an_expired_certificate_is_refused_before_anything_is_sent(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    refuses(&authority.issue_expired("127.0.0.1")?, &authority, rig).await
}

async fn a_certificate_for_another_name_is_refused_before_anything_is_sent(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    refuses(&authority.issue("b.test")?, &authority, rig).await
}

async fn a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent(rig: &Rig) -> Result<()> {
    refuses(&Authority::new()?.issue("127.0.0.1")?, &Authority::new()?, rig).await
}

async fn refuses(identity: &Identity, trusted: &Authority, rig: &Rig) -> Result<()> {
    let nginx = Nginx::tls(identity, HELLO).await?;
    let mut client = trusting(trusted, rig).await?;
    let answer = client.op(json!({"op": "send", "url": nginx.url("/")})).await;
    ensure!(answer["ok"] == false && answer["error"]["code"] == "TLS-certificate-error", "{answer}");
    // Repeating cannot mend it.
    ensure!(answer["error"]["history"].as_array().is_some_and(Vec::is_empty), "{answer}");
    // nginx hears of no request, not even of a bad one.
    ensure!(nginx.seen_so_far()?.0.is_empty(), "{:?}", nginx.seen_so_far()?);
    ensure!(client.host().await?["live"] == 0);
    Ok(())
}

async fn asking_for_a_certificate(authority: &Authority) -> Result<Nginx> {
    Nginx::start(Setup {
        server: "ssl_client_certificate clients.pem; ssl_verify_client on; \
                 location / { return 200 $ssl_client_verify; }",
        identity: Some(&authority.issue("127.0.0.1")?),
        files: &[("clients.pem", &authority.pem())],
        ..Setup::default()
    })
    .await
}

async fn showing(identity: &Identity, trusted: &Authority, rig: &Rig) -> Result<Client> {
    let tls = Tls::builder()
        .roots(Roots::Only)
        .add_roots_pem(trusted.pem().as_bytes())?
        .identity_pem(identity.certificate.as_bytes(), identity.key.as_bytes())?
        .build()?;
    rig.client_with(|host| host.tls(tls)).await
}

async fn a_client_certificate_is_shown_to_a_server_that_asks_for_one(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = asking_for_a_certificate(&authority).await?;
    let mut client = showing(&authority.issue("a.test")?, &authority, rig).await?;
    for _ in 0..3 {
        let answer = client.get(nginx.url("/")).await?;
        ensure!(answer["body"] == "SUCCESS", "{answer}");
    }
    let seen = nginx.seen(3).await?;
    ensure!(seen.per_connection() == [3], "{seen:?}");
    Ok(())
}

async fn a_client_certificate_of_an_unknown_authority_is_refused_by_nginx(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = asking_for_a_certificate(&authority).await?;
    let mut client = showing(&Authority::new()?.issue("a.test")?, &authority, rig).await?;
    let answer = client.get(nginx.url("/")).await?;
    ensure!(answer["status"] == 400, "{answer}");
    ensure!(answer["body"].as_str().is_some_and(|body| body.contains("SSL certificate error")), "{answer}");
    Ok(())
}

async fn without_a_client_certificate_the_refusal_of_nginx_is_delivered(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = asking_for_a_certificate(&authority).await?;
    let mut client = trusting(&authority, rig).await?;
    let answer = client.get(nginx.url("/")).await?;
    ensure!(answer["status"] == 400, "{answer}");
    ensure!(answer["body"].as_str().is_some_and(|body| body.contains("No required SSL certificate")), "{answer}");
    let answers = nginx.seen(1).await?.answers();
    ensure!(answers == ["GET 400"], "{answers:?}");
    Ok(())
}

async fn clear_text_to_a_tls_port_gets_the_refusal_of_nginx(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::tls(&authority.issue("127.0.0.1")?, HELLO).await?;
    let mut client = rig.client().await?;
    let answer = client.get(nginx.url("/").replacen("https", "http", 1)).await?;
    ensure!(answer["status"] == 400, "{answer}");
    Ok(())
}

async fn tls_to_a_port_of_clear_text_is_a_tls_error(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::plain(HELLO).await?;
    let mut client = trusting(&authority, rig).await?;
    let url = nginx.url("/").replacen("http", "https", 1);
    let answer = client.op(json!({"op": "send", "url": url, "retry": "never"})).await;
    ensure!(answer["ok"] == false && answer["error"]["code"] == "TLS-protocol-error", "{answer}");
    Ok(())
}
