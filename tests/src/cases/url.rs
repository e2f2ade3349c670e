//! What a URL becomes on the wire, and which URLs are refused.

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::net::TcpListener;

use crate::case::{cases, same, stock};
use crate::reply::ok;
use crate::rig::Rig;
use crate::server::Server;

cases! { "url";
    "U1" userinfo_becomes_basic_credentials_and_is_shown_nowhere;
    "U2" basic_and_bearer_replace_it;
    "U3" an_ipv6_host_keeps_its_brackets;
    "U4" bad_ports_are_refused;
    "U5" bad_hosts_are_refused;
    "U6" line_breaks_never_reach_the_wire;
    "U7" dot_segments_are_removed;
    "U8" an_empty_path_is_a_slash;
    "U9" a_host_beyond_ascii_is_sent_as_its_a_label, not on stock: stock::NO_SETTINGS;
    "U10" a_url_without_a_scheme_says_so;
    "U11" connect_and_nonsense_methods_are_refused;
    "U12" a_backslash_hides_no_host;
    "U13" every_way_to_write_an_address_is_that_address;
    "U14" other_schemes_are_refused;
    "U15" what_a_path_or_query_cannot_hold_is_encoded;
    "U16" a_final_dot_is_part_of_a_name, not on stock: stock::NO_SETTINGS;
    "U17" empty_userinfo_makes_no_credentials;
    "U18" an_own_authorization_wins_over_userinfo;
    "U19" space_around_a_url_is_no_part_of_it;
}

async fn userinfo_becomes_basic_credentials_and_is_shown_nowhere(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for (userinfo, expected) in [
        ("user:pass", "dXNlcjpwYXNz"),
        ("us%65r:p%40ss", "dXNlcjpwQHNz"),
        ("user", "dXNlcjo="),
        ("user:p@ss", "dXNlcjpwQHNz"),
        ("%C3%BC:%E2%82%AC", "w7w64oKs"),
    ] {
        let answer = client.get(format!("http://{userinfo}@127.0.0.1:{}/x", server.port())).await?;
        let requests = server.requests();
        let request = &requests[requests.len() - 1];
        same!(request.all("authorization"), [format!("Basic {expected}")], userinfo);
        same!(request.target, "/x", userinfo);
        same!(request.header("host"), Some(format!("127.0.0.1:{}", server.port()).as_str()), userinfo);
        same!(answer["url"], server.url("/x"), userinfo);
    }
    Ok(())
}

async fn basic_and_bearer_replace_it(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    let url = format!("http://user:pass@127.0.0.1:{}/", server.port());
    client.send(json!({"url": url, "basic": ["a", "b:c"]})).await?;
    client.send(json!({"url": url, "bearer": "token"})).await?;
    same!(server.request(0)?.all("authorization"), ["Basic YTpiOmM="]);
    same!(server.request(1)?.all("authorization"), ["Bearer token"]);
    client.refused("invalid-request", json!({"url": url, "basic": ["a:b", "c"]})).await?;
    Ok(())
}

async fn an_ipv6_host_keeps_its_brackets(rig: &Rig) -> Result<()> {
    // Not every machine has the loopback address of IPv6.
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return Ok(()) };
    let server = Server::listening(listener, None, |_| ok("six"))?;
    same!(rig.client().await?.get(server.url_at("[::1]", "/")).await?["body"], "six");
    same!(server.request(0)?.header("host"), Some(format!("[::1]:{}", server.port()).as_str()));
    Ok(())
}

async fn bad_ports_are_refused(rig: &Rig) -> Result<()> {
    let mut client = rig.client().await?;
    for port in ["0", "65536", "99999999999", "x", "-1", "1x", "1 "] {
        client.refused("invalid-request", json!({"url": format!("http://a.test:{port}/")})).await?;
    }
    let server = Server::replies([ok("")]).await?;
    client.get(format!("http://127.0.0.1:000{}/", server.port())).await?;
    Ok(())
}

