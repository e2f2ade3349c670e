//! The component: compiled to a core module, encoded, weighed and measured.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use crate::console::Console;
use crate::toolchain::{Target, Toolchain};
use crate::workspace::{self, Workspace};

/// How `cargo xtask component` was called.
pub(crate) struct Options {
    /// What is built.
    pub(crate) build: Build,
    /// Whether instantiating it is timed, which needs the command line built. Default: true.
    pub(crate) measure: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { build: Build::default(), measure: true }
    }
}

/// Which features are built in; by default all.
#[derive(Default)]
pub(crate) struct Build {
    /// Whether the features on by default are left out.
    pub(crate) no_default_features: bool,
    /// Lists of features, as cargo takes them.
    pub(crate) features: Vec<String>,
}

impl Build {
    fn is_custom(&self) -> bool {
        self.no_default_features || !self.features.is_empty()
    }

    /// Where it is built to; a custom one does not replace what the host embeds.
    pub(crate) fn file(&self) -> &'static str {
        if self.is_custom() { "target/component/urlpool-custom.wasm" } else { "target/component/urlpool.wasm" }
    }
}

/// Builds the component and what tests run beside it, prints its size and, unless told otherwise, how long instantiating it
/// takes.
pub(crate) fn run(options: &Options, workspace: &Workspace, console: &Console) -> Result<()> {
    console.step("component", || build(&options.build, workspace, console))?;
    if !options.build.is_custom() {
        console.step("guests of the tests", || build_guests(workspace, console))?;
    }
    if options.measure && !options.build.is_custom() {
        console.step("measure", || measure(workspace))?;
    }
    Ok(())
}

/// Builds the component, prints its size and returns it.
///
/// # Errors
///
/// When there is no compiler for it, it does not compile, or it is over its budget.
pub(crate) fn build(build: &Build, workspace: &Workspace, console: &Console) -> Result<usize> {
    let module = compile("urlpool-component", build, workspace, console)?;
    let component = encode(&module)?;
    write_changed(&workspace.join(build.file()), &component)?;
    println!("{}: {}", build.file(), size(component.len()));
    if component.len() > BUDGET {
        bail!("{}: over its budget of {BUDGET} bytes", build.file());
    }
    Ok(component.len())
}

/// Builds the guests that tests run: those of WASI 0.3, that of the crate for guests, and those that have a standard library.
///
/// # Errors
///
/// When there is no compiler for them, or one does not compile.
pub(crate) fn build_guests(workspace: &Workspace, console: &Console) -> Result<()> {
    for name in ["guest-p3", "guest-p3-app", "guest-client"] {
        let module = compile(&format!("urlpool-{name}"), &Build::default(), workspace, console)?;
        write_changed(&workspace.join(&format!("target/component/{name}.wasm")), &encode(&module)?)?;
    }
    let toolchain = Toolchain::find(Target::Wasi, workspace, console)?;
    let manifest = "tests/guests/wasi/Cargo.toml";
    let args = ["--manifest-path", manifest, "--release", "--locked", "--target-dir", GUESTS];
    workspace::run(&mut toolchain.build(&args, workspace))?;
    for name in ["caller", "edge", "get"] {
        let built = workspace.join(&format!("{GUESTS}/{}/release/guest_{name}.wasm", Target::Wasi.name()));
        let bytes = std::fs::read(&built).with_context(|| built.display().to_string())?;
        write_changed(&workspace.join(&format!("target/component/guest-{name}.wasm")), &bytes)?;
    }
    Ok(())
}

const GUESTS: &str = "target/test-guests";

/// Prints how long instantiating the built component takes.
pub(crate) fn measure(workspace: &Workspace) -> Result<()> {
    workspace::run(&mut workspace.cargo(["run", "--quiet", "--package", "urlpool-cli", "--", "component", "--measure"]))
}

/// What every consumer carries along: 1 MB with all decoders.
const BUDGET: usize = 1_000_000;

fn compile(package: &str, build: &Build, workspace: &Workspace, console: &Console) -> Result<Vec<u8>> {
    let toolchain = Toolchain::find(Target::Bare, workspace, console)?;
    // A target folder of its own, so that the host's build never waits for this one.
    let mut args = vec!["--package", package, "--profile", "component", "--target-dir", "target/component"];
    if build.no_default_features {
        args.push("--no-default-features");
    }
    for list in &build.features {
        args.extend(["--features", list]);
    }
    let flags = remapped_paths(&toolchain.sysroot(workspace)?, workspace);
    workspace::run(
        toolchain
            .build(&args, workspace)
            // Replaces RUSTFLAGS as well, which are meant for this machine's own processor and linker.
            .env("CARGO_ENCODED_RUSTFLAGS", flags),
    )?;
    let target = Target::Bare.name();
    let file = package.replace('-', "_");
    let module = workspace.join(&format!("target/component/{target}/component/{file}.wasm"));
    std::fs::read(&module).with_context(|| module.display().to_string())
}

/// Flags that keep this machine's paths out of what is built, which is then the same wherever that is.
pub(crate) fn remapped_paths(sysroot: &Path, workspace: &Workspace) -> OsString {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::home_dir()?;
        Some(home.join(".cargo"))
    });
    let library = sysroot.join("lib/rustlib/src/rust");
    let mut flags = OsString::new();
    let mut remap = |from: &Path, to: &str| {
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    };
    remap(workspace.root(), "urlpool");
    remap(&library, "rust");
    if let Some(cargo_home) = cargo_home {
        remap(&cargo_home, "cargo");
        // Of several that match, the last one counts. Packages keep their names and versions, not the name of where they came from.
        let registries = std::fs::read_dir(cargo_home.join("registry/src")).into_iter().flatten();
        for registry in registries.filter_map(Result::ok) {
            remap(&registry.path(), "cargo");
        }
    }
    flags
}

fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module).context("core module: not one of a WIT world")?;
    nameless(&encoder.encode().context("core module: cannot be encoded as a component")?)
}

/// The component without the names of its items, which no host reads and every consumer would carry along.
fn nameless(component: &[u8]) -> Result<Vec<u8>> {
    let mut kept = wasm_encoder::Component::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        if depth == 0
            && let Some((id, range)) = payload.as_section()
            && !matches!(&payload, Payload::CustomSection(section) if section.name() == "component-name")
        {
            let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
            kept.section(&wasm_encoder::RawSection { id, data: &component[range] });
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            // The end of the component itself is the last payload of all.
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(kept.finish())
}

/// Leaves a file alone that holds these bytes, so that what embeds it is not built again.
fn write_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    std::fs::write(path, bytes).with_context(|| path.display().to_string())
}

fn size(bytes: usize) -> String {
    let percent = (bytes * 100).div_ceil(BUDGET);
    format!("{bytes} bytes, {percent} % of its budget of 1 MB")
}
