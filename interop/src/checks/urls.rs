//! Hosts beyond ASCII, by the tests of Unicode, which come with the crate `idna`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use urlpool_conformance::Rig;
use urlpool_core::Target;

use crate::check::checks;

checks! { "urls";
    [] hosts_become_what_unicode_says;
}

async fn hosts_become_what_unicode_says(_: &Rig) -> Result<()> {
    let text = std::fs::read_to_string(vectors()?)?;
    let (mut same, mut refused) = (0, 0);
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(vector) = Vector::read(line)? else { continue };
        let parsed = Target::parse(&format!("http://{}/", vector.source));
        match (&vector.expected, parsed) {
            (Some(host), Ok((target, _))) => {
                ensure!(target.authority() == *host, "{line}: {}", target.authority());
                same += 1;
            }
            (None, Err(_)) => refused += 1,
            (_, parsed) => bail!("{line}: {parsed:?}"),
        }
    }
    // As many as there are in Unicode 16, so that no vector slips by unseen.
    ensure!((same, refused) == (483, 4718), "{same} hosts and {refused} refusals");
    Ok(())
}

/// A host, and what it is to become; none when it is no host.
struct Vector {
    source: String,
    expected: Option<String>,
}

impl Vector {
    /// Reads a line of `IdnaTestV2.txt`. None where it is about settings that URLs do not have, or where the text would not get
    /// as far as to be a host.
    fn read(line: &str) -> Result<Option<Self>> {
        let columns: Vec<_> = line.split('#').next().unwrap_or_default().split(';').map(str::trim).collect();
        let [source, unicode, unicode_status, ascii, ascii_status, ..] = columns[..] else {
            bail!("{line}: too few columns");
        };
        let status = if ascii_status.is_empty() { unicode_status } else { ascii_status };
        let errors: BTreeSet<_> =
            status.trim_matches(['[', ']']).split(',').map(str::trim).filter(|error| !error.is_empty()).collect();
        // URLs check neither hyphens nor lengths, nor that labels are those of host names (the URL standard, section 3.3).
        // V4 would refuse two of the vectors, whose labels decode to ones that begin with `xn--` again: idna 1.1 looks for that only
        // where it checks hyphens.
        let ignored = ["V2", "V3", "V4", "A4_1", "A4_2", "U1"];
        let counted = errors.iter().any(|error| !ignored.contains(error));
        if !errors.is_empty() && !counted {
            return Ok(None);
        }
        let Some(source) = unescaped(source) else { return Ok(None) };
        // What was no character in Unicode 16 has become one.
        let decoded = if unicode.is_empty() { Some(source.clone()) } else { unescaped(unicode) };
        let since = |c: char| SINCE.iter().any(|block| block.contains(&c));
        if counted && decoded.iter().any(|text| text.contains(since)) {
            return Ok(None);
        }
        // These end a host, or never were part of one. A last label of digits is an address.
        let special = |c: char| c.is_control() || " #%/:<>?@[\\]^|\"".contains(c);
        let last = source.trim_end_matches(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']);
        if source.is_empty() || source.contains(special) || last.ends_with(|c: char| c.is_numeric()) {
            return Ok(None);
        }
        // Where nothing but ASCII is there and no label is encoded, URLs do not ask.
        if counted && source.is_ascii() && !source.to_ascii_lowercase().contains("xn--") {
            return Ok(None);
        }
        let expected = if ascii.is_empty() { decoded } else { unescaped(ascii) };
        match expected {
            _ if counted => Ok(Some(Self { source, expected: None })),
            Some(host) if host.is_ascii() => Ok(Some(Self { source, expected: Some(host) })),
            _ => bail!("{line}: no ASCII to compare with"),
        }
    }
}

/// Blocks that were not assigned when the vectors were made: an extension of CJK, of Unicode 17, and the seal script.
const SINCE: [RangeInclusive<char>; 2] = ['\u{323b0}'..='\u{33479}', '\u{3d000}'..='\u{3fc3f}'];

/// The text of a column, with its escapes undone; none when it holds half of a surrogate pair, which no text can.
fn unescaped(column: &str) -> Option<String> {
    let column = if column == "\"\"" { "" } else { column };
    let mut text = String::new();
    let mut rest = column;
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let (digits, after) = match escape.strip_prefix("x{") {
            Some(braced) => braced.split_once('}')?,
            None => escape.strip_prefix('u')?.split_at_checked(4)?,
        };
        text.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// Where cargo has put the crate.
fn vectors() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Not offline: it wants the packages of all platforms, which a build of this one does not fetch.
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let told = cargo.output()?;
    ensure!(told.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&told.stderr));
    let metadata: Value = serde_json::from_slice(&told.stdout).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let idna = packages.iter().find(|package| package["name"] == "idna").context("the crate idna")?;
    let manifest = PathBuf::from(idna["manifest_path"].as_str().context("its manifest")?);
    Ok(manifest.with_file_name("tests").join("IdnaTestV2.txt"))
}