async fn bad_hosts_are_refused(rig: &Rig) -> Result<()> {
    let mut client = rig.client().await?;
    for host in ["", "a\u{0}b", "a b", "a\r\nb", "[::1", "::1", "a%00b", "a<b", "xn--a", "[::1%25lo]", "1.2.3.4.5"] {
        let url = format!("http://{host}/");
        let error = client.refused("invalid-request", json!({"url": url})).await?;
        ensure!(error["message"].as_str().is_some_and(|text| !text.contains(['\r', '\n', '\0'])), "{error}");
    }
    same!(client.pool().await?["attempts"], 0);
    Ok(())
}

async fn line_breaks_never_reach_the_wire(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for path in ["/a\r\nX-Evil: 1", "/a\nb", "/?a\r\nb", "/a\tb", "/a\0b"] {
        let answer = client.op(json!({"op": "send", "url": server.url(path)})).await;
        ensure!(answer["ok"] == true || answer["error"]["kind"] == "invalid-request", "{path:?}: {answer}");
    }
    client.send(json!({"url": server.url("/"), "query": [["a\r\nb", "c\r\nd"]]})).await?;
    for request in server.requests() {
        same!(request.header("x-evil"), None);
        ensure!(!request.target.contains(['\r', '\n', '\t', '\0', ' ']), "{:?}", request.target);
    }
    Ok(())
}

async fn dot_segments_are_removed(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for (path, expected) in [("/a/../b/./c", "/b/c"), ("/%2e%2E/x", "/x"), ("/a//b", "/a//b"), ("/../..", "/")] {
        client.get(server.url(path)).await?;
        same!(server.requests().last().map(|request| request.target.clone()), Some(expected.to_owned()), path);
    }
    Ok(())
}

async fn an_empty_path_is_a_slash(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for (path, expected) in [("", "/"), ("?a=1", "/?a=1"), ("#x", "/"), ("/?", "/?")] {
        client.get(server.url(path)).await?;
        same!(server.requests().last().map(|request| request.target.clone()), Some(expected.to_owned()), path);
    }
    Ok(())
}

async fn a_host_beyond_ascii_is_sent_as_its_a_label(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client_resolving("xn--bcher-kva.test", &server).await?;
    let answer = client.get("http://BÜCHER.test/".to_owned()).await?;
    same!(server.request(0)?.header("host"), Some("xn--bcher-kva.test"));
    same!(answer["url"], "http://xn--bcher-kva.test/");
    Ok(())
}

async fn a_url_without_a_scheme_says_so(rig: &Rig) -> Result<()> {
    let mut client = rig.client().await?;
    for url in ["a.test/x", "//a.test/x", "/x", "a.test:80/x"] {
        let error = client.refused("invalid-request", json!({"url": url})).await?;
        ensure!(error["message"].as_str().is_some_and(|text| text.contains("scheme")), "{url}: {error}");
    }
    Ok(())
}

async fn connect_and_nonsense_methods_are_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for method in ["CONNECT", "connect", "", "G ET", "GET\r\n", "(GET)", "GÉT"] {
        client.refused("invalid-request", json!({"method": method, "url": server.url("/")})).await?;
    }
    same!(server.connections(), 0);
    client.send(json!({"method": "M-SEARCH", "url": server.url("/")})).await?;
    same!(server.request(0)?.method, "M-SEARCH");
    Ok(())
}

async fn a_backslash_hides_no_host(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    // The standard of URLs reads it as a slash; others take what is before the @ for userinfo, and go to b.test.
    for (rest, expected) in
        [("\\@b.test/", "/@b.test/"), ("/\\b.test/x", "//b.test/x"), ("\\x", "/x"), ("?\\@b.test/", "/?%5C@b.test/")]
    {
        client.get(format!("http://127.0.0.1:{}{rest}", server.port())).await?;
        let requests = server.requests();
        let request = &requests[requests.len() - 1];
        same!(request.target, expected, rest);
        same!(request.header("authorization"), None, rest);
        same!(request.header("host"), Some(format!("127.0.0.1:{}", server.port()).as_str()), rest);
    }
    Ok(())
}

