//! What is built in besides our own code: its licences and where it comes from, by `deny.toml`.
//!
//! The same file serves cargo-deny; this needs neither minutes to build a tool nor its database.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::console::Console;
use crate::licence;
use crate::workspace::{self, Workspace};

/// Judges the dependencies for all platforms, as `Cargo.lock` has them.
///
/// # Errors
///
/// When a licence or a source is not allowed, when core depends on something that acts, and when
/// `Cargo.lock` is out of date.
pub(crate) fn check(workspace: &Workspace, console: &Console) -> Result<()> {
    let text = std::fs::read_to_string(workspace.join("deny.toml")).context("deny.toml")?;
    let rules: Rules = toml::from_str(&text).context("deny.toml")?;
    let json =
        workspace::output(&mut workspace.cargo(["metadata", "--format-version", "1", "--locked", "--all-features"]))?;
    let graph: Graph = serde_json::from_str(&json).context("cargo metadata")?;

    let judged = graph.judge(&rules);
    for unused in &judged.unused {
        console.warn(&format!("deny.toml: {unused}: not needed any more"));
    }
    let several = graph.in_several_versions();
    if several > 0 {
        console.note(&format!("{several} crates are there in more than one version (see `cargo tree --duplicates`)"));
    }
    if judged.refused.is_empty() {
        console.note(&format!("{} packages: licences and sources allowed", graph.packages.len()));
        return Ok(());
    }
    bail!("not allowed:\n{}", judged.refused.join("\n"))
}

/// Our own crates that must stay free of effects, and what would bring some in.
const CORE: &str = "urlpool-core";
const ACTING: [&str; 9] = ["getrandom", "hyper", "mio", "rand", "tokio", "wasi", "wasip2", "wasmtime", "wit-bindgen"];

/// The part of `deny.toml` that is judged here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// Licences that one crate may have.
#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// What `cargo metadata` tells.
#[derive(Deserialize)]
struct Graph {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Deserialize)]
struct DepKind {
    /// `dev`, `build`, or none for what is built in.
    kind: Option<String>,
}

/// What is wrong, a line each.
struct Judged {
    refused: Vec<String>,
    unused: Vec<String>,
}

impl Graph {
    fn judge(&self, rules: &Rules) -> Judged {
        let mut refused = Vec::new();
        let mut used = BTreeSet::new();
        for package in &self.packages {
            if let Some(reason) = self.source_refused(package, &rules.sources) {
                refused.push(format!("{} {}: {reason}", package.name, package.version));
            }
            match package.licence_allowed(&rules.licenses) {
                Ok(allowed) => used.extend(allowed),
                Err(error) => refused.push(format!("{} {}: {error}", package.name, package.version)),
            }
        }
        refused.extend(self.effects_of_core());
        let exceptions = rules.licenses.exceptions.iter().map(|exception| &exception.name);
        let unused = rules.licenses.allow.iter().chain(exceptions);
        let unused = unused.filter(|entry| !used.contains(entry.as_str())).cloned().collect();
        Judged { refused, unused }
    }

    fn source_refused(&self, package: &Package, rules: &Sources) -> Option<String> {
        let Some(source) = &package.source else {
            let ours = self.workspace_members.contains(&package.id);
            return (!ours).then(|| "a folder outside of the workspace".to_owned());
        };
        let allowed = source
            .strip_prefix("registry+")
            .is_some_and(|registry| rules.allow_registry.iter().any(|allowed| allowed == registry));
        (!allowed).then(|| format!("comes from {source}"))
    }

    fn effects_of_core(&self) -> Vec<String> {
        let names: BTreeMap<&str, &str> =
            self.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let nodes: BTreeMap<&str, &Node> = self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let built_in = |edge: &&Edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = names.iter().filter(|(_, name)| **name == CORE).map(|(id, _)| *id).collect();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                let edges = nodes.get(id).into_iter().flat_map(|node| &node.deps);
                open.extend(edges.filter(built_in).map(|edge| edge.pkg.as_str()));
            }
        }
        seen.iter()
            .filter_map(|id| names.get(id))
            .filter(|name| ACTING.contains(name))
            .map(|name| format!("{CORE}: depends on {name}, which acts; core only decides"))
            .collect()
    }

    fn in_several_versions(&self) -> usize {
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        for package in &self.packages {
            *seen.entry(&package.name).or_default() += 1;
        }
        seen.values().filter(|versions| **versions > 1).count()
    }
}

