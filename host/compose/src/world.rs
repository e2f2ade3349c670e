//! What a component imports and exports, by name.

use crate::Error;
use semver::Version;
use wac_graph::types::are_semver_compatible;
use wasmparser::{Chunk, Encoding, Parser, Payload};

/// The names of what a component imports and exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl World {
    /// Reads the world of a component; what is inside of it is not validated.
    ///
    /// # Errors
    ///
    /// [`Error::NoWasm`], [`Error::CoreModule`], and [`Error::Unreadable`] for what begins like a component only.
    pub fn of(component: &[u8]) -> Result<Self, Error> {
        if !component.starts_with(MAGIC) {
            return Err(Error::NoWasm);
        }
        let unreadable = |error: wasmparser::BinaryReaderError| Error::Unreadable(error.to_string());
        let mut world = Self::default();
        let mut parser = Parser::new(0);
        let mut rest = component;
        loop {
            let payload = match parser.parse(rest, true).map_err(unreadable)? {
                // With all of it at hand, there is always a payload or an error.
                Chunk::NeedMoreData(_) => return Err(Error::Unreadable("ends early".into())),
                Chunk::Parsed { consumed, payload } => {
                    rest = &rest[consumed..];
                    payload
                }
            };
            match payload {
                Payload::Version { encoding: Encoding::Module, .. } => return Err(Error::CoreModule),
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        world.imports.push(import.map_err(unreadable)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        world.exports.push(export.map_err(unreadable)?.name.name.to_owned());
                    }
                }
                // What is nested has a world of its own, and the parser expects to go on behind it.
                Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                    let length = unchecked_range.end - unchecked_range.start;
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    rest = rest.get(length..).ok_or_else(|| Error::Unreadable("ends early".into()))?;
                }
                Payload::End(_) => return Ok(world),
                _ => {}
            }
        }
    }

    /// What it imports, in its order.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// What it exports, in its order.
    pub fn exports(&self) -> &[String] {
        &self.exports
    }

    /// Whether it exports this interface in a compatible version: `wasi:cli/run@0.2.0` stands for all of 0.2.
    pub fn exports_like(&self, name: &str) -> bool {
        self.exports.iter().any(|export| are_semver_compatible(export, name))
    }

    /// Whether it imports this interface in a compatible version.
    pub fn imports_like(&self, name: &str) -> bool {
        self.imports.iter().any(|import| are_semver_compatible(import, name))
    }

    /// Whether it imports anything of the client, in whatever version.
    pub fn wants_client(&self) -> bool {
        self.of_client().next().is_some()
    }

    /// The interfaces of the client that it imports.
    pub(crate) fn of_client(&self) -> impl Iterator<Item = Interface> {
        self.imports.iter().filter_map(|name| Interface::of_client(name))
    }
}

/// What every module and component begins with.
const MAGIC: &[u8] = b"\0asm";

/// An interface of the client, as a component names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    name: String,
    version: Option<Version>,
}

impl Interface {
    /// The interface of this name, if it is one of the client.
    pub(crate) fn of_client(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
        let version = match rest.split_once('@') {
            None => None,
            // A version that is none comes from no tool; wac and wasmtime compare such names as they are.
            Some((_, version)) => Version::parse(version).ok(),
        };
        Some(Self { name: name.to_owned(), version })
    }

    /// Its whole name, such as `urlpool:client/pool@0.2.0`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its version, if it has one.
    pub(crate) fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// Its package with its version, such as `urlpool:client@0.2.0`.
    pub(crate) fn package(&self) -> String {
        match &self.version {
            Some(version) => format!("{PACKAGE}@{version}"),
            None => PACKAGE.to_owned(),
        }
    }

    /// Whether both are of versions that fit each other; they may be different interfaces.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let version = |interface: &Self| match &interface.version {
            // The name does not matter here.
            Some(version) => format!("{PACKAGE}/any@{version}"),
            None => format!("{PACKAGE}/any"),
        };
        are_semver_compatible(&version(self), &version(other))
    }
}

/// The package whose interfaces are plugged.
pub(crate) const PACKAGE: &str = "urlpool:client";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_told_apart() {
        assert!(matches!(World::of(b"(component)"), Err(Error::NoWasm)));
        assert!(matches!(World::of(b""), Err(Error::NoWasm)));
        assert!(matches!(World::of(&wat::parse_str("(module)").unwrap()), Err(Error::CoreModule)));
        let component = wat::parse_str("(component (import \"a:b/c@1.0.0\" (instance)))").unwrap();
        // At the end of a section it would be a shorter component.
        for end in [4, 7, 10, component.len() - 1] {
            let cut = World::of(&component[..end]);
            assert!(matches!(&cut, Err(Error::Unreadable(_))), "{end}: {cut:?}");
        }
    }

    #[test]
    fn the_worlds_of_what_is_nested_are_not_its_own() {
        let component = wat::parse_str(
            "(component
               (import \"a:b/c@0.2.1\" (instance $c))
               (core module (import \"x\" \"y\" (func)) (export \"z\" (func 0)))
               (component (import \"d:e/f\" (func)))
               (export \"g:h/i@0.2.3\" (instance $c)))",
        )
        .unwrap();
        let world = World::of(&component).unwrap();
        assert_eq!((world.imports(), world.exports()), (&["a:b/c@0.2.1".into()][..], &["g:h/i@0.2.3".into()][..]));
        assert!(world.exports_like("g:h/i@0.2.0") && !world.exports_like("g:h/i@0.3.0"));
        assert!(world.imports_like("a:b/c@0.2.9") && !world.wants_client());
    }
}
