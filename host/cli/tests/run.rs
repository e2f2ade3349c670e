//! `urlpool run`: commands over kept connections, and what keeps them from running.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::{Folder, Ran, Server, guest, urlpool, urlpool_with};
use serde_json::Value;

/// One line on stderr that holds each of these, nothing on stdout, and this status.
fn refused(ran: &Ran, status: i32, words: &[&str]) {
    assert_eq!(ran.status, status, "{}", ran.stderr);
    assert!(ran.stdout.is_empty());
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
}

fn stats(ran: &Ran) -> Value {
    let line = ran.stderr.lines().last().unwrap();
    serde_json::from_str::<Value>(line).unwrap()["stats"].clone()
}

fn origin(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port)
}

#[test]
fn a_component_that_never_heard_of_urlpool_uses_one_connection_for_many_requests() {
    let server = Server::start();
    let ran = urlpool(&["run", "--allow", &origin(&server), "--stats", &guest("get"), &server.url("/"), "20"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(ran.text(), "200 OK hello\n".repeat(20));
    assert_eq!(server.connections(), 1);
    let stats = stats(&ran);
    let figures = ["requests", "opened", "reused", "idle"].map(|key| stats[key].as_u64().unwrap());
    assert_eq!(figures, [20, 1, 19, 1]);
}

#[test]
fn a_component_that_imports_the_client_is_composed_on_the_fly() {
    let server = Server::start();
    let (hello, missing) = (server.url("/redirect"), server.url("/missing"));
    let ran = urlpool(&["run", "--allow-private", &guest("caller"), "get", &hello, &missing, &hello]);
    assert_eq!((ran.status, ran.text()), (0, "200 hello\n404 missing\n200 hello\n"), "{}", ran.stderr);
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_is_composed_runs_as_well() {
    let (server, folder) = (Server::start(), Folder::new("what_is_composed_runs_as_well"));
    let whole = folder.join("whole.wasm");
    let ran = urlpool(&["compose", &guest("caller"), "-o", &whole]);
    assert_eq!((ran.status, ran.text(), &*ran.stderr), (0, "", ""));
    let ran = urlpool(&["run", "--allow-private", &whole, "get", &server.url("/")]);
    assert_eq!((ran.status, ran.text()), (0, "200 hello\n"), "{}", ran.stderr);
}

#[test]
fn a_command_of_wasi_0_3_uses_the_same_connections() {
    let server = Server::start();
    let url = server.url("/");
    let ran = urlpool(&["run", "--allow-private", "--stats", &guest("p3-app"), &url, &url, &url]);
    assert_eq!((ran.status, ran.text()), (0, "200 hello\n200 hello\n200 hello\n"), "{}", ran.stderr);
    assert_eq!((server.connections(), stats(&ran)["reused"].as_u64()), (1, Some(2)));
}

#[test]
fn what_is_not_public_is_denied_and_the_flag_named() {
    let server = Server::start();
    let url = server.url("/");
    for guest in [guest("get"), guest("caller"), guest("p3-app")] {
        let mut args = vec!["run", &guest];
        if guest.contains("caller") {
            args.push("get");
        }
        args.push(&url);
        let ran = urlpool(&args);
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        let hint = format!(
            "urlpool: denied http://{0}: 127.0.0.1 is not public; --allow {0} or --allow-private lets it through",
            origin(&server)
        );
        assert_eq!(ran.stderr.lines().filter(|line| *line == hint).count(), 1, "{}", ran.stderr);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn the_denial_reaches_a_caller_of_the_client_as_one_error() {
    let server = Server::start();
    let ran = urlpool(&["run", &guest("caller"), "get", &server.url("/")]);
    let told: Vec<_> = ran.stderr.lines().filter(|line| !line.starts_with("urlpool: ")).collect();
    assert_eq!(told.len(), 1, "{}", ran.stderr);
    assert!(told[0].contains("denied") || told[0].contains("prohibited"), "{}", told[0]);
}

#[test]
fn rules_narrow_down_what_is_open() {
    let (allowed, other) = (Server::start(), Server::start());
    let run = |flags: &[&str], server: &Server| {
        let (caller, url) = (guest("caller"), server.url("/"));
        urlpool(&[&["run"], flags, &[&caller, "get", &url]].concat())
    };
    let allow = ["--allow", &origin(&allowed)];
    assert_eq!(run(&allow, &allowed).status, 0);
    let ran = run(&allow, &other);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("is not public; --allow"), "{}", ran.stderr);
    let ran = run(&["--allow-private", "--deny", &origin(&other)], &other);
    assert!(ran.status == 1 && ran.stderr.contains("a --deny names it"), "{}", ran.stderr);
    let ran = run(&["--allow-private", "--allow", "10.0.0.0/8"], &other);
    assert!(ran.status == 1 && ran.stderr.contains("no --allow names it"), "{}", ran.stderr);
    assert_eq!(other.connections(), 0);
}

#[test]
fn arguments_environment_folders_and_the_standard_input_are_passed_on() {
    let folder = Folder::new("arguments_environment_folders");
    let file = folder.file("in.txt", "from outside");
    let ran = urlpool_with(
        &[
            "run",
            "--env",
            "LEVEL=a=b",
            "--env",
            "CARGO_MANIFEST_DIR",
            "--env",
            "URLPOOL_IS_NOT_SET",
            "--dir",
            &format!("{}::/in", folder.join("")),
            &guest("caller"),
            "show",
            "/in/in.txt",
            "--stats",
        ],
        b"typed",
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    // A flag behind the component is the component's.
    let expected = [
        r#"args ["guest-caller.wasm", "show", "/in/in.txt", "--stats"]"#,
        "env LEVEL=a=b",
        &format!("env CARGO_MANIFEST_DIR={}", env!("CARGO_MANIFEST_DIR")),
        r#"stdin "typed""#,
        r#"file "from outside""#,
    ];
    assert_eq!(ran.text().lines().collect::<Vec<_>>(), expected);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "written by the guest");
}

#[test]
fn nothing_of_the_machine_is_there_unless_given() {
    let folder = Folder::new("nothing_of_the_machine");
    let file = folder.file("in.txt", "from outside");
    let ran = urlpool(&["run", &guest("caller"), "show", &file]);
    assert_eq!(ran.status, 1);
    assert!(!ran.text().contains("env ") && ran.stderr.contains("in.txt"), "{} {}", ran.text(), ran.stderr);
}

#[test]
fn the_status_of_the_component_is_passed_on() {
    let (caller, p3) = (guest("caller"), guest("p3-app"));
    // The standard library of WASI 0.2 knows only whether it failed.
    for (guest, args, status) in [
        (&caller, &["exit", "0"][..], 0),
        (&caller, &["exit", "7"], 1),
        (&caller, &["fail"], 1),
        (&p3, &["exit:0"], 0),
        (&p3, &["exit:7"], 7),
    ] {
        let ran = urlpool(&[&["run", guest], args].concat());
        assert_eq!((ran.status, ran.text(), &*ran.stderr), (status, "", ""), "{args:?}");
    }
}

#[test]
fn a_trap_is_one_line_and_a_failed_run() {
    let ran = urlpool(&["run", &guest("caller"), "trap"]);
    refused(&ran, 1, &["guest-caller.wasm: trapped: ", "unreachable"]);
}

#[test]
fn what_is_no_command_is_named_before_it_runs() {
    let folder = Folder::new("what_is_no_command");
    let component = folder.join("urlpool.wasm");
    assert_eq!(urlpool(&["component", "-o", &component]).status, 0);
    let module = folder.file("module.wasm", b"\0asm\x01\0\0\0");
    let text = folder.file("text.wasm", "(component)");
    let cut = folder.file("cut.wasm", &std::fs::read(guest("get")).unwrap()[..10_000]);
    for (args, words) in [
        (&["/does/not/exist.wasm"][..], &["/does/not/exist.wasm"][..]),
        (&[&component], &["urlpool.wasm: exports no wasi:cli/run, but urlpool:client/policy@"]),
        (&[&module], &["module.wasm: a core module, not a component"]),
        (&[&text], &["text.wasm: not WebAssembly"]),
        (&[&cut], &["cut.wasm: a component that cannot be read"]),
        (&["--dir", "/does/not/exist", &guest("get")], &["--dir", "/does/not/exist"]),
        (&["--allow", "a b", &guest("get")], &["--allow"]),
    ] {
        refused(&urlpool(&[&["run"], args].concat()), 2, words);
    }
}

#[test]
fn an_import_that_nobody_has_is_named() {
    let folder = Folder::new("an_import_that_nobody_has");
    // A command, as far as its exports go, that imports what is not of WASI.
    let odd = wat::parse_str(
        r#"(component
             (import "a:b/c@1.0.0" (instance (export "f" (func))))
             (core module $code (func (export "run") (result i32) i32.const 0))
             (core instance $code (instantiate $code))
             (func $run (result (result)) (canon lift (core func $code "run")))
             (instance $run (export "run" (func $run)))
             (export "wasi:cli/run@0.2.0" (instance $run)))"#,
    );
    let odd = folder.file("odd.wasm", odd.unwrap());
    refused(&urlpool(&["run", &odd]), 2, &["odd.wasm: cannot be linked", "a:b/c@1.0.0"]);
}
