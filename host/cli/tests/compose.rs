//! `urlpool compose`: the client plugged into real components, and why it cannot be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::{Folder, Ran, guest, urlpool};
use std::collections::BTreeSet;
use urlpool_compose::World;

fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stdout.is_empty());
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
}

fn composed(args: &[&str]) -> World {
    let ran = urlpool(&[&["compose"], args, &["-o", "-"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    World::of(&ran.stdout).unwrap()
}

fn imports(path: &str) -> Vec<String> {
    World::of(&std::fs::read(path).unwrap()).unwrap().imports().to_vec()
}

/// The names without the last number of their versions.
fn series(imports: &[String]) -> BTreeSet<&str> {
    imports.iter().map(|import| import.rsplit_once('.').map_or(&**import, |(series, _)| series)).collect()
}

#[test]
fn the_result_imports_what_both_did_and_nothing_of_the_client() {
    let folder = Folder::new("the_result_imports");
    let client = folder.join("client.wasm");
    assert_eq!(urlpool(&["component", "-o", &client]).status, 0);
    let whole = composed(&[&guest("caller")]);
    let (of_app, of_client) = (imports(&guest("caller")), imports(&client));
    let both: BTreeSet<_> = series(&of_app).union(&series(&of_client)).copied().collect();
    let expected: BTreeSet<_> = both.into_iter().filter(|import| !import.starts_with("urlpool:")).collect();
    assert_eq!(series(whole.imports()), expected);
    // Each of them once, whatever versions the two were built against.
    assert_eq!(whole.imports().len(), expected.len());
    assert_eq!(whole.exports(), ["wasi:cli/run@0.2.12"]);
}

#[test]
fn the_same_component_comes_out_each_time() {
    let [one, two] = [(); 2].map(|()| urlpool(&["compose", &guest("caller"), "-o", "-"]).stdout);
    assert!(!one.is_empty() && one == two);
}

#[test]
fn a_client_of_another_version_of_the_series_is_plugged_in() {
    let folder = Folder::new("a_client_of_another_version");
    let client = urlpool(&["component", "-o", "-"]).stdout;
    let world = World::of(&client).unwrap();
    let version = world.exports()[0].split_once('@').unwrap().1.to_owned();
    let (series, patch) = version.rsplit_once('.').unwrap();
    let next = format!("{series}.{}", patch.parse::<u32>().unwrap() + 1);
    // Of the same length, so that everything stays where it is.
    assert_eq!(version.len(), next.len());
    let later = folder.file("later.wasm", replaced(&client, &version, &next));
    let whole = composed(&[&guest("caller"), "--component", &later]);
    assert!(!whole.wants_client());
    let other = folder.file("other.wasm", replaced(&client, &version, "0.9.0"));
    let ran = urlpool(&["compose", &guest("caller"), "-o", "-", "--component", &other]);
    refused(&ran, &["guest-caller.wasm: imports urlpool:client/", "the client here is urlpool:client@0.9.0"]);
}

/// The client under another version of its package.
fn replaced(client: &[u8], version: &str, by: &str) -> Vec<u8> {
    let mut client = client.to_vec();
    for interface in ["policy", "messages", "pool"] {
        let (name, by) = (format!("urlpool:client/{interface}@{version}"), format!("urlpool:client/{interface}@{by}"));
        let at: Vec<_> =
            client.windows(name.len()).enumerate().filter(|(_, window)| *window == name.as_bytes()).collect();
        let at: Vec<_> = at.into_iter().map(|(at, _)| at).collect();
        assert!(!at.is_empty());
        for at in at {
            client[at..at + name.len()].copy_from_slice(by.as_bytes());
        }
    }
    client
}

#[test]
fn what_cannot_be_composed_is_told_in_one_line() {
    let folder = Folder::new("what_cannot_be_composed");
    let out = folder.join("out.wasm");
    let module = folder.file("module.wasm", b"\0asm\x01\0\0\0");
    let (caller, get) = (guest("caller"), guest("get"));
    for (args, words) in [
        (&[&*get, "-o", &out][..], &["guest-get.wasm: imports nothing of urlpool:client", "`urlpool run`"][..]),
        (&[&module, "-o", &out], &["module.wasm: a core module, not a component"]),
        (&["/does/not/exist", "-o", &out], &["/does/not/exist"]),
        (
            &[&caller, "-o", &out, "--component", &get],
            &["--component", "guest-get.wasm: exports nothing of urlpool:client"],
        ),
        (&[&caller, "-o", &out, "--component", &module], &["--component", "a core module"]),
        (&[&caller, "-o", "/does/not/exist/out.wasm"], &["-o /does/not/exist/out.wasm"]),
    ] {
        refused(&urlpool(&[&["compose"], args].concat()), words);
    }
    assert!(!std::path::Path::new(&out).exists());
}