impl Package {
    /// Which entries of the rules allow the licence of this package.
    fn licence_allowed<'a>(&self, rules: &'a Licences) -> Result<Vec<&'a str>> {
        let Some(expression) = &self.license else {
            bail!("names no licence");
        };
        let entry = |name: &str| rules.allow.iter().find(|allowed| *allowed == name);
        let exception = rules.exceptions.iter().find(|exception| exception.name == self.name);
        let excepted =
            |name: &str| exception.is_some_and(|exception| exception.allow.iter().any(|allowed| allowed == name));
        let used = std::cell::RefCell::new(Vec::new());
        let met = licence::is_met(expression, &|name| {
            if let Some(entry) = entry(name) {
                used.borrow_mut().push(entry.as_str());
                return true;
            }
            excepted(name)
        })?;
        if !met {
            bail!("licence {expression}");
        }
        let mut used = used.into_inner();
        used.extend(exception.map(|exception| exception.name.as_str()));
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Zlib"]
        exceptions = [{ crate = "roots", allow = ["CDLA-Permissive-2.0"] }]
        [sources]
        allow-registry = ["https://registry.test/index"]
    "#;

    /// A graph in which core depends on each of `packages`: name, licence, source.
    fn judge(packages: &[(&str, &str, Option<&str>)]) -> Judged {
        let package = |name: &str, license: &str, source: Option<&str>| Package {
            id: name.to_owned(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: Some(license.to_owned()),
            source: source.map(str::to_owned),
        };
        let edge = |name: &str| Edge { pkg: name.to_owned(), dep_kinds: vec![DepKind { kind: None }] };
        let mut graph = Graph {
            packages: vec![package(CORE, "MIT", None)],
            workspace_members: BTreeSet::from([CORE.to_owned()]),
            resolve: Resolve {
                nodes: vec![Node { id: CORE.to_owned(), deps: packages.iter().map(|(name, ..)| edge(name)).collect() }],
            },
        };
        graph.packages.extend(packages.iter().map(|(name, license, source)| package(name, license, *source)));
        graph.judge(&toml::from_str(RULES).unwrap())
    }

    const REGISTRY: Option<&str> = Some("registry+https://registry.test/index");

    #[test]
    fn an_allowed_licence_from_an_allowed_registry_passes() {
        let judged = judge(&[("a", "MIT OR GPL-3.0-only", REGISTRY), ("roots", "CDLA-Permissive-2.0", REGISTRY)]);
        assert!(judged.refused.is_empty(), "{:?}", judged.refused);
        assert_eq!(judged.unused, ["Zlib"]);
    }

    #[test]
    fn another_licence_is_refused_by_the_name_of_its_crate() {
        assert_eq!(judge(&[("a", "GPL-3.0-only", REGISTRY)]).refused, ["a 1.0.0: licence GPL-3.0-only"]);
    }

    #[test]
    fn an_exception_serves_one_crate_only() {
        assert_eq!(judge(&[("a", "CDLA-Permissive-2.0", REGISTRY)]).refused.len(), 1);
    }

    #[test]
    fn other_registries_git_and_folders_outside_are_refused() {
        for source in [Some("registry+https://other.test/index"), Some("git+https://a.test/a#1"), None] {
            assert_eq!(judge(&[("a", "MIT", source)]).refused.len(), 1, "{source:?}");
        }
    }

    #[test]
    fn a_core_that_acts_is_refused() {
        let refused = judge(&[("tokio", "MIT", REGISTRY)]).refused;
        assert_eq!(refused, ["urlpool-core: depends on tokio, which acts; core only decides"]);
    }
}
