//! The checkout this runs in, and the commands run in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The checkout that this xtask was started from.
    ///
    /// # Errors
    ///
    /// When the folder that cargo names is not that of a workspace.
    pub(crate) fn find() -> Result<Self> {
        // Cargo sets it for `cargo run` and `cargo test` too; the compiled-in one serves a bare start of the binary.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        match manifest.parent() {
            Some(root) if root.join("Cargo.lock").is_file() => Ok(Self { root: root.to_owned() }),
            _ => bail!("{}: not the folder of xtask in a checkout of urlpool", manifest.display()),
        }
    }

    /// The root itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the checkout.
    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A call of the cargo that started this xtask, to be run in the root.
    pub(crate) fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = self.command(Path::new(&cargo));
        command.args(args);
        command
    }

    /// A call of this program, to be run in the root.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        command
    }
}

/// A command that ended badly; its status becomes that of xtask.
#[derive(Debug)]
pub(crate) struct Failed {
    command: String,
    /// The status it ended with; 1 when a signal ended it.
    pub(crate) status: u8,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with status {}", self.command, self.status)
    }
}

impl std::error::Error for Failed {}

/// Runs a command to its end, with its output where ours goes.
///
/// # Errors
///
/// When it cannot be started, and `Failed` when it ends badly.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("`{shown}`: cannot be started"))?;
    if status.success() {
        return Ok(());
    }
    let status = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    bail!(Failed { command: shown, status })
}

/// Runs a command and returns what it wrote to stdout.
///
/// # Errors
///
/// When it cannot be started, writes no text, or ends badly; then with what it wrote to stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.stderr(Stdio::piped()).output().with_context(|| format!("`{shown}`: cannot be started"))?;
    if !output.status.success() {
        bail!("`{shown}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}`: writes no text"))
}

/// The command as one would type it: the name of the program without its folder, and the arguments.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let mut words = vec![program.to_string_lossy()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy()));
    words.join(" ")
}
