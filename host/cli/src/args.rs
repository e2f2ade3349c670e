//! The command line: every flag with its help.
//!
//! Longer than most files: it is one list, and the help is in its order.

use clap::{Args, Parser, Subcommand, ValueEnum, builder::styling};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use urlpool_script::{Extra, Jitter, parse_duration};

/// How help and errors are coloured, on a terminal.
const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Yellow.on_default().bold())
    .usage(styling::AnsiColor::Yellow.on_default().bold())
    .literal(styling::AnsiColor::Green.on_default())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// An HTTP client that is a WebAssembly component: pooled connections, retries, redirects, timeouts, forms and files.
#[derive(Debug, Parser)]
#[command(name = "urlpool", version, styles = STYLES, arg_required_else_help = true)]
#[command(after_help = "Examples:
  urlpool demo                                     see what it does, against a server of its own
  urlpool send http://127.0.0.1:8000/              print a page
  urlpool run app.wasm                             run a component over kept connections
  urlpool send --json --stats URL URL URL          what happened, as JSON
  echo '{\"op\":\"send\",\"url\":\"URL\"}' | urlpool script
                                                   sequences of operations, as JSON lines

Exit status: 0 when every request got a response, whatever its status; 1 when any failed; 2 for usage. `run` passes on
that of the component.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send requests and print their responses.
    Send(Box<SendArgs>),
    /// Do the operations of a script of JSON lines; docs/script.md describes them.
    Script(Box<ScriptArgs>),
    /// Run a command component; whatever it asks of wasi:http goes over kept connections.
    Run(Box<RunArgs>),
    /// Serve a handler component, all instances over the same kept connections.
    Serve(Box<ServeArgs>),
    /// Plug the client into a component that imports it.
    Compose(ComposeArgs),
    /// Show what the client does, against an embedded server.
    Demo,
    /// Write out the component that this program embeds.
    Component(ComponentArgs),
    /// Print the component's interface.
    Wit,
    /// Hold a component to the conformance suite, against servers of its own.
    #[cfg(feature = "conform")]
    Conform(ConformArgs),
}

/// Flags of `urlpool send`.
#[derive(Args, Debug)]
#[command(after_help = "Durations are 300ms, 5s, 2m, a number of seconds, or none for no limit.

Examples:
  urlpool send http://127.0.0.1:8000/ --query q=urllib3
  urlpool send URL -F title=Report -F 'file=@report.pdf;type=application/pdf'
  urlpool send URL -T backup.tar -o answer.txt --timeout-write 5s
  urlpool send URL --repeat 15 --stats -o /dev/null
  urlpool send URL --repeat 64 --concurrency 64 --slots 8 --json
  urlpool send --base http://127.0.0.1:8000/api/ users groups
  urlpool send URL --retries 5 --retry-on 502,503 --backoff 200ms -v")]
pub(crate) struct SendArgs {
    /// What to ask for; with --base, relative to it.
    #[arg(required = true, value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// Make the pool from this URL: one origin, relative targets.
    #[arg(long, value_name = "URL")]
    pub(crate) base: Option<String>,
    /// The method [default: GET; POST with -d, -F or --json-body; PUT with -T].
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub(crate) method: Option<String>,

    #[command(flatten)]
    pub(crate) content: ContentArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
    #[command(flatten)]
    pub(crate) retry: RetryArgs,
    #[command(flatten)]
    pub(crate) redirect: RedirectArgs,
    #[command(flatten)]
    pub(crate) timeouts: TimeoutArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
}

/// What a request says.
#[derive(Args, Debug)]
#[command(next_help_heading = "Request")]
pub(crate) struct ContentArgs {
    /// Add a header; `Name:` alone sends no such header, `Name;` an empty one.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// Append a pair to the query.
    #[arg(long, value_name = "K=V")]
    pub(crate) query: Vec<String>,
    /// Send this as the body; @file reads a file and @- the standard input; several are joined by `&`.
    #[arg(short = 'd', long = "data", value_name = "DATA", group = "body")]
    pub(crate) data: Vec<String>,
    /// Stream this file as the body; `-` is the standard input.
    #[arg(short = 'T', long = "upload-file", value_name = "FILE", group = "body")]
    pub(crate) upload: Option<PathBuf>,
    /// Send this JSON as the body; @file and @- as for -d.
    #[arg(long, value_name = "JSON", group = "body")]
    pub(crate) json_body: Option<String>,
    /// Send a multipart form; `name=@path[;type=TYPE][;filename=NAME]` streams a file.
    #[arg(short = 'F', long = "form", value_name = "NAME=VALUE", group = "body")]
    pub(crate) form: Vec<String>,
    /// The boundary of the form, instead of a random one.
    #[arg(long, value_name = "TEXT", requires = "form")]
    pub(crate) boundary: Option<String>,
    /// Send basic credentials.
    #[arg(short = 'u', long = "user", value_name = "USER:PASS", conflicts_with = "bearer")]
    pub(crate) user: Option<String>,
    /// Send a bearer token.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) bearer: Option<String>,
}

