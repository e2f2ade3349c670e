//! From flags to the options of a pool, to requests and to a host; everything that can be wrong before a connection.
//!
//! Longer than most files: a third of it are tests.

use crate::{
    args::{
        ConnectionArgs, ContentArgs, GuestHostArgs, HostArgs, PoolArgs, RootsArg, SendArgs, TransportArg, VersionsArg,
    },
    form::field,
};
use anyhow::{Context as _, Result, bail};
use std::{io::Read as _, path::Path, sync::Arc};
use urlpool_host::{DEFAULT_CONNECTIONS, Egress, Host, HostBuilder, Overrides, Proxies, Roots, System, Tls, Versions};
use urlpool_script::{
    AtLimit, Base64, Options, Redirect, RedirectRules, Request, Retry, RetryRules, Timeouts, Transport, WhenFull,
};

/// The settings of the pool. All policies stand there, and none on a request.
pub(crate) fn options(args: &SendArgs) -> Options {
    let PoolArgs { slots, queue, no_block, stream, preload, max_body, max_ratio, no_decode, seed } = &args.pool;
    // What goes straight into a file, or is taken as it was sent, is never collected first.
    let streamed = *stream || args.output.raw || args.output.output.is_some();
    Options {
        url: args.base.clone(),
        slots: slots.map(|slots| slots.0),
        when_full: no_block.then_some(WhenFull::Refuse),
        queue: queue.map(|limit| limit.0),
        origins: None,
        headers: Vec::new(),
        remove_headers: Vec::new(),
        credentials: Vec::new(),
        trace_context: None,
        retry: retry(args),
        redirect: redirect(args),
        timeouts: Some(timeouts(args)),
        decode: no_decode.then_some(false),
        preload: match preload {
            Some(bytes) => Some(Some(*bytes)),
            None => streamed.then_some(None),
        },
        max_body: max_body.map(|limit| limit.0),
        max_ratio: max_ratio.map(|limit| limit.0),
        seed: *seed,
    }
}

fn retry(args: &SendArgs) -> Option<Retry> {
    let flags = &args.retry;
    if flags.no_retries {
        return Some(Retry::Never);
    }
    let methods = flags.retry_methods.as_ref().map(|methods| match methods.as_slice() {
        [any] if any == "any" => None,
        methods => Some(methods.to_vec()),
    });
    Some(Retry::Rules(Box::new(RetryRules {
        limit: flags.retries.map(|limit| limit.0),
        connect: flags.retry_connect.map(|limit| limit.0),
        read: flags.retry_read.map(|limit| limit.0),
        status: flags.retry_status.map(|limit| limit.0),
        other: flags.retry_other.map(|limit| limit.0),
        methods,
        statuses: flags.retry_on.clone(),
        backoff: flags.backoff,
        ceiling: flags.backoff_max,
        jitter: flags.jitter,
        retry_after: match flags.no_retry_after {
            true => Some(None),
            false => flags.retry_after_max.map(Some),
        },
        at_limit: flags.raise_status.then_some(AtLimit::Fail),
    })))
}

fn redirect(args: &SendArgs) -> Option<Redirect> {
    let flags = &args.redirect;
    if flags.no_redirects {
        return Some(Redirect::Never);
    }
    let names = &flags.strip_header;
    Some(Redirect::Rules(RedirectRules {
        limit: flags.redirects,
        private_headers: (!names.is_empty()).then(|| names.clone()),
        downgrade: None,
        https_only: flags.https_only.then_some(true),
        at_limit: None,
    }))
}

fn timeouts(args: &SendArgs) -> Timeouts {
    let flags = &args.timeouts;
    Timeouts {
        slot: flags.timeout_slot.map(|limit| limit.0),
        connect: flags.timeout_connect.map(|limit| limit.0),
        write: flags.timeout_write.map(|limit| limit.0),
        first_byte: flags.timeout_first_byte.map(|limit| limit.0),
        between_bytes: flags.timeout_between_bytes.map(|limit| limit.0),
        total: flags.timeout.map(|limit| limit.0),
    }
}

