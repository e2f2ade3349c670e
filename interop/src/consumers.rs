//! The components of `examples/` that use the client, in each language: built with other people's tools, and composed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use urlpool_packages::Set;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};
use wasmparser::{Parser, Payload};

use crate::folder::Folder;
use crate::need::Need;
use crate::program;

/// One of the components that use the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consumer {
    /// A command in Rust, by the crate `urlpool`, under wstd's reactor.
    Feed,
    /// A handler of HTTP requests in Rust.
    Edge,
    /// A command in Python.
    Crawler,
    /// A command in JavaScript.
    Api,
}

impl Consumer {
    const ALL: [Self; 4] = [Self::Feed, Self::Edge, Self::Crawler, Self::Api];

    /// The folder of its example.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Edge => "edge",
            Self::Crawler => "crawler",
            Self::Api => "api",
        }
    }

    /// The component with the client in it, made by the first check that needs it.
    pub(crate) async fn composed(self) -> Result<PathBuf> {
        static COMPOSED: [OnceCell<Result<PathBuf, String>>; Consumer::ALL.len()] =
            [const { OnceCell::const_new() }; Consumer::ALL.len()];
        let made = COMPOSED[self as usize]
            .get_or_init(async || {
                let making = async {
                    let app = self.app().await?;
                    let client = client()?;
                    let whole = compose(&app, &client)?;
                    imports_no_more(&whole, &app, &client)?;
                    let file = target().join(format!("{}-composed.wasm", self.name()));
                    fs::write(&file, whole).with_context(|| file.display().to_string())?;
                    Ok(file)
                };
                making.await.map_err(|error: anyhow::Error| format!("{error:#}"))
            })
            .await;
        made.clone().map_err(anyhow::Error::msg)
    }

    /// The component before it is composed.
    pub(crate) async fn app(self) -> Result<Vec<u8>> {
        match self {
            Self::Feed | Self::Edge => {
                let file = target().join(format!("wasm32-wasip2/release/{}.wasm", self.name()));
                fs::read(&file).with_context(|| format!("{}: `cargo xtask interop` builds it", file.display()))
            }
            Self::Crawler => {
                let arguments = |output: &Path| {
                    let mut command = program::of(Need::ComponentizePy)?;
                    command.args(["-d", "wit", "-w", "crawler", "componentize", "crawler", "-o"]).arg(output);
                    Ok(command)
                };
                self.built(Set::COMPONENTIZE_PY, "crawler.py", arguments).await
            }
            Self::Api => {
                let arguments = |output: &Path| {
                    let mut command = program::of(Need::Jco)?;
                    command
                        .args(["componentize", "api.js", "--wit", "wit", "--world-name", "api", "--out"])
                        .arg(output);
                    Ok(command)
                };
                self.built(Set::JCO, "api.js", arguments).await
            }
        }
    }

    /// Builds it from its source, as its README says, unless that was done with these very inputs.
    async fn built(self, set: Set, source: &str, build: impl Fn(&Path) -> Result<Command>) -> Result<Vec<u8>> {
        let example = root().join("examples").join(self.name());
        let source_text = fs::read(example.join(source)).with_context(|| source.to_owned())?;
        let world = fs::read(example.join("wit/world.wit")).context("wit/world.wit")?;
        let interface = wit().await?;
        let mut digest = Sha256::new();
        for input in [&fs::read(set.pins()).context("pins")?, &source_text, &world, &interface] {
            digest.update(input.len().to_be_bytes());
            digest.update(input);
        }
        let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let kept = target().join(format!("{}-{}.wasm", self.name(), &digest[..16]));
        if let Ok(bytes) = fs::read(&kept) {
            return Ok(bytes);
        }

        let folder = Folder::new()?;
        fs::create_dir_all(folder.join("wit/deps"))?;
        folder.write(source, source_text)?;
        folder.write("wit/world.wit", world)?;
        folder.write("wit/deps/urlpool.wit", interface)?;
        let output = folder.join("app.wasm");
        let ended = program::finish(build(&output)?, &folder).await?;
        ensure!(ended.success, "{}: {}", set.name(), ended.all());
        let bytes = fs::read(&output).with_context(|| format!("{}: built nothing: {}", set.name(), ended.all()))?;
        // Whole or not at all, for whoever finds it.
        let half = kept.with_extension("half");
        fs::create_dir_all(target())?;
        fs::write(&half, &bytes)?;
        fs::rename(&half, &kept)?;
        Ok(bytes)
    }
}