/// What is printed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Stream the body into a file, with a progress bar on a terminal; `-` is the standard output.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Take the body as the server sent it, not decoded.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Print one JSON object for each request, in their order.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the figures of pool and connections last, as JSON; on stderr unless --json is given.
    #[arg(long)]
    pub(crate) stats: bool,
    /// Show when each attempt was queued, sent and answered; on stderr, or in the objects of --json.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Tell on stderr what is done; secrets are not shown.
    #[arg(short = 'v', long)]
    pub(crate) verbose: bool,
    /// Send all of it this many times.
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    pub(crate) repeat: usize,
    /// Keep this many requests going at once, inside one instance of the component.
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    pub(crate) concurrency: usize,
}

/// The pool.
#[derive(Args, Debug)]
#[command(next_help_heading = "Pool")]
pub(crate) struct PoolArgs {
    /// Requests in flight to one origin, or none for no limit [default: 8].
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) slots: Option<Unlimited<u32>>,
    /// Requests that may wait for a slot, or none for no limit [default: none].
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) queue: Option<Unlimited<u32>>,
    /// Fail when all slots are taken, instead of waiting.
    #[arg(long)]
    pub(crate) no_block: bool,
    /// Deliver each response at its head and read its body as a stream.
    #[arg(long, conflicts_with = "preload")]
    pub(crate) stream: bool,
    /// Collect bodies up to this many bytes before their responses are delivered [default: 8388608].
    #[arg(long, value_name = "BYTES")]
    pub(crate) preload: Option<u64>,
    /// Fail when a decoded body has more bytes than this.
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_body: Option<Unlimited<u64>>,
    /// Fail when a body of more than 1 MiB decodes to more than so many times its size, or none [default: 200].
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) max_ratio: Option<Unlimited<u32>>,
    /// Neither ask for codings such as gzip nor undo them.
    #[arg(long)]
    pub(crate) no_decode: bool,
    /// Fix what is otherwise random: jitter and boundaries.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// Retries.
#[derive(Args, Debug)]
#[command(next_help_heading = "Retries")]
pub(crate) struct RetryArgs {
    /// Retries of one request in total [default: 3].
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) retries: Option<Unlimited<u32>>,
    /// Never send a request twice.
    #[arg(long, conflicts_with_all = ["retries", "retry_connect", "retry_read", "retry_status", "retry_other", "retry_on", "retry_methods", "backoff", "backoff_max", "jitter", "no_retry_after", "retry_after_max", "raise_status"])]
    pub(crate) no_retries: bool,
    /// Retries of attempts that never reached the server.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) retry_connect: Option<Unlimited<u32>>,
    /// Retries of attempts that failed after they may have been sent.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) retry_read: Option<Unlimited<u32>>,
    /// Retries caused by a status.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) retry_status: Option<Unlimited<u32>>,
    /// Retries of every other cause.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) retry_other: Option<Unlimited<u32>>,
    /// Statuses worth another attempt, such as 502,503 [default: none; 413, 429 and 503 with Retry-After].
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(100..1000))]
    pub(crate) retry_on: Option<Vec<u16>>,
    /// Methods that may be repeated once they may have been sent, or any [default: the idempotent ones].
    #[arg(long, value_name = "LIST|any", value_delimiter = ',', value_parser = token)]
    pub(crate) retry_methods: Option<Vec<String>>,
    /// The delay that doubles; the first retry does not wait [default: 100ms].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) backoff: Option<Duration>,
    /// What no delay exceeds [default: 10s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) backoff_max: Option<Duration>,
    /// How delays are spread; a duration adds up to so much [default: full].
    #[arg(long, value_name = "none|full|decorrelated|DURATION", value_parser = jitter)]
    pub(crate) jitter: Option<Jitter>,
    /// Ignore Retry-After.
    #[arg(long, conflicts_with = "retry_after_max")]
    pub(crate) no_retry_after: bool,
    /// The longest Retry-After that is waited for [default: 60s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) retry_after_max: Option<Duration>,
    /// Fail when a status is still bad after the last retry, instead of delivering it.
    #[arg(long)]
    pub(crate) raise_status: bool,
}