/// One request for each URL.
///
/// # Errors
///
/// One line that names the flag and what is wrong with it.
pub(crate) fn requests(args: &SendArgs) -> Result<Vec<Request>> {
    if args.output.repeat == 0 || args.output.concurrency == 0 {
        bail!("--repeat, --concurrency: at least 1");
    }
    let sent = args.urls.len().saturating_mul(args.output.repeat);
    if sent > 1 && reads_stdin(&args.content) {
        bail!("standard input: it can be sent once, not {sent} times");
    }
    if sent > 1 && args.output.output.as_deref().is_some_and(keeps_one) {
        bail!("-o: one file cannot hold the bodies of {sent} requests");
    }
    let template = template(&args.content, args.method.as_deref())?;
    Ok(args.urls.iter().map(|url| Request { url: url.clone(), ..template.clone() }).collect())
}

/// Whether a second body would overwrite the first.
fn keeps_one(output: &Path) -> bool {
    output != Path::new("-") && output != Path::new("/dev/null")
}

fn reads_stdin(content: &ContentArgs) -> bool {
    // -d and --json-body read it once into memory; what is streamed is gone after the first request.
    let streamed = |field: &String| field.split_once('=').is_some_and(|(_, v)| is_stdin(v));
    content.upload.as_deref() == Some(Path::new("-")) || content.form.iter().any(streamed)
}

fn is_stdin(form_value: &str) -> bool {
    form_value == "@-" || form_value.starts_with("@-;")
}

fn template(content: &ContentArgs, method: Option<&str>) -> Result<Request> {
    let mut request = Request::default();
    for header in &content.headers {
        match header.split_once(':') {
            Some((name, value)) if value.trim().is_empty() => {
                request.remove_headers.push(name.trim().into());
            }
            Some((name, value)) => {
                // Spaces and tabs alone: a line break must reach the check that refuses it.
                let value = value.trim_matches([' ', '\t']);
                request.headers.push((name.trim_end_matches([' ', '\t']).into(), value.into()));
            }
            None => match header.strip_suffix(';') {
                Some(name) => request.headers.push((name.into(), String::new())),
                None => bail!("-H {header:?}: expected `Name: value`"),
            },
        }
    }
    for pair in &content.query {
        let (name, value) = pair.split_once('=').with_context(|| format!("--query {pair:?}: expected `name=value`"))?;
        request.query.push((name.into(), value.into()));
    }
    if let Some(user) = &content.user {
        let (user, password) = user.split_once(':').context("-u: expected `user:password`")?;
        request.basic = Some((user.into(), password.into()));
    }
    request.bearer = content.bearer.clone();

    let mut implied = "GET";
    let mut media_type = None;
    if !content.data.is_empty() {
        let parts = content.data.iter().map(|data| bytes("-d", data)).collect::<Result<Vec<_>>>()?;
        request.body_base64 = Some(Base64(parts.join(&b'&')));
        (implied, media_type) = ("POST", Some("application/x-www-form-urlencoded"));
    }
    if let Some(json) = &content.json_body {
        let json = bytes("--json-body", json)?;
        // Checked but not rewritten: the server gets the numbers and the spaces as they were given.
        serde_json::from_slice::<serde::de::IgnoredAny>(&json).context("--json-body: not JSON")?;
        request.body_base64 = Some(Base64(json));
        (implied, media_type) = ("POST", Some("application/json"));
    }
    if let Some(path) = &content.upload {
        readable("-T", path)?;
        request.body_file = Some(path.clone());
        implied = "PUT";
    }
    if !content.form.is_empty() {
        let fields = content.form.iter().map(|text| field(text)).collect::<Result<_>>()?;
        request.form = Some(fields);
        request.multipart = true;
        request.boundary = content.boundary.clone();
        implied = "POST";
    }
    let said = |(name, _): &(String, String)| name.eq_ignore_ascii_case("content-type");
    let removed = |name: &String| name.eq_ignore_ascii_case("content-type");
    let chosen = request.headers.iter().any(said) || request.remove_headers.iter().any(removed);
    if let Some(media_type) = media_type.filter(|_| !chosen) {
        request.headers.push(("Content-Type".into(), media_type.into()));
    }
    request.method = method.unwrap_or(implied).into();
    Ok(request)
}

/// The bytes that a flag means: its text, or those of a file.
fn bytes(flag: &str, text: &str) -> Result<Vec<u8>> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.into()) };
    if path == "-" {
        let mut all = Vec::new();
        std::io::stdin().read_to_end(&mut all).with_context(|| format!("{flag} @-"))?;
        return Ok(all);
    }
    std::fs::read(path).with_context(|| format!("{flag} @{path}"))
}