async fn every_way_to_write_an_address_is_that_address(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    let expected = format!("127.0.0.1:{}", server.port());
    let ways = [
        "0x7f.1",
        "2130706433",
        "017700000001",
        "127.1",
        "%31%32%37.0.0.1",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "127.0.0.1.",
    ];
    for host in ways {
        client.get(format!("http://{host}:{}/", server.port())).await?;
        same!(
            server.requests().last().and_then(|request| request.header("host").map(str::to_owned)),
            Some(expected.clone()),
            host
        );
    }
    same!(client.pool().await?["origins"], 1);
    for host in ["256.0.0.1", "127.0.0.0x100", "4294967296", "0x100000000", "1.2.3.09"] {
        client.refused("invalid-request", json!({"url": format!("http://{host}/")})).await?;
    }
    Ok(())
}

async fn other_schemes_are_refused(rig: &Rig) -> Result<()> {
    let mut client = rig.client().await?;
    for url in [
        "ftp://a.test/",
        "file:///etc/passwd",
        "ws://a.test/",
        "data:,x",
        "javascript:alert(1)",
        "urn:a:b",
        "mailto:a@a.test",
        "httpx://a.test/",
        "http+unix://a/",
    ] {
        let error = client.refused("invalid-request", json!({"url": url})).await?;
        ensure!(error["message"].as_str().is_some_and(|text| text.contains("scheme")), "{url}: {error}");
    }
    same!(client.pool().await?["attempts"], 0);
    Ok(())
}

async fn what_a_path_or_query_cannot_hold_is_encoded(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for (path, expected) in [
        ("/a b\"<>`{}^|", "/a%20b%22%3C%3E%60%7B%7D%5E%7C"),
        ("/\u{fc}/\u{1f600}", "/%C3%BC/%F0%9F%98%80"),
        ("/?a b\"<>'", "/?a%20b%22%3C%3E%27"),
        ("/?\u{fc}", "/?%C3%BC"),
        ("/a;b,c:d@e!$&'()*+=~", "/a;b,c:d@e!$&'()*+=~"),
        ("/[x]", "/[x]"),
        ("/?a=b?c/d", "/?a=b?c/d"),
    ] {
        client.get(server.url(path)).await?;
        same!(server.requests().last().map(|request| request.target.clone()), Some(expected.to_owned()), path);
    }
    Ok(())
}

async fn a_final_dot_is_part_of_a_name(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client_resolving("a.test.", &server).await?;
    client.get("http://a.test./".to_owned()).await?;
    same!(server.request(0)?.header("host"), Some("a.test."));
    // The name without it is another one, which this resolver does not know.
    client.refused("connect", json!({"url": "http://a.test/", "retry": "never"})).await?;
    same!(client.pool().await?["origins"], 2);
    Ok(())
}

async fn empty_userinfo_makes_no_credentials(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for (userinfo, expected) in [("", None), (":", None), (":pw", Some("Basic OnB3"))] {
        client.get(format!("http://{userinfo}@127.0.0.1:{}/", server.port())).await?;
        let requests = server.requests();
        same!(requests[requests.len() - 1].header("authorization"), expected, userinfo);
    }
    Ok(())
}

async fn an_own_authorization_wins_over_userinfo(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let url = format!("http://user:pass@127.0.0.1:{}/", server.port());
    rig.client().await?.send(json!({"url": url, "headers": [["Authorization", "Own x"]]})).await?;
    same!(server.request(0)?.all("authorization"), ["Own x"]);
    Ok(())
}

async fn space_around_a_url_is_no_part_of_it(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let url = format!("  {} ", server.url("/x"));
    let mut client = rig.client().await?;
    let answer = client.get(url).await?;
    same!(server.request(0)?.target, "/x");
    same!(answer["url"], server.url("/x"));
    // Browsers drop line breaks and tabs as well; here they are refused, since nobody means them.
    for url in [format!("\t{}", server.url("/x")), format!("{}\r\n", server.url("/x"))] {
        client.refused("invalid-request", json!({"url": url})).await?;
    }
    Ok(())
}