/// Redirects.
#[derive(Args, Debug)]
#[command(next_help_heading = "Redirects")]
pub(crate) struct RedirectArgs {
    /// Hops of one request [default: 10].
    #[arg(long, value_name = "N")]
    pub(crate) redirects: Option<u32>,
    /// Deliver redirects instead of following them.
    #[arg(long, conflicts_with_all = ["redirects", "strip_header", "https_only"])]
    pub(crate) no_redirects: bool,
    /// A further header that does not cross to another origin.
    #[arg(long, value_name = "NAME", value_parser = token)]
    pub(crate) strip_header: Vec<String>,
    /// Refuse hops whose target is not https.
    #[arg(long)]
    pub(crate) https_only: bool,
}

/// Timeouts.
#[derive(Args, Debug)]
#[command(next_help_heading = "Timeouts")]
pub(crate) struct TimeoutArgs {
    /// For all of a request: slots, attempts, hops, delays and the body [default: none].
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) timeout: Option<Unlimited<Duration>>,
    /// For a slot of the origin [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) timeout_slot: Option<Unlimited<Duration>>,
    /// For resolving, connecting and the TLS handshake [default: 10s].
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) timeout_connect: Option<Unlimited<Duration>>,
    /// For a pause in sending the body [default: 60s].
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) timeout_write: Option<Unlimited<Duration>>,
    /// For the head of the response [default: 60s].
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) timeout_first_byte: Option<Unlimited<Duration>>,
    /// For a pause in the body of the response [default: 60s].
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) timeout_between_bytes: Option<Unlimited<Duration>>,
}

/// The host behind the component of `send` and `script`, which asks for what the caller names.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connections")]
pub(crate) struct HostArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Reach public addresses alone, and those that an --allow names as an address or network.
    #[arg(long)]
    pub(crate) public_only: bool,
    /// Who carries the requests: urlpool's host, or wasmtime's own handler for comparison.
    #[arg(long, value_name = "pooled|stock", default_value = "pooled", hide_default_value = true)]
    pub(crate) transport: TransportArg,
}

/// The host behind a component of anybody's, which asks for what it likes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connections")]
pub(crate) struct GuestHostArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Reach addresses that are not public as well, such as those of the loopback and of private networks.
    #[arg(long)]
    pub(crate) allow_private: bool,
}

/// Connections, and where they may lead.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connections")]
pub(crate) struct ConnectionArgs {
    /// Connections to one origin [default: 32].
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<usize>,
    /// How long an unused connection is kept [default: 90s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) idle_timeout: Option<Duration>,
    /// How old a connection may become [default: none].
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) max_age: Option<Unlimited<Duration>>,
    /// How many requests one connection serves [default: none].
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) max_uses: Option<Unlimited<u64>>,
    /// Which HTTP is spoken: 2 where a TLS server agrees to it, 1.1 alone, or 2 alone, in clear text too [default: auto].
    #[arg(long, value_name = "auto|1.1|2")]
    pub(crate) http: Option<VersionsArg>,
    /// Trust the certificates of this PEM file too.
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// Whose certificates are trusted besides: the bundled roots, those of the system, both, or nobody's [default: bundled].
    #[arg(long, value_name = "bundled|native|both|none")]
    pub(crate) roots: Option<RootsArg>,
    /// Show the certificate chain of this PEM file to servers that ask for one.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of that certificate, as PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Go through this proxy, or env for those that the environment names [default: none].
    #[arg(long, value_name = "URL|env")]
    pub(crate) proxy: Option<String>,
    /// Go directly to these hosts: names, addresses and networks, separated by commas.
    #[arg(long, value_name = "LIST", requires = "proxy")]
    pub(crate) no_proxy: Option<String>,
    /// Reach only what such rules name: a.test, *.a.test, 10.0.0.0/8, each with :port if need be.
    #[arg(long, value_name = "RULE")]
    pub(crate) allow: Vec<String>,
    /// Do not reach what this rule names.
    #[arg(long, value_name = "RULE")]
    pub(crate) deny: Vec<String>,
    /// Use these addresses for a host and port.
    #[arg(long, value_name = "HOST:PORT:ADDR[,ADDR]")]
    pub(crate) resolve: Vec<String>,
}

