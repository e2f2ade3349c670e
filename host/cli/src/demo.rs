//! `urlpool demo`: the claims, one a line, each held against what a server saw.

use crate::origin::{Origin, packed_text};
use anyhow::{Context as _, Result, ensure};
use std::{
    io::IsTerminal as _,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    time::{Duration, Instant},
};
use urlpool_host::Host;
use urlpool_script::{Failure, Field, Head, Options, Pending, Pool, Program, Request, Session, Transport, answer};

/// Shows each claim; 1 when one does not hold.
///
/// # Errors
///
/// That the demo itself could not be set up.
pub(crate) async fn run() -> Result<u8> {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let program = Program::embedded()?;
    let origin = Origin::start().context("demo server")?;
    let paint = |code: &str, text: &str| match colours {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    println!("{}", paint("1", "urlpool, against a server on this machine that counts what it sees"));
    let mut show = Show { colours, failed: 0 };
    show.line("15 URLs", reuse(&program, &origin).await);
    let mut demo = Demo::open(&program).await?;
    show.line("64 requests", demo.multiplexing(&origin).await);
    show.line("file", demo.file(&origin).await);
    show.line("redirects", demo.redirects(&origin).await);
    show.line("retries", demo.retries(&origin).await);
    show.line("gzip", demo.gzip(&origin).await);
    show.line("errors", demo.refusal().await);
    match show.failed {
        0 => println!("{}", paint("1;32", "all of it holds")),
        failed => println!("{}", paint("1;31", &format!("{failed} of it failed"))),
    }
    Ok(u8::from(show.failed > 0))
}

struct Show {
    colours: bool,
    failed: usize,
}

impl Show {
    fn line(&mut self, what: &str, outcome: Result<String>) {
        let (mark, colour, text) = match outcome {
            Ok(text) => ("✓", 32, text),
            Err(error) => {
                self.failed += 1;
                ("✗", 31, format!("{error:#}"))
            }
        };
        match self.colours {
            true => println!("\x1b[{colour}m{mark}\x1b[0m {what:<12} {text}"),
            false => println!("{mark} {what:<12} {text}"),
        }
    }
}

/// How many URLs the announcement of urllib3 0.2 compared.
const URLS: usize = 15;

/// Its comparison: the URLs over one connection, and over one connection each.
async fn reuse(program: &Program, origin: &Origin) -> Result<String> {
    let mut pooled = Run::default();
    let mut single = Run::default();
    // Twice each and the better one: the first run of anything is slower.
    for _ in 0..2 {
        single.again(program, Transport::Stock, origin).await?;
        pooled.again(program, Transport::Pooled(Host::builder().build()?), origin).await?;
    }
    ensure!(pooled.connections == 1, "{} connections instead of 1", pooled.connections);
    ensure!(single.connections == URLS, "{} connections instead of {URLS} without reuse", single.connections);
    let ratio = single.took.as_secs_f64() / pooled.took.as_secs_f64();
    Ok(format!(
        "over {} connection in {:.1} ms; over {} with one each in {:.1} ms, {ratio:.1} times as long",
        pooled.connections,
        pooled.took.as_secs_f64() * 1e3,
        single.connections,
        single.took.as_secs_f64() * 1e3,
    ))
}

#[derive(Default)]
struct Run {
    connections: usize,
    took: Duration,
}

impl Run {
    async fn again(&mut self, program: &Program, host: Transport, origin: &Origin) -> Result<()> {
        let mut session = program.session(host).await?;
        let pool = session.open(&Options::default()).await?;
        let before = origin.connections();
        let begun = Instant::now();
        for page in 0..URLS {
            let url = origin.url(&format!("/page/{page}"));
            let response = session.get(&url, &[], pool).await?;
            let body = session.read_all(&response, 1024).await?;
            ensure!(body == format!("page {page}\n").as_bytes(), "page {page} has another body");
            session.release(response).await?;
        }
        let took = begun.elapsed();
        self.connections = self.connections.max(origin.connections() - before);
        self.took = if self.took.is_zero() { took } else { self.took.min(took) };
        Ok(())
    }
}

/// One session for the rest.
struct Demo {
    session: Session,
    pool: Pool,
}

impl Demo {
    async fn open(program: &Program) -> Result<Self> {
        let host = Host::builder().build()?;
        let mut session = program.session(Transport::Pooled(host)).await?;
        let pool = session.open(&Options::default()).await?;
        Ok(Self { session, pool })
    }

    async fn multiplexing(&mut self, origin: &Origin) -> Result<String> {
        let (requests, slots) = (64, 8);
        let options = Options { slots: Some(Some(slots)), ..Options::default() };
        let pool = self.session.open(&options).await?;
        let before = origin.connections();
        let begun = Instant::now();
        let mut going: Vec<Pending> = Vec::new();
        for _ in 0..requests {
            let request = Request::new("GET", origin.url("/slow"));
            going.push(self.session.start(&request, pool).await?);
        }
        let mut answered = 0;
        while !going.is_empty() {
            let lent: Vec<&Pending> = going.iter().collect();
            let mut finished = self.session.wait(&lent, None, pool).await?;
            finished.sort_unstable();
            for index in finished.into_iter().rev() {
                let response = self.session.finish(going.swap_remove(index)).await?;
                answered += usize::from(self.session.head(&response).await?.status == 200);
                self.session.release(response).await?;
            }
        }
        self.session.release(pool).await?;
        let (most, connections) = (origin.most_in_flight(), origin.connections() - before);
        ensure!(answered == requests, "{answered} answers to {requests} requests");
        ensure!(most == slots as usize, "{most} in flight at once over {slots} slots");
        Ok(format!(
            "at once in one instance: {most} in flight over {slots} slots, {connections} connections, {} ms",
            begun.elapsed().as_millis()
        ))
    }

    async fn file(&mut self, origin: &Origin) -> Result<String> {
        let content: Vec<u8> = (0u32..3 << 18).flat_map(|n| n.wrapping_mul(n).to_be_bytes()).collect();
        let file = Temporary::with(&content)?;
        let field = Field {
            name: "file".into(),
            filename: Some("numbers.bin".into()),
            file: Some(file.0.clone()),
            ..Field::default()
        };
        let form = vec![Field::text("title", "numbers"), field];
        let request = Request { form: Some(form), ..Request::new("POST", origin.url("/upload")) };
        let (head, body) = self.whole(&request).await?;
        ensure!(head.status == 200, "status {}", head.status);
        let expected = format!("{} {}", content.len(), answer::sha256(&content));
        ensure!(body == expected.as_bytes(), "the server saw another file");
        let digest = &expected[expected.len() - 64..][..12];
        Ok(format!("posted as multipart, streamed: {} bytes, sha256 {digest}…", content.len()))
    }

    async fn redirects(&mut self, origin: &Origin) -> Result<String> {
        let (head, body) = self.whole(&Request::new("GET", origin.url("/hop/3"))).await?;
        ensure!(head.status == 200 && body == b"arrived\n", "status {}", head.status);
        ensure!(head.history.len() == 3, "{} hops instead of 3", head.history.len());
        let mut statuses = statuses(&head);
        statuses.push(head.status.to_string());
        Ok(format!("{}, and the history tells each hop", statuses.join(", ")))
    }

    async fn retries(&mut self, origin: &Origin) -> Result<String> {
        let begun = Instant::now();
        let (head, body) = self.whole(&Request::new("GET", origin.url("/busy"))).await?;
        let waited = begun.elapsed();
        let mut statuses = statuses(&head);
        statuses.push(head.status.to_string());
        ensure!(statuses == ["503", "503", "200"], "{}", statuses.join(", "));
        ensure!(body == b"at last\n", "another body");
        ensure!(waited >= Duration::from_secs(1), "did not wait for Retry-After");
        Ok(format!("{} under Retry-After, {:.1} s", statuses.join(", "), waited.as_secs_f64()))
    }

    async fn gzip(&mut self, origin: &Origin) -> Result<String> {
        let (head, body) = self.whole(&Request::new("GET", origin.url("/gzip"))).await?;
        ensure!(head.decoded, "not decoded");
        ensure!(body == packed_text().as_bytes(), "another text");
        Ok(format!("decoded to {} bytes", body.len()))
    }

    async fn refusal(&mut self) -> Result<String> {
        // A port that was free a moment ago, and that nobody listens on.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let options = Options { retry: Some(urlpool_script::Retry::Never), ..Options::default() };
        let pool = self.session.open(&options).await?;
        let request = Request::new("GET", format!("http://127.0.0.1:{port}/"));
        let answer = self.session.send(&request, pool).await;
        self.session.release(pool).await?;
        match answer {
            Ok(_) => anyhow::bail!("an answer from a port that nobody listens on"),
            Err(Failure::Call(error)) => {
                let failure = Failure::Call(error.clone());
                ensure!(failure.kind() == "connect", "{} instead of connect", failure.kind());
                let code = error.code.unwrap_or("none");
                ensure!(code == "connection-refused", "code {code}");
                Ok(format!("a refused connection is `{}`, code `{code}`", failure.kind()))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn whole(&mut self, request: &Request) -> Result<(Head, Vec<u8>)> {
        let response = self.session.send(request, self.pool).await?;
        let head = self.session.head(&response).await?;
        let body = self.session.read_all(&response, 1 << 20).await?;
        self.session.release(response).await?;
        Ok((head, body))
    }
}

fn statuses(head: &Head) -> Vec<String> {
    head.history.iter().map(|past| past.status.map_or("error".into(), |s| s.to_string())).collect()
}

/// A file that is gone when this is.
struct Temporary(PathBuf);

impl Temporary {
    fn with(content: &[u8]) -> Result<Self> {
        let name = format!("urlpool-demo-{}.bin", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        _ = std::fs::remove_file(&self.0);
    }
}
