//! Apps and clients that meet, and those that do not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use urlpool_compose::{Client, Error, World};

/// An app that imports these functions of `pool`, which do nothing, and whatever else.
fn app(version: &str, functions: &[&str], more: &str) -> Vec<u8> {
    let types: String = functions.iter().map(|name| format!("(export \"{name}\" (func))")).collect();
    component(&format!(
        "(import \"urlpool:client/pool@{version}\" (instance $pool {types}))
         {more}
         (alias export $pool \"{}\" (func $first))
         (export \"go\" (func $first))",
        functions[0]
    ))
}

/// A client with these functions in its `pool`.
fn client(version: &str, functions: &[&str], more: &str) -> Vec<u8> {
    let exports: String = functions.iter().map(|name| format!("(export \"{name}\" (func $nothing))")).collect();
    component(&format!(
        "{more}
         (core module $code (func (export \"nothing\")))
         (core instance $code (instantiate $code))
         (func $nothing (canon lift (core func $code \"nothing\")))
         (instance $pool {exports})
         (export \"urlpool:client/pool@{version}\" (instance $pool))"
    ))
}

fn poll(version: &str, functions: &str) -> String {
    format!("(import \"wasi:io/poll@{version}\" (instance {functions}))")
}

fn component(fields: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {fields})")).unwrap()
}

fn plug(app: &[u8], client: &[u8]) -> Result<World, Error> {
    Client::new(client).unwrap().plug_into(app).map(|whole| World::of(&whole).unwrap())
}

fn refused(app: &[u8], client: &[u8]) -> String {
    plug(app, client).unwrap_err().to_string()
}

#[test]
fn an_app_is_composed_with_the_client_it_was_built_for() {
    let whole = plug(&app("0.2.0", &["get"], ""), &client("0.2.0", &["get", "post"], "")).unwrap();
    assert_eq!((whole.imports(), whole.exports()), (&[][..], &["go".to_owned()][..]));
}

#[test]
fn an_app_for_an_earlier_version_of_the_series_is_composed_with_a_client_that_has_more() {
    let whole = plug(&app("0.2.0", &["get"], ""), &client("0.2.1", &["get", "post"], "")).unwrap();
    assert_eq!(whole.imports(), [""; 0]);
}

#[test]
fn an_app_for_a_later_version_is_composed_when_it_uses_what_was_there_before() {
    let whole = plug(&app("0.2.1", &["get"], ""), &client("0.2.0", &["get"], "")).unwrap();
    assert_eq!(whole.imports(), [""; 0]);
}

#[test]
fn an_app_that_uses_what_came_later_is_told_to_take_a_later_client() {
    let message = refused(&app("0.2.1", &["get", "post"], ""), &client("0.2.0", &["get"], ""));
    assert!(message.contains("imports urlpool:client/pool@0.2.1"), "{message}");
    assert!(message.contains("take an urlpool that has 0.2.1"), "{message}");
    assert!(message.contains("post"), "{message}");
}

#[test]
fn an_app_of_another_series_is_told_both_versions() {
    let (old, new) = (client("0.2.0", &["get"], ""), client("0.3.0", &["get"], ""));
    let newer = refused(&app("0.3.0", &["get"], ""), &old);
    assert!(newer.contains("urlpool:client/pool@0.3.0"), "{newer}");
    assert!(newer.contains("the client here is urlpool:client@0.2.0; take an urlpool that has 0.3.0"), "{newer}");
    let older = refused(&app("0.2.0", &["get"], ""), &new);
    assert!(
        older.contains("urlpool:client@0.3.0; build it against the interface that `urlpool wit` prints"),
        "{older}"
    );
}

#[test]
fn an_interface_that_the_client_has_not_got_is_named() {
    let app = component("(import \"urlpool:client/jars@0.2.4\" (instance))");
    let message = refused(&app, &client("0.2.0", &["get"], ""));
    assert!(message.contains("urlpool:client/jars@0.2.4, which urlpool:client@0.2.0 has not got"), "{message}");
}

#[test]
fn one_interface_that_does_not_fit_is_not_left_to_the_host() {
    // wac's own plugging would plug the one and leave the other an import.
    let app = app("0.2.0", &["get"], "(import \"urlpool:client/jars@0.2.0\" (instance))");
    assert!(refused(&app, &client("0.2.0", &["get"], "")).contains("urlpool:client/jars@0.2.0"));
}

#[test]
fn an_app_without_the_client_needs_no_composing() {
    let message = refused(&component(&poll("0.2.6", "")), &client("0.2.0", &["get"], ""));
    assert!(message.contains("nothing to compose") && message.contains("urlpool run"), "{message}");
}

#[test]
fn what_is_no_component_is_refused_on_either_side() {
    let client = client("0.2.0", &["get"], "");
    let module = wat::parse_str("(module)").unwrap();
    assert_eq!(plug(&module, &client).unwrap_err(), Error::CoreModule);
    assert_eq!(plug(b"print()", &client).unwrap_err(), Error::NoWasm);
    assert_eq!(Client::new(&module).unwrap_err(), Error::CoreModule);
    assert_eq!(Client::new(&app("0.2.0", &["get"], "")).unwrap_err(), Error::NoClient);
    // It begins as it should, and holds a function that does not type-check.
    let unsound = component(
        "(import \"urlpool:client/pool@0.2.0\" (instance))
         (core module (func (result i32)))",
    );
    assert!(matches!(plug(&unsound, &client).unwrap_err(), Error::Unreadable(_)));
}

#[test]
fn wasi_in_two_versions_becomes_one_import_of_the_later() {
    let (one, both) = ("(export \"one\" (func))", "(export \"one\" (func)) (export \"two\" (func))");
    for (of_app, of_client) in [(("0.2.6", one), ("0.2.12", both)), (("0.2.12", both), ("0.2.6", one))] {
        let app = app("0.2.0", &["get"], &poll(of_app.0, of_app.1));
        let whole = plug(&app, &client("0.2.0", &["get"], &poll(of_client.0, of_client.1))).unwrap();
        assert_eq!(whole.imports(), ["wasi:io/poll@0.2.12"]);
    }
}

#[test]
fn imports_that_contradict_each_other_are_named() {
    let app = app("0.2.0", &["get"], &poll("0.2.6", "(export \"one\" (func (param \"p\" u8)))"));
    let client = client("0.2.0", &["get"], &poll("0.2.12", "(export \"one\" (func (param \"p\" string)))"));
    let message = refused(&app, &client);
    assert!(message.contains("do not go together") || message.contains("does not go together"), "{message}");
    assert!(message.contains("one"), "{message}");
}

#[test]
fn the_same_two_give_the_same_bytes() {
    let (app, client) = (app("0.2.0", &["get"], &poll("0.2.6", "")), client("0.2.1", &["get"], &poll("0.2.12", "")));
    let client = Client::new(&client).unwrap();
    assert_eq!(client.plug_into(&app).unwrap(), client.plug_into(&app).unwrap());
}