/// Flags of `urlpool script`.
#[derive(Args, Debug)]
#[command(after_help = "Each line is one operation and gets one line of answer; an error is an answer too.

Example:
  {\"op\": \"open\", \"pool\": \"p\", \"options\": {\"slots\": 2, \"timeouts\": {\"total\": \"5s\"}}}
  {\"op\": \"start\", \"pool\": \"p\", \"as\": \"a\", \"url\": \"http://127.0.0.1:8000/\"}
  {\"op\": \"wait\", \"pool\": \"p\", \"handles\": [\"a\"]}
  {\"op\": \"finish\", \"handle\": \"a\"}
  {\"op\": \"stats\", \"pool\": \"p\"}")]
pub(crate) struct ScriptArgs {
    /// The script; `-` is the standard input.
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) host: HostArgs,
}

/// Flags of `urlpool run`.
#[derive(Args, Debug)]
#[command(
    after_help = "The component may reach public addresses alone: --allow and --deny narrow that down, and --allow with an address or a
network, or --allow-private, opens what is not public. It gets no sockets but through wasi:http.

One that imports urlpool:client is composed with the client first. Flags stand before the component; what follows is its.

Examples:
  urlpool run crawler.wasm https://a.test/
  urlpool run --allow 127.0.0.1:8000 --stats app.wasm http://127.0.0.1:8000/
  urlpool run --dir . --dir /srv/in::/in --env TOKEN --env LEVEL=debug app.wasm"
)]
pub(crate) struct RunArgs {
    /// A component of the wasi:cli/command world.
    #[arg(value_name = "COMPONENT")]
    pub(crate) component: PathBuf,
    /// What the component is called with.
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
    /// Set a variable of its environment; without a value, to that of this program.
    #[arg(long, value_name = "NAME[=VAL]")]
    pub(crate) env: Vec<String>,
    /// Let it read and change a folder, by the same name or another.
    #[arg(long, value_name = "HOST_DIR[::GUEST_DIR]")]
    pub(crate) dir: Vec<String>,
    /// Print the figures of the connections last, as JSON on stderr.
    #[arg(long)]
    pub(crate) stats: bool,
    #[command(flatten)]
    pub(crate) host: GuestHostArgs,
}

/// Flags of `urlpool serve`.
#[derive(Args, Debug)]
#[command(
    after_help = "The address is printed on the first line, also when the port is chosen by the system. SIGINT and SIGTERM end it once what has
begun is finished; a second one ends it at once. Where the component gives no response, the client gets a status 500, 503 or 504, or 400 for
a request without a Host, and a line on stderr says why. Egress is closed to what is not public, as for `urlpool run`.

Examples:
  urlpool serve edge.wasm
  urlpool serve --addr 127.0.0.1:0 --allow 10.0.0.0/8 --deadline 5s -v edge.wasm
  urlpool serve --instances 16 --reuse 100 --metrics 127.0.0.1:9090 edge.wasm"
)]
pub(crate) struct ServeArgs {
    /// A component of the wasi:http/proxy world.
    #[arg(value_name = "COMPONENT")]
    pub(crate) component: PathBuf,
    /// Where to listen; with port 0 the system chooses one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) addr: SocketAddr,
    /// Instances that handle a request at once; further requests wait [default: 64].
    #[arg(long, value_name = "N")]
    pub(crate) instances: Option<usize>,
    /// Requests that an instance is given, one after the other [default: 1].
    #[arg(long, value_name = "N")]
    pub(crate) reuse: Option<usize>,
    /// Memory that an instance may have [default: 268435456].
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_memory: Option<usize>,
    /// For all of a request, from its head to the end of the response [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) deadline: Option<Unlimited<Duration>>,
    /// For an instance to come free [default: 5s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
    /// For what has begun, once it was told to end [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) grace: Option<Duration>,
    /// Set a variable of its environment; without a value, to that of this program.
    #[arg(long, value_name = "NAME[=VAL]")]
    pub(crate) env: Vec<String>,
    /// Let it read and change a folder, by the same name or another.
    #[arg(long, value_name = "HOST_DIR[::GUEST_DIR]")]
    pub(crate) dir: Vec<String>,
    /// Show the figures for Prometheus on this address, at /metrics.
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Print the figures last, as JSON on stderr.
    #[arg(long)]
    pub(crate) stats: bool,
    /// Tell of every request on stderr.
    #[arg(short = 'v', long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) host: GuestHostArgs,
}