/// Checks that a file that will be streamed can be read.
pub(crate) fn readable(flag: &str, path: &Path) -> Result<()> {
    if path == Path::new("-") {
        return Ok(());
    }
    let named = || format!("{flag} {}", path.display());
    let file = std::fs::File::open(path).with_context(named)?;
    if file.metadata().with_context(named)?.is_dir() {
        bail!("{}: is a directory", named());
    }
    Ok(())
}

/// The host that the flags describe.
///
/// # Errors
///
/// One line that names the flag and what is wrong with it.
pub(crate) fn transport(args: &HostArgs) -> Result<Transport> {
    if args.transport == TransportArg::Stock {
        if let Some(flag) = host_flag(args) {
            bail!("{flag}: wasmtime's own handler has no such setting; use --transport pooled");
        }
        return Ok(Transport::Stock);
    }
    let preset = if args.public_only { Egress::untrusted() } else { Egress::open() };
    Ok(Transport::Pooled(host(&args.connection, preset)?.build()?))
}

/// The host that the flags describe, for a component that asks for what it likes.
///
/// # Errors
///
/// One line that names the flag and what is wrong with it.
pub(crate) fn guest_host(args: &GuestHostArgs) -> Result<HostBuilder> {
    let preset = if args.allow_private { Egress::open() } else { Egress::untrusted() };
    host(&args.connection, preset)
}

fn host(args: &ConnectionArgs, preset: Egress) -> Result<HostBuilder> {
    let mut builder = Host::builder();
    if let Some(limit) = args.connections {
        // The total is a second limit; the one that is asked for must not be cut by it.
        let total = DEFAULT_CONNECTIONS.max(limit);
        builder = builder.connections_per_origin(limit).connections(total);
    }
    if let Some(timeout) = args.idle_timeout {
        builder = builder.idle_timeout(timeout);
    }
    if let Some(age) = args.max_age {
        builder = builder.max_age(age.0);
    }
    if let Some(uses) = args.max_uses {
        builder = builder.max_uses(uses.0);
    }
    if let Some(versions) = args.http {
        builder = builder.versions(match versions {
            VersionsArg::Auto => Versions::Negotiated,
            VersionsArg::Http1 => Versions::Http1,
            VersionsArg::Http2 => Versions::Http2,
        });
    }
    if !args.resolve.is_empty() {
        let mut overrides = Overrides::new(Arc::new(System));
        for text in &args.resolve {
            overrides.add(text).context("--resolve")?;
        }
        builder = builder.resolver(Arc::new(overrides));
    }
    Ok(builder.tls(tls(args)?).proxies(proxies(args)?).egress(egress(args, preset)?))
}

/// The first flag that only our own host understands.
fn host_flag(args: &HostArgs) -> Option<&'static str> {
    let public_only = args.public_only;
    let args = &args.connection;
    let given = [
        ("--connections", args.connections.is_some()),
        ("--idle-timeout", args.idle_timeout.is_some()),
        ("--max-age", args.max_age.is_some()),
        ("--max-uses", args.max_uses.is_some()),
        ("--http", args.http.is_some()),
        ("--cacert", args.cacert.is_some()),
        ("--roots", args.roots.is_some()),
        ("--cert", args.cert.is_some()),
        ("--proxy", args.proxy.is_some()),
        ("--allow", !args.allow.is_empty()),
        ("--deny", !args.deny.is_empty()),
        ("--public-only", public_only),
        ("--resolve", !args.resolve.is_empty()),
    ];
    given.iter().find(|(_, given)| *given).map(|(flag, _)| *flag)
}

fn tls(args: &ConnectionArgs) -> Result<Tls> {
    let read = |flag: &str, path: &Path| {
        let named = format!("{flag} {}", path.display());
        std::fs::read(path).with_context(|| named.clone()).map(|pem| (pem, named))
    };
    let mut tls = Tls::builder().roots(match args.roots {
        None | Some(RootsArg::Bundled) => Roots::Bundled,
        Some(RootsArg::Native) => Roots::Native,
        Some(RootsArg::Both) => Roots::BundledAndNative,
        Some(RootsArg::None) => Roots::Only,
    });
    if let Some(path) = &args.cacert {
        let (pem, named) = read("--cacert", path)?;
        tls = tls.add_roots_pem(&pem).context(named)?;
    }
    if let (Some(chain), Some(key)) = (&args.cert, &args.key) {
        let (chain, named) = read("--cert", chain)?;
        let (key, _) = read("--key", key)?;
        tls = tls.identity_pem(&chain, &key).context(named)?;
    }
    tls.build().context("--roots")
}

