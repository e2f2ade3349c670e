//! The edge function as an app of Spin. No registry has the command `spin`; without it, only what can be held without it is.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use toml::{Table, Value};
use urlpool_conformance::reply::ok;
use urlpool_conformance::{Request, Rig, Server};

use crate::check::checks;
use crate::consumers::{Consumer, World, compose, root};
use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::need::Need;
use crate::port::Port;

/// As for the other consumers, which share what is built.
const PATIENCE: Duration = Duration::from_secs(400);

checks! { "spin", PATIENCE;
    [] the_composed_app_fits_the_world_that_spin_offers;
    [] the_dependency_is_what_the_app_imports_and_what_the_client_gives;
    [Need::Spin] spin_serves_the_composed_app;
    [Need::Spin] spin_composes_the_app_with_its_dependency;
    [Need::Spin] what_spin_denies_is_one_clear_error;
}

async fn the_composed_app_fits_the_world_that_spin_offers(_: &Rig) -> Result<()> {
    let manifest = Manifest::read("spin.toml")?;
    let composed = Consumer::Edge.composed().await?;
    ensure!(manifest.source()?.canonicalize()? == composed.canonicalize()?, "{}", manifest.source()?.display());
    fits(&World::of(&fs::read(composed)?)?)?;
    ensure!(manifest.component.get("dependencies").is_none(), "composed, and composed again");
    manifest.is_granted_what_its_upstreams_need()
}

async fn the_dependency_is_what_the_app_imports_and_what_the_client_gives(_: &Rig) -> Result<()> {
    let manifest = Manifest::read("dependency.toml")?;
    let app = fs::read(manifest.source()?).context("source")?;
    let dependencies = manifest.component.get("dependencies").and_then(Value::as_table).context("dependencies")?;
    let [(name, dependency)] = &dependencies.iter().collect::<Vec<_>>()[..] else {
        anyhow::bail!("{dependencies:?}");
    };
    let (package, version) = name.split_once('@').context("a version")?;
    let client = fs::read(manifest.path(dependency.get("path").context("path")?)?).context("client")?;

    // Spin plugs every interface of the package that the app imports, by versions that are compatible.
    let (world, offered) = (World::of(&app)?, World::of(&client)?);
    let wanted: Vec<_> = world.imports.iter().filter(|name| name.starts_with(&format!("{package}/"))).collect();
    ensure!(!wanted.is_empty(), "the app imports nothing of {package}");
    let series = |name: &str| name.rsplit_once('.').map(|(series, _)| series.to_owned());
    for name in wanted {
        ensure!(name.ends_with(version), "{name} is imported, {version} declared");
        ensure!(offered.exports.iter().any(|export| series(export) == series(name)), "{name}: {:?}", offered.exports);
    }
    // Without it the client is given a host that denies everything.
    ensure!(manifest.component.get("dependencies_inherit_configuration") == Some(&Value::Boolean(true)));
    fits(&World::of(&compose(&app, &client)?)?)?;
    manifest.is_granted_what_its_upstreams_need()
}

async fn spin_serves_the_composed_app(rig: &Rig) -> Result<()> {
    Consumer::Edge.composed().await?;
    is_served("spin.toml", rig).await
}

async fn spin_composes_the_app_with_its_dependency(rig: &Rig) -> Result<()> {
    is_served("dependency.toml", rig).await
}

async fn what_spin_denies_is_one_clear_error(rig: &Rig) -> Result<()> {
    Consumer::Edge.composed().await?;
    for manifest in ["spin.toml", "dependency.toml"] {
        let upstream = Server::replies([ok("")]).await?;
        let elsewhere = |component: &mut Table| {
            component.insert("allowed_outbound_hosts".to_owned(), Value::Array(vec!["http://a.test".into()]));
        };
        let told = ask_spin(manifest, &upstream, elsewhere, rig).await.with_context(|| manifest.to_owned())?;
        ensure!(told == json!({"answers": [{"error": "denied by the host"}]}), "{manifest}: {told}");
        ensure!(upstream.connections() == 0, "{manifest}: something was reached");
    }
    Ok(())
}

async fn is_served(manifest: &str, rig: &Rig) -> Result<()> {
    let upstream = Server::answering(|request: &Request| ok(&request.target)).await?;
    let told = ask_spin(manifest, &upstream, |_| {}, rig).await?;
    ensure!(told == json!({"answers": [{"status": 200, "attempts": 1, "text": "/?n=0"}]}), "{told}");
    ensure!(upstream.arrivals() == 1, "{:?}", upstream.log());
    Ok(())
}

/// What the app answers under `spin up` with one upstream, after a change of its component's settings.
async fn ask_spin(
    manifest: &str,
    upstream: &Server,
    change: impl FnOnce(&mut Table),
    rig: &Rig,
) -> Result<serde_json::Value> {
    let mut manifest = Manifest::read(manifest)?;
    let environment = Table::from_iter([("UPSTREAMS".to_owned(), Value::String(upstream.url("")))]);
    manifest.component.insert("environment".to_owned(), Value::Table(environment));
    change(&mut manifest.component);
    let folder = Folder::new()?;
    let file = folder.write("spin.toml", manifest.elsewhere()?)?;
    let port = Port::reserve()?;
    let arguments = |command: &mut std::process::Command| {
        command.arg("up").arg("--from").arg(&file).args(["--listen", &format!("127.0.0.1:{port}")]);
        command.args(["--quiet", "--disable-pooling"]).arg("--state-dir").arg(folder.path());
    };
    let _spin = Daemon::start(Need::Spin, arguments, &[&port], folder.path()).await?;
    let mut client = rig.client().await?;
    let answer = client.get(format!("http://127.0.0.1:{port}/?n=0")).await?;
    ensure!(answer["status"] == 200, "{answer}");
    serde_json::from_str(answer["body"].as_str().context("no text")?).with_context(|| answer.to_string())
}

