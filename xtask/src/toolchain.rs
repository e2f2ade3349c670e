//! A compiler for a target of WebAssembly, found or installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::console::Console;
use crate::debian::{self, works};
use crate::workspace::{self, Workspace};

/// What is compiled for.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// That of the component: a core module whose imports are exactly those of its WIT world.
    Bare,
    /// That of other guests: a component, whose standard library imports WASI 0.2.
    Wasi,
}

impl Target {
    /// Its name, for compilers and in paths.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "wasm32-unknown-unknown",
            Self::Wasi => "wasm32-wasip2",
        }
    }

    /// What of Debian compiles for it.
    fn debian_packages(self) -> Vec<&'static str> {
        let mut packages = DEBIAN_PACKAGES.to_vec();
        match self {
            Self::Bare => {}
            Self::Wasi => packages.push("wasi-libc"),
        }
        packages
    }
}

/// A compiler that can build for a target.
pub(crate) struct Toolchain {
    target: Target,
    compiler: Compiler,
}

enum Compiler {
    /// The one that runs this xtask; its standard library for the target is installed.
    Own,
    /// Debian's, which has no such standard library but the sources to build it from.
    Debian,
}

impl Toolchain {
    /// Finds a compiler with the target, or installs what is missing: by rustup, else from Debian's archive.
    ///
    /// Asks nobody anything when the target is there already, so it works offline then.
    ///
    /// # Errors
    ///
    /// With a message that says what to install by hand.
    pub(crate) fn find(target: Target, workspace: &Workspace, console: &Console) -> Result<Self> {
        let name = target.name();
        if has_target(target, workspace) {
            return Ok(Self { target, compiler: Compiler::Own });
        }
        if works("rustup", &["--version"]) {
            console.note(&format!("the target {name} is missing; asking rustup for it"));
            let added = workspace::run(
                Command::new("rustup").args(["target", "add", name]).current_dir(workspace.root()).stdin(Stdio::null()),
            );
            if added.is_ok() && has_target(target, workspace) {
                return Ok(Self { target, compiler: Compiler::Own });
            }
        }
        if debian_is_complete(target) {
            console.note("building with Debian's compiler and its library sources");
            return Ok(Self { target, compiler: Compiler::Debian });
        }
        if debian::can_install() {
            console.note("installing Debian's compiler and its library sources");
            if debian::install(&target.debian_packages()) && debian_is_complete(target) {
                return Ok(Self { target, compiler: Compiler::Debian });
            }
        }
        bail!(
            "the compiler cannot build for {name}, and that target could not be installed. One of these helps:\n\
             \x20 with rustup:  rustup target add {name}\n\
             \x20 on Debian:    apt-get install --no-install-recommends {}\n\
             \x20 elsewhere:    the package that brings Rust's standard library for that target",
            target.debian_packages().join(" "),
        )
    }

    /// A `cargo build` with the given arguments that compiles for the target.
    pub(crate) fn build(&self, args: &[&str], workspace: &Workspace) -> Command {
        let mut command = match self.compiler {
            Compiler::Own => workspace.cargo(["build", "--target", self.target.name()]),
            Compiler::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                command
                    .args(["build", "--target", self.target.name(), "-Z", "build-std=std,panic_abort"])
                    .current_dir(workspace.root())
                    .stdin(Stdio::null())
                    // Building the standard library is an unstable feature, and this compiler a stable one.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("PATH", with_usr_bin_first())
                    .env_remove("CARGO")
                    .env_remove("RUSTUP_TOOLCHAIN");
                match self.target {
                    Target::Bare => {}
                    Target::Wasi => {
                        command.env("RUSTFLAGS", DEBIAN_WASI);
                    }
                }
                command
            }
        };
        command.args(args);
        command
    }

    /// The same for programs of WASI, which begin where the library of C does.
    pub(crate) fn build_programs(&self, args: &[&str], workspace: &Workspace) -> Command {
        let mut command = self.build(args, workspace);
        if let (Compiler::Debian, Target::Wasi) = (&self.compiler, self.target) {
            // Its compiler does not link that beginning by itself; libraries have none.
            command.env("RUSTFLAGS", format!("{DEBIAN_WASI} -C link-arg=/usr/lib/wasm32-wasi/crt1-command.o"));
        }
        command
    }

    /// The folder that holds the compiler and its library.
    ///
    /// # Errors
    ///
    /// When the compiler cannot tell.
    pub(crate) fn sysroot(&self, workspace: &Workspace) -> Result<PathBuf> {
        let mut rustc = match self.compiler {
            Compiler::Own => rustc(workspace),
            Compiler::Debian => Command::new("/usr/bin/rustc"),
        };
        let told = workspace::output(rustc.args(["--print", "sysroot"]))?;
        Ok(PathBuf::from(told.trim()))
    }
}

/// The target that programs of this machine are built for.
///
/// # Errors
///
/// When the compiler cannot tell.
pub(crate) fn host(workspace: &Workspace) -> Result<String> {
    let told = workspace::output(rustc(workspace).arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV: names no host")?.to_owned())
}

/// Debian's compiler for its web browsers, current where plain `rustc` is years old, and what building std takes.
const DEBIAN_PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// Where wasi-libc puts its library, which Debian's compiler does not bring along.
const DEBIAN_WASI: &str = "-L native=/usr/lib/wasm32-wasi -C link-self-contained=no";

fn rustc(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(workspace.root()).stdin(Stdio::null());
    command
}

fn has_target(target: Target, workspace: &Workspace) -> bool {
    let told = workspace::output(rustc(workspace).args(["--print", "target-libdir", "--target", target.name()]));
    let Ok(told) = told else {
        return false;
    };
    let Ok(files) = std::fs::read_dir(told.trim()) else {
        return false;
    };
    files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

fn debian_is_complete(target: Target) -> bool {
    let version = Command::new("/usr/bin/rustc").arg("--version").output();
    let Ok(version) = version else {
        return false;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    minor(&version) >= minor(env!("CARGO_PKG_RUST_VERSION"))
        && works("/usr/bin/cargo", &["--version"])
        && Path::new("/usr/lib/rustlib/src/rust/library/std").is_dir()
        && match target {
            Target::Bare => true,
            Target::Wasi => Path::new("/usr/lib/wasm32-wasi").is_dir(),
        }
}

fn with_usr_bin_first() -> std::ffi::OsString {
    let mut path = std::ffi::OsString::from("/usr/bin:");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}