fn proxies(args: &ConnectionArgs) -> Result<Proxies> {
    let proxies = match args.proxy.as_deref() {
        None => Proxies::new(),
        Some("env") => Proxies::from_env().context("--proxy env")?,
        Some(url) => Proxies::new().all(url).context("--proxy")?,
    };
    Ok(proxies.except(args.no_proxy.as_deref().unwrap_or_default()))
}

fn egress(args: &ConnectionArgs, preset: Egress) -> Result<Egress> {
    let mut egress = preset;
    for rule in &args.allow {
        egress = egress.allow(rule).context("--allow")?;
    }
    for rule in &args.deny {
        egress = egress.deny(rule).context("--deny")?;
    }
    Ok(egress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;

    fn parse(line: &[&str]) -> Box<SendArgs> {
        let line = ["urlpool", "send"].iter().chain(line);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Send(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn request(line: &[&str]) -> Request {
        requests(&parse(line)).unwrap().remove(0)
    }

    fn refused(line: &[&str]) -> String {
        format!("{:#}", requests(&parse(line)).unwrap_err())
    }

    #[test]
    fn the_body_implies_the_method() {
        assert_eq!(request(&["u"]).method, "GET");
        assert_eq!(request(&["u", "-d", "a"]).method, "POST");
        assert_eq!(request(&["u", "-F", "a=b"]).method, "POST");
        assert_eq!(request(&["u", "-d", "a", "-X", "PATCH"]).method, "PATCH");
    }

    #[test]
    fn data_is_joined_and_typed_as_a_form_unless_said_otherwise() {
        let form = request(&["u", "-d", "a=1", "-d", "b=2"]);
        assert_eq!(form.body_base64.unwrap().0, b"a=1&b=2");
        assert_eq!(form.headers[0].1, "application/x-www-form-urlencoded");
        let text = request(&["u", "-d", "a", "-H", "content-type: text/plain"]);
        assert_eq!(text.headers, [("content-type".into(), "text/plain".into())]);
        assert!(request(&["u", "-d", "a", "-H", "Content-Type:"]).headers.is_empty());
    }

    #[test]
    fn json_is_checked_but_sent_as_it_was_given() {
        let json = request(&["u", "--json-body", "{ \"n\": 1.10 }"]);
        assert_eq!(json.body_base64.unwrap().0, b"{ \"n\": 1.10 }");
        assert!(refused(&["u", "--json-body", "{"]).contains("--json-body"));
    }

    #[test]
    fn bad_flags_are_named() {
        assert!(refused(&["u", "-H", "no-colon"]).contains("no-colon"));
        assert!(refused(&["u", "-T", "/does/not/exist"]).contains("/does/not/exist"));
        assert!(refused(&["u", "-d", "@/does/not/exist"]).contains("/does/not/exist"));
        assert!(refused(&["u", "-F", "f=@/does/not/exist"]).contains("/does/not/exist"));
        assert!(refused(&["u", "--query", "q"]).contains("--query"));
        assert!(refused(&["u", "u", "-o", "f"]).contains("-o"));
        assert!(refused(&["u", "--repeat", "2", "-T", "-"]).contains("standard input"));
    }

    #[test]
    fn a_line_break_in_a_header_is_left_for_the_component_to_refuse() {
        let request = request(&["u", "-H", "a: b\r\nc: d"]);
        assert_eq!(request.headers, [("a".into(), "b\r\nc: d".into())]);
    }

    #[test]
    fn a_file_of_output_streams_unless_a_preload_is_asked_for() {
        assert_eq!(options(&parse(&["u"])).preload, None);
        assert_eq!(options(&parse(&["u", "-o", "f"])).preload, Some(None));
        assert_eq!(options(&parse(&["u", "-o", "f", "--preload", "9"])).preload, Some(Some(9)));
        assert_eq!(options(&parse(&["u", "--raw"])).preload, Some(None));
    }

    #[test]
    fn the_stock_handler_takes_no_settings_of_ours() {
        let args = parse(&["u", "--transport", "stock", "--connections", "1"]);
        assert!(transport(&args.host).unwrap_err().to_string().contains("--connections"));
    }
}
