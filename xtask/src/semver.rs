//! The WIT package against the one released last: whoever imports it must not notice an update.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::{PackageId, PackageName, Resolve, WorldId};

use crate::console::Console;
use crate::workspace::Workspace;

/// Compares `wit/` with the last release of its series under `wit/released/`.
///
/// # Errors
///
/// When it breaks importers, or changes what is released without another version.
pub(crate) fn check(workspace: &Workspace, console: &Console) -> Result<()> {
    let current = Package::read(&workspace.join("wit"))?;
    let releases = releases(&workspace.join(RELEASES))?;
    let Some(released) = current.last_of_series(&releases) else {
        console.note(&format!("{current}: no release of its series to compare it with"));
        return Ok(());
    };
    match current.compare(released)? {
        Change::None => console.note(&format!("{current}: the same as the released {released}")),
        Change::Compatible => {
            console.note(&format!("{current}: more than {released}, and breaks no importer of it"));
        }
    }
    Ok(())
}

/// Keeps a copy of `wit/`, its dependencies included, as the release that it names.
///
/// # Errors
///
/// When that version is released already, or `check` fails.
pub(crate) fn release(workspace: &Workspace, console: &Console) -> Result<()> {
    let current = Package::read(&workspace.join("wit"))?;
    let folder = format!("{RELEASES}/{}", current.version()?);
    if workspace.join(&folder).exists() {
        bail!("{folder}: released already, and a release never changes");
    }
    check(workspace, console)?;
    std::fs::create_dir_all(workspace.join(&folder)).with_context(|| folder.clone())?;
    let file = format!("{folder}/client.wit");
    std::fs::write(workspace.join(&file), current.print()?).with_context(|| file.clone())?;
    println!("{file}: written");
    Ok(())
}

/// A folder for each released version, with one file that holds the package and all it refers to.
const RELEASES: &str = "wit/released";

/// What a package changes of a released one, when it breaks nothing.
#[derive(Debug, PartialEq)]
enum Change {
    None,
    Compatible,
}

/// One version of the WIT package, with all it refers to.
pub(crate) struct Package {
    resolve: Resolve,
    id: PackageId,
}

