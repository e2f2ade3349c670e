//! What a release hands out: the components, the WIT package, the program, and what tells what they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::component::{self, Build};
use crate::console::Console;
use crate::semver::Package;
use crate::workspace::{self, Workspace};

/// How `cargo xtask dist` was called.
pub(crate) struct Options {
    /// Whether the program is built too, which takes minutes. Default: true.
    pub(crate) program: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { program: true }
    }
}

/// Builds everything into `target/dist`, which holds nothing else afterwards, and prints the sizes.
///
/// # Errors
///
/// When something cannot be built, and when the WIT package does not read as what it was made of.
pub(crate) fn run(options: &Options, workspace: &Workspace, console: &Console) -> Result<()> {
    let folder = workspace.join(FOLDER);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context(FOLDER)?;
    }
    std::fs::create_dir_all(&folder).context(FOLDER)?;
    let mut files = Vec::new();
    console.step("components", || components(&folder, &mut files, workspace, console))?;
    console.step("WIT package", || wit(&folder, &mut files, workspace))?;
    if options.program {
        console.step("program", || program(&folder, &mut files, workspace))?;
    }
    let manifest = manifest(&files, workspace)?;
    std::fs::write(folder.join("manifest.json"), manifest).context("manifest.json")?;
    std::fs::write(folder.join("SHA256SUMS"), checksums(&files)).context("SHA256SUMS")?;
    print!("{}", table(&files));
    Ok(())
}

/// Where it all goes.
const FOLDER: &str = "target/dist";

/// One file that is handed out.
struct File {
    name: String,
    kind: Kind,
    bytes: usize,
    sha256: String,
}

enum Kind {
    /// The client, with these features.
    Component(Vec<&'static str>),
    /// The interface, as a package of this name.
    Wit(String),
    /// The program, for this platform.
    Program(String),
}

impl File {
    fn new(name: &str, kind: Kind, content: &[u8]) -> Self {
        let sha256 = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name: name.to_owned(), kind, bytes: content.len(), sha256 }
    }

    fn to_json(&self) -> Value {
        let (kind, key, value) = match &self.kind {
            Kind::Component(features) => ("component", "features", json!(features)),
            Kind::Wit(package) => ("wit", "package", json!(package)),
            Kind::Program(platform) => ("program", "platform", json!(platform)),
        };
        json!({"name": self.name, "kind": kind, key: value, "bytes": self.bytes, "sha256": self.sha256})
    }
}

/// The features of the component that can be left out.
const FEATURES: [&str; 5] = ["gzip", "deflate", "br", "zstd", "charset"];

/// Each set of features that is handed out, with what it is called: all, none, each decoder alone, and what leaves out one
/// side of them.
fn sets() -> Vec<(String, Vec<&'static str>)> {
    let mut sets = vec![
        ("urlpool.wasm".to_owned(), FEATURES.to_vec()),
        ("urlpool-none.wasm".to_owned(), Vec::new()),
        ("urlpool-decoders.wasm".to_owned(), FEATURES[..4].to_vec()),
    ];
    sets.extend(FEATURES.iter().map(|feature| (format!("urlpool-{feature}.wasm"), vec![*feature])));
    sets
}

fn components(folder: &Path, files: &mut Vec<File>, workspace: &Workspace, console: &Console) -> Result<()> {
    for (name, features) in sets() {
        // The one with everything is what the program embeds, and so the one that tests ran.
        let build = match features.len() == FEATURES.len() {
            true => Build::default(),
            false => Build { no_default_features: true, features: features.iter().map(|&name| name.into()).collect() },
        };
        component::build(&build, workspace, console)?;
        let content = read(&workspace.join(build.file()))?;
        write(folder, &name, &content)?;
        files.push(File::new(&name, Kind::Component(features), &content));
    }
    Ok(())
}

/// Encodes the interface as registries keep it, and reads it again.
fn wit(folder: &Path, files: &mut Vec<File>, workspace: &Workspace) -> Result<()> {
    let package = Package::read(&workspace.join("wit"))?;
    let content = package.encode()?;
    let again = Package::decode(&content)?;
    if again.print_alone()? != package.print_alone()? {
        bail!("{package}: reads otherwise once it was encoded");
    }
    // As `wkg get` would call it.
    let name = format!("{}.wasm", package.to_string().replace([':', '@'], "-"));
    write(folder, &name, &content)?;
    files.push(File::new(&name, Kind::Wit(package.to_string()), &content));
    Ok(())
}