/// The component of `examples/caller` with the client in it, in a file of this folder.
pub(crate) fn caller(folder: &Folder) -> Result<PathBuf> {
    let file = target().join("wasm32-wasip2/release/example_caller.wasm");
    let app = fs::read(&file).with_context(|| format!("{}: `cargo xtask interop` builds it", file.display()))?;
    folder.write("app.wasm", compose(&app, &client()?)?)?;
    Ok(folder.join("app.wasm"))
}

/// The client, as `urlpool component` writes it.
pub(crate) fn client() -> Result<Vec<u8>> {
    let file = root().join("target/component/urlpool.wasm");
    fs::read(&file).with_context(|| format!("{}: `cargo xtask component` builds it", file.display()))
}

/// What `urlpool wit` prints: the package with all that it refers to, in one file.
async fn wit() -> Result<Vec<u8>> {
    let folder = Folder::new()?;
    let mut command = program::of(Need::Urlpool)?;
    command.arg("wit");
    let ended = program::finish(command, &folder).await?;
    ensure!(ended.success && !ended.stdout.is_empty(), "urlpool wit: {}", ended.all());
    Ok(ended.stdout.into_bytes())
}

/// What `wac plug` does.
pub(crate) fn compose(app: &[u8], client: &[u8]) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let package = Package::from_bytes("app", None, app, graph.types_mut())?;
    let app = graph.register_package(package)?;
    let package = Package::from_bytes("client", None, client, graph.types_mut())?;
    let client = graph.register_package(package)?;
    plug(&mut graph, vec![client], app)?;
    graph.encode(EncodeOptions::default()).context("composition")
}

/// The names of what a component imports and exports, in order.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

impl World {
    /// Reads them from the component.
    pub(crate) fn of(component: &[u8]) -> Result<Self> {
        let mut world = Self::default();
        // How deep it is in what the component holds.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        world.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        world.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                // The end of the component itself is the last payload of all.
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(world)
    }
}

/// Holds that composition took the client's interfaces away, and added nothing but what the client needs of a host.
fn imports_no_more(whole: &[u8], app: &[u8], client: &[u8]) -> Result<()> {
    let [whole, app, client] = [World::of(whole)?.imports, World::of(app)?.imports, World::of(client)?.imports];
    ensure!(app.iter().any(|name| name.starts_with(PACKAGE)), "the app imports no client: {app:?}");
    let of_client = ["wasi:http/", "wasi:io/", "wasi:clocks/", "wasi:random/"];
    ensure!(
        client.iter().all(|name| of_client.iter().any(|package| name.starts_with(package))),
        "the client imports {client:?}"
    );
    let interface = |name: &str| name.split('@').next().unwrap_or(name).to_owned();
    let allowed: Vec<String> =
        app.iter().filter(|name| !name.starts_with(PACKAGE)).chain(&client).map(|name| interface(name)).collect();
    let mut seen = Vec::new();
    for name in &whole {
        let interface = interface(name);
        if !allowed.contains(&interface) {
            bail!("{name} is imported, which neither part needs");
        }
        ensure!(!seen.contains(&interface), "{interface} is imported in two versions: {whole:?}");
        seen.push(interface);
    }
    Ok(())
}

const PACKAGE: &str = "urlpool:client/";

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where the components are.
fn target() -> PathBuf {
    root().join("target/examples")
}