/// Flags of `urlpool compose`.
#[derive(Args, Debug)]
#[command(
    after_help = "The result imports what the component did, but for urlpool:client, and what the client does: wasi:http, wasi:io, wasi:clocks
and wasi:random. It runs on any host that has those; there each request may cost a connection, while `urlpool run` keeps them.

Example:
  urlpool compose app.wasm -o whole.wasm"
)]
pub(crate) struct ComposeArgs {
    /// A component that imports urlpool:client.
    #[arg(value_name = "APP")]
    pub(crate) app: PathBuf,
    /// Where to write the result; `-` is the standard output.
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Plug this client in, instead of the one that this program embeds.
    #[arg(long, value_name = "FILE")]
    pub(crate) component: Option<PathBuf>,
}

/// Flags of `urlpool component`.
#[derive(Args, Debug)]
pub(crate) struct ComponentArgs {
    /// Where to write it; `-` is the standard output.
    #[arg(short = 'o', long = "output", value_name = "FILE", required_unless_present = "measure")]
    pub(crate) output: Option<PathBuf>,
    /// Print its size and how long it takes to make an instance.
    #[arg(long, hide = true)]
    pub(crate) measure: bool,
}

/// Flags of `urlpool conform`.
#[cfg(feature = "conform")]
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: 0 when every case holds that can hold; 1 when one does not; 2 for usage, and for a component
that cannot be tested.

Examples:
  urlpool conform
  urlpool conform --filter redirect::
  urlpool conform --filter '(R11)' -v
  urlpool conform --component mine.wasm --json
  urlpool conform --sweep --seed 7 --filter mutate/
  urlpool conform --transport stock --list"
)]
pub(crate) struct ConformArgs {
    /// Run the cases whose names hold this; a name is `area::fact (ID)`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Test this component, which exports the interface of `urlpool wit`, instead of the embedded one.
    #[arg(long, value_name = "FILE")]
    pub(crate) component: Option<PathBuf>,
    /// Who carries the requests: urlpool's host, or wasmtime's own handler, on which some cases cannot hold.
    #[arg(long, value_name = "pooled|stock", default_value = "pooled", hide_default_value = true)]
    pub(crate) transport: TransportArg,
    /// Send requests to every hostile server there is, generated, instead of running the cases.
    #[arg(long, conflicts_with = "transport")]
    pub(crate) sweep: bool,
    /// What the sweep draws at random [default: another one each time].
    #[arg(long, value_name = "N", requires = "sweep")]
    pub(crate) seed: Option<u64>,
    /// Print the names of the cases, and which cannot hold, and run none.
    #[arg(long)]
    pub(crate) list: bool,
    /// Print one JSON object for each case as it ends, and one with the counts.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the cases that hold too, not only those that fail.
    #[arg(short = 'v', long)]
    pub(crate) verbose: bool,
}

/// Who carries the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportArg {
    Pooled,
    Stock,
}

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VersionsArg {
    Auto,
    #[value(name = "1.1")]
    Http1,
    #[value(name = "2")]
    Http2,
}

/// Whose certificates are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RootsArg {
    Bundled,
    Native,
    Both,
    None,
}

/// A limit, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unlimited<T>(pub(crate) Option<T>);

fn count(text: &str) -> Result<Unlimited<u32>, String> {
    number(text).map(Unlimited)
}

fn size(text: &str) -> Result<Unlimited<u64>, String> {
    number(text).map(Unlimited)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<Option<T>, String> {
    match text {
        "none" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| "expected a whole number or none".into()),
    }
}

/// What a method or the name of a header is made of: another would never match anything.
fn token(text: &str) -> Result<String, String> {
    match urlpool_core::headers::is_token(text) {
        true => Ok(text.into()),
        false => Err("not a token".into()),
    }
}

fn jitter(text: &str) -> Result<Jitter, String> {
    match text {
        "none" => Ok(Jitter::None),
        "full" => Ok(Jitter::Full),
        "decorrelated" => Ok(Jitter::Decorrelated),
        _ => duration(text).map(|extra| Jitter::Additive(Extra(extra))),
    }
}

fn limit(text: &str) -> Result<Unlimited<Duration>, String> {
    parse_duration(text).map(Unlimited)
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)?.ok_or_else(|| "a duration is needed here, not none".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