fn program(folder: &Path, files: &mut Vec<File>, workspace: &Workspace) -> Result<()> {
    let build = ["build", "--release", "--locked", "--package", "urlpool-cli"];
    workspace::run(
        workspace
            .cargo(build)
            // What is handed out says nothing of the machine that it was built on.
            .env("CARGO_ENCODED_RUSTFLAGS", component::remapped_paths(&sysroot(workspace)?, workspace))
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
    )?;
    let name = format!("urlpool{}", std::env::consts::EXE_SUFFIX);
    let built = workspace.join(&format!("target/release/{name}"));
    let content = read(&built)?;
    // A copy keeps that it may be executed.
    std::fs::copy(&built, folder.join(&name)).with_context(|| name.clone())?;
    files.push(File::new(&name, Kind::Program(platform(workspace)?), &content));
    Ok(())
}

fn sysroot(workspace: &Workspace) -> Result<PathBuf> {
    let told = workspace::output(rustc().args(["--print", "sysroot"]).current_dir(workspace.root()))?;
    Ok(PathBuf::from(told.trim()))
}

/// The platform that the compiler builds for.
fn platform(workspace: &Workspace) -> Result<String> {
    let told = workspace::output(rustc().arg("-vV").current_dir(workspace.root()))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc tells no host")?.to_owned())
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// What there is, for programs. Nothing in it depends on when or where it was made.
fn manifest(files: &[File], workspace: &Workspace) -> Result<String> {
    let compiler = workspace::output(rustc().arg("--version").current_dir(workspace.root()))?;
    let manifest = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "wit": Package::read(&workspace.join("wit"))?.to_string(),
        "compiler": compiler.trim(),
        "files": files.iter().map(File::to_json).collect::<Vec<_>>(),
    });
    Ok(format!("{manifest:#}\n"))
}

/// As `sha256sum --check` reads it.
fn checksums(files: &[File]) -> String {
    files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect()
}

fn table(files: &[File]) -> String {
    let width = files.iter().map(|file| file.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for file in files {
        let what = match &file.kind {
            Kind::Component(features) if features.is_empty() => "no feature".to_owned(),
            Kind::Component(features) => features.join(" "),
            Kind::Wit(package) => package.clone(),
            Kind::Program(platform) => platform.clone(),
        };
        text += &format!("{:<width$}  {:>10} bytes  {what}\n", file.name, file.bytes);
    }
    text
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

fn write(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    std::fs::write(folder.join(name), content).with_context(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wit() -> Package {
        Package::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")).unwrap()
    }

    #[test]
    fn the_features_are_those_of_the_component() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/component/Cargo.toml");
        let manifest: toml::Table = toml::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
        let default = manifest["features"]["default"].as_array().unwrap();
        let default: Vec<_> = default.iter().map(|feature| feature.as_str().unwrap()).collect();
        assert_eq!(default, FEATURES);
        let features = manifest["features"].as_table().unwrap();
        assert_eq!(features.len(), FEATURES.len() + 1);
    }

    #[test]
    fn no_two_sets_of_features_are_the_same_or_called_the_same() {
        let sets = sets();
        for (at, (name, features)) in sets.iter().enumerate() {
            assert!(sets[at + 1..].iter().all(|other| other.0 != *name && other.1 != *features), "{name}");
        }
    }

    #[test]
    fn the_encoded_interface_reads_as_it_was_written_with_its_docs() {
        let package = wit();
        let encoded = package.encode().unwrap();
        let again = Package::decode(&encoded).unwrap();
        let (before, after) = (package.print_alone().unwrap(), again.print_alone().unwrap());
        let differs = before.lines().zip(after.lines()).find(|(before, after)| before != after);
        assert_eq!((differs, before.len()), (None, after.len()));
        assert!(after.contains("/// A pool owns slots"));
        assert!(encoded == wit().encode().unwrap(), "the same each time");
    }

    #[test]
    fn what_is_no_interface_is_not_read_as_one() {
        assert!(Package::decode(b"\0asm\x01\0\0\0").is_err());
    }

    #[test]
    fn checksums_are_as_the_tool_reads_them() {
        let files = [File::new("a.wasm", Kind::Component(Vec::new()), b"abc")];
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(checksums(&files), format!("{sum}  a.wasm\n"));
        assert_eq!(files[0].to_json()["sha256"], sum);
    }
}
