//! The plug: the client, and how it goes into an app.

use crate::Error;
use crate::world::{Interface, PACKAGE, World};
use wac_graph::types::{ItemKind, Package, SubtypeChecker, are_semver_compatible};
use wac_graph::{CompositionGraph, EncodeError, EncodeOptions, PackageId};

/// The client component, ready to be plugged into others.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    bytes: &'a [u8],
}

impl<'a> Client<'a> {
    /// Takes a component that exports `urlpool:client`.
    ///
    /// # Errors
    ///
    /// [`Error::NoClient`], and those of [`World::of`].
    pub fn new(component: &'a [u8]) -> Result<Self, Error> {
        let world = World::of(component)?;
        if !world.exports().iter().any(|name| Interface::of_client(name).is_some()) {
            return Err(Error::NoClient);
        }
        Ok(Self { bytes: component })
    }

    /// The app with this client in it: it exports what the app did, and imports what both did but for the client.
    ///
    /// Versions that are compatible by the rules of semver meet, such as an app for 0.2.0 and a client of 0.2.1. Where both
    /// import WASI in different versions of one series, the result imports the later one. The same two give the same bytes.
    ///
    /// # Errors
    ///
    /// Every [`Error`] but [`Error::NoClient`].
    pub fn plug_into(&self, app: &[u8]) -> Result<Vec<u8>, Error> {
        let wanted: Vec<Interface> = World::of(app)?.of_client().collect();
        if wanted.is_empty() {
            return Err(Error::NothingToPlug);
        }
        let mut graph = CompositionGraph::new();
        let socket = register(&mut graph, "app", app)?;
        let plug = register(&mut graph, "client", self.bytes)?;
        let offered = self.fitting(&wanted, &graph, plug, socket)?;

        let merge = |error: &dyn std::error::Error| Error::Merge(chain(error));
        let (app_instance, client_instance) = (graph.instantiate(socket), graph.instantiate(plug));
        for (wanted, offered) in wanted.iter().zip(&offered) {
            let export = graph.alias_instance_export(client_instance, offered.name()).map_err(|error| merge(&error))?;
            graph.set_instantiation_argument(app_instance, wanted.name(), export).map_err(|error| merge(&error))?;
        }
        let exports: Vec<String> = graph.types()[graph[socket].ty()].exports.keys().cloned().collect();
        for name in exports {
            let export = graph.alias_instance_export(app_instance, &name).map_err(|error| merge(&error))?;
            graph.export(export, &name).map_err(|error| merge(&error))?;
        }
        let whole = graph.encode(EncodeOptions::default()).map_err(|error| match error {
            // What is inside of the parts is looked at here only.
            EncodeError::ValidationFailure { source } => Error::Unreadable(source.to_string()),
            error => merge(&error),
        })?;
        self.hold_imports(&whole, app)?;
        Ok(whole)
    }

    /// Of each wanted interface the one of the client that fits.
    fn fitting(
        &self,
        wanted: &[Interface],
        graph: &CompositionGraph,
        plug: PackageId,
        socket: PackageId,
    ) -> Result<Vec<Interface>, Error> {
        let types = graph.types();
        let (exports, imports) = (&types[graph[plug].ty()].exports, &types[graph[socket].ty()].imports);
        let offered: Vec<(Interface, ItemKind)> =
            exports.iter().filter_map(|(name, kind)| Some((Interface::of_client(name)?, *kind))).collect();
        let mut cache = Default::default();
        let mut checker = SubtypeChecker::new(&mut cache);
        let mut fitting = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let exact = offered.iter().find(|(offered, _)| offered == wanted);
            let compatible =
                || offered.iter().find(|(offered, _)| are_semver_compatible(offered.name(), wanted.name()));
            let Some((found, kind)) = exact.or_else(compatible) else {
                let (other, _) = offered.first().ok_or(Error::NoClient)?;
                let names = (wanted.name().to_owned(), other.name().to_owned());
                return Err(match other.meets(wanted) {
                    true => Error::Missing { wanted: names.0, offered: names.1 },
                    false => Error::Version { wanted: names.0, offered: names.1 },
                });
            };
            if let Some(expected) = imports.get(wanted.name())
                && let Err(error) = checker.is_subtype(*kind, types, *expected, types)
            {
                let why = one_line(&format!("{error:#}"));
                return Err(Error::Mismatch { wanted: wanted.name().into(), offered: found.name().into(), why });
            }
            fitting.push(found.clone());
        }
        Ok(fitting)
    }

    /// Checks that the composed component asks its host for no more than its parts did.
    fn hold_imports(&self, whole: &[u8], app: &[u8]) -> Result<(), Error> {
        let (app, client) = (World::of(app)?, World::of(self.bytes)?);
        let whole = World::of(whole)?;
        let excess = whole.imports().iter().find(|import| {
            let from = |part: &World| part.imports_like(import);
            import.starts_with(PACKAGE) || !(from(&app) || from(&client))
        });
        match excess {
            Some(import) => Err(Error::Excess(import.clone())),
            None => Ok(()),
        }
    }
}

fn register(graph: &mut CompositionGraph, name: &str, bytes: &[u8]) -> Result<PackageId, Error> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut());
    let package = package.map_err(|error| Error::Unreadable(one_line(&format!("{error:#}"))))?;
    graph.register_package(package).map_err(|error| Error::Unreadable(error.to_string()))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    one_line(&text)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
