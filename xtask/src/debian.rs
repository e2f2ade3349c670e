//! Packages of Debian's archive.

use std::process::{Command, Stdio};

use crate::workspace;

/// Whether packages can be installed here: there is apt, and it would let us.
pub(crate) fn can_install() -> bool {
    works("apt-get", &["--version"]) && is_root()
}

/// Installs packages, without those that they merely recommend. Returns whether that went well.
pub(crate) fn install<P: AsRef<str>>(packages: &[P]) -> bool {
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).stdin(Stdio::null()).env("DEBIAN_FRONTEND", "noninteractive");
        workspace::run(&mut command).is_ok()
    };
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages.iter().map(AsRef::as_ref));
    // The lists of a fresh machine are empty or old; elsewhere fetching them again is for nothing.
    apt(&install) || (apt(&["update"]) && apt(&install))
}

/// Whether a program is there and does this, silently.
pub(crate) fn works(program: &str, args: &[&str]) -> bool {
    let status =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let told = workspace::output(Command::new("id").arg("-u"));
    told.is_ok_and(|id| id.trim() == "0")
}