impl Package {
    /// Reads a folder of WIT files and its `deps`, if any.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut resolve = Resolve::default();
        let (id, _) = resolve.push_dir(folder)?;
        Ok(Self { resolve, id })
    }

    /// Reads a package as registries keep it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        match wit_component::decode(bytes)? {
            DecodedWasm::WitPackage(resolve, id) => Ok(Self { resolve, id }),
            DecodedWasm::Component(..) => bail!("a component, and no WIT package"),
        }
    }

    /// The package as registries keep it, its docs included.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        wit_component::encode(&self.resolve, self.id)
    }

    /// What of `released` this package changes.
    ///
    /// # Errors
    ///
    /// When a component that imports `released` could not be given this package instead, and when
    /// anything differs under the same version.
    fn compare(&self, released: &Self) -> Result<Change> {
        self.serves_importers_of(released).with_context(|| format!("{self}: breaks importers of {released}"))?;
        // Only what is the same can serve both ways round.
        if released.serves_importers_of(self).is_ok() {
            return Ok(Change::None);
        }
        if self.name().version == released.name().version {
            bail!("{self}: differs from the release of this version, so it must carry the next one");
        }
        Ok(Change::Compatible)
    }

    fn serves_importers_of(&self, released: &Self) -> Result<()> {
        let mut released = Self { resolve: released.resolve.clone(), id: released.id };
        // Packages of one name and version merge into one. The check itself ignores versions.
        let unversioned = PackageName { version: None, ..self.name().clone() };
        released.resolve.package_names.shift_remove(&released.name().clone());
        released.resolve.packages[released.id].name = unversioned.clone();
        released.resolve.package_names.insert(unversioned, released.id);

        let mut resolve = self.resolve.clone();
        let remap = resolve.merge(released.resolve)?;
        let old = imports(&resolve, remap.packages[released.id.index()])?;
        let new = imports(&resolve, self.id)?;
        wit_component::semver_check(resolve, old, new)
    }

    /// The newest of the releases whose importers expect to be served by this package.
    fn last_of_series<'a>(&self, releases: &'a [Self]) -> Option<&'a Self> {
        let series = |package: &Self| package.name().version.as_ref().map(PackageName::version_compat_track);
        releases
            .iter()
            .filter(|release| series(release) == series(self))
            .max_by(|a, b| a.name().version.cmp(&b.name().version))
    }

    /// The package and all it refers to as one text.
    fn print(&self) -> Result<String> {
        let others: Vec<_> = self.resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != self.id).collect();
        let mut printer = WitPrinter::default();
        printer.print(&self.resolve, self.id, &others)?;
        Ok(printer.output.to_string())
    }

    /// The package alone as text.
    pub(crate) fn print_alone(&self) -> Result<String> {
        let mut printer = WitPrinter::default();
        printer.print(&self.resolve, self.id, &[])?;
        Ok(printer.output.to_string())
    }

    fn version(&self) -> Result<String> {
        let version = self.name().version.as_ref();
        Ok(version.with_context(|| format!("{self}: has no version"))?.to_string())
    }

    fn name(&self) -> &PackageName {
        &self.resolve.packages[self.id].name
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// The world of importers: on the one that exports, the same check judges another question.
fn imports(resolve: &Resolve, package: PackageId) -> Result<WorldId> {
    resolve.select_world(&[package], Some("imports"))
}

fn releases(folder: &Path) -> Result<Vec<Package>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut releases = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            releases.push(Package::read(&path)?);
        }
    }
    Ok(releases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(text: &str) -> Package {
        let mut resolve = Resolve::default();
        let id = resolve.push_str("client.wit", text).unwrap();
        Package { resolve, id }
    }

    fn with(version: &str, record: &str, resource: &str) -> Package {
        package(&format!(
            "package a:client@{version};
             interface pool {{
               use b:io/poll@0.2.12.{{pollable}};
               record error {{ message: string, {record} }}
               resource stats {{ requests: func() -> u64; {resource} }}
               wait: func(also: list<borrow<pollable>>) -> result<stats, error>;
             }}
             world imports {{ import pool; }}
             package b:io@0.2.12 {{ interface poll {{ resource pollable; }} }}"
        ))
    }

    #[test]
    fn an_unchanged_package_passes_under_its_own_version() {
        let released = with("0.2.0", "", "");
        assert_eq!(with("0.2.0", "", "").compare(&released).unwrap(), Change::None);
    }

    #[test]
    fn a_new_method_passes_under_the_next_version() {
        let released = with("0.2.0", "", "");
        let grown = with("0.2.1", "", "retries: func() -> u64;");
        assert_eq!(grown.compare(&released).unwrap(), Change::Compatible);
    }

    #[test]
    fn a_new_method_fails_under_the_released_version() {
        let released = with("0.2.0", "", "");
        let error = with("0.2.0", "", "retries: func() -> u64;").compare(&released).unwrap_err();
        assert!(error.to_string().contains("must carry the next one"), "{error:#}");
    }

    #[test]
    fn a_removed_method_fails() {
        let released = with("0.2.0", "", "retries: func() -> u64;");
        let error = with("0.2.1", "", "").compare(&released).unwrap_err();
        assert!(error.to_string().contains("a:client@0.2.1: breaks importers of a:client@0.2.0"), "{error:#}");
    }

    #[test]
    fn a_new_record_field_fails_even_when_it_is_optional() {
        let released = with("0.2.0", "", "");
        let error = with("0.2.1", "status: option<u16>,", "").compare(&released).unwrap_err();
        assert!(error.to_string().contains("breaks importers"), "{error:#}");
    }

    #[test]
    fn the_newest_release_of_the_same_series_counts() {
        let releases = ["0.2.0", "0.3.0", "0.2.10", "0.2.9"].map(|version| with(version, "", ""));
        let last = |version| with(version, "", "").last_of_series(&releases).map(|last| last.version().unwrap());
        assert_eq!(last("0.2.11").as_deref(), Some("0.2.10"));
        assert_eq!(last("0.4.0"), None);
    }

    #[test]
    fn a_printed_package_reads_as_the_same_one() {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let current = Package::read(&wit).unwrap();
        let printed = package(&current.print().unwrap());
        assert_eq!(current.compare(&printed).unwrap(), Change::None);
    }
}