/// A manifest of `examples/spin`, with the settings of its one component.
struct Manifest {
    whole: Table,
    component: Table,
}

impl Manifest {
    /// Reads one, and holds it to the form that Spin has: version 2, one HTTP trigger for one component, no unknown setting.
    fn read(name: &str) -> Result<Self> {
        let text = fs::read_to_string(folder().join(name)).with_context(|| name.to_owned())?;
        let whole: Table = text.parse().with_context(|| name.to_owned())?;
        ensure!(whole.get("spin_manifest_version") == Some(&Value::Integer(2)));
        ensure!(
            whole.keys().all(|key| ["spin_manifest_version", "application", "trigger", "component"].contains(&&**key))
        );
        ensure!(whole["application"].get("name").is_some_and(Value::is_str));
        let [trigger] = &whole["trigger"]["http"].as_array().context("triggers")?[..] else {
            anyhow::bail!("not one trigger");
        };
        let component = trigger.get("component").and_then(Value::as_str).context("the component of the trigger")?;
        ensure!(trigger.get("route") == Some(&"/...".into()));
        let settings = whole["component"].get(component).and_then(Value::as_table).context("its settings")?.clone();
        let unknown: Vec<_> = settings.keys().filter(|key| !SETTINGS.contains(&&***key)).collect();
        ensure!(unknown.is_empty(), "{unknown:?}: no such settings");
        Ok(Self { whole, component: settings })
    }

    fn source(&self) -> Result<PathBuf> {
        self.path(self.component.get("source").context("source")?)
    }

    fn path(&self, value: &Value) -> Result<PathBuf> {
        Ok(folder().join(value.as_str().context("a path")?))
    }

    /// Each upstream of the example is among the hosts that it may reach.
    fn is_granted_what_its_upstreams_need(&self) -> Result<()> {
        let allowed =
            self.component.get("allowed_outbound_hosts").and_then(Value::as_array).context("allowed hosts")?;
        let allowed: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
        let environment = self.component.get("environment").and_then(Value::as_table).context("environment")?;
        let upstreams = environment.get("UPSTREAMS").and_then(Value::as_str).context("UPSTREAMS")?;
        for upstream in upstreams.split(' ') {
            let any_port = upstream.rsplit_once(':').map(|(host, _)| format!("{host}:*"));
            ensure!(
                allowed.contains(&upstream) || any_port.is_some_and(|any| allowed.contains(&any.as_str())),
                "{upstream} is not among {allowed:?}"
            );
        }
        Ok(())
    }

    /// The manifest for another folder, so with whole paths.
    fn elsewhere(mut self) -> Result<String> {
        let source = self.source()?.canonicalize().context("source")?;
        self.component.insert("source".to_owned(), source.display().to_string().into());
        if let Some(Value::Table(dependencies)) = self.component.get_mut("dependencies") {
            for (_, dependency) in dependencies.iter_mut() {
                let path = dependency.get("path").and_then(Value::as_str).context("path")?;
                let path = folder().join(path).canonicalize()?;
                dependency
                    .as_table_mut()
                    .context("a table")?
                    .insert("path".to_owned(), path.display().to_string().into());
            }
        }
        let component = self.whole["trigger"]["http"][0]["component"].as_str().context("component")?.to_owned();
        let components = Table::from_iter([(component, Value::Table(self.component))]);
        self.whole.insert("component".to_owned(), Value::Table(components));
        Ok(self.whole.to_string())
    }
}

fn folder() -> PathBuf {
    root().join("examples/spin")
}

/// The settings of a component that Spin 4 knows; any other is an error there.
const SETTINGS: [&str; 16] = [
    "ai_models",
    "allowed_outbound_hosts",
    "build",
    "dependencies",
    "dependencies_inherit_configuration",
    "description",
    "environment",
    "exclude_files",
    "files",
    "key_value_stores",
    "profile",
    "source",
    "sqlite_databases",
    "targets",
    "tool",
    "variables",
];

/// Holds a component to the world of Spin's HTTP trigger: it imports nothing else, and is a handler.
fn fits(world: &World) -> Result<()> {
    let interface = |name: &String| name.split('@').next().unwrap_or(name).to_owned();
    for name in &world.imports {
        let (package, rest) =
            interface(name).split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).context("a name")?;
        let offered = OFFERED.iter().any(|(offer, names)| *offer == package && names.contains(&rest.as_str()));
        ensure!(offered && name.contains("@0.2."), "{name}: Spin has none");
    }
    let exports: Vec<_> = world.exports.iter().map(interface).collect();
    ensure!(exports.iter().any(|name| name == "wasi:http/incoming-handler"), "{exports:?}");
    // A program of Rust exports its `main` too, which the trigger does not look at; nothing else may decide what it is.
    ensure!(
        exports.iter().all(|name| ["wasi:http/incoming-handler", "wasi:cli/run"].contains(&&**name)),
        "{exports:?}"
    );
    Ok(())
}

/// What Spin has for a component of WASI 0.2, besides interfaces of its own: all of `wasi:cli/imports`, and HTTP.
const OFFERED: [(&str, &[&str]); 7] = [
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:random", &["random", "insecure", "insecure-seed"]),
    ("wasi:filesystem", &["types", "preopens"]),
    (
        "wasi:sockets",
        &["network", "instance-network", "ip-name-lookup", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:http", &["types", "outgoing-handler"]),
];
