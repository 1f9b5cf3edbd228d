//! A node starts, joins, serves and ends.

use crate::client::Client;
use crate::nodes::Farm;

#[test]
fn a_node_serves_and_ends_when_asked_to() {
    let mut farm = Farm::new();
    let node = farm.start("a", &toml::Table::new());
    let client = Client::new(&farm);
    assert_eq!(client.visit(node.tls()).unwrap()["resumed"], false);
    assert_eq!(client.visit(node.tls()).unwrap()["resumed"], true);
    assert_eq!(node.status()["node"]["name"], "a");
    assert!(node.stop().success());
}

#[test]
fn a_client_goes_on_at_another_node_after_a_crash() {
    let mut farm = Farm::new();
    let a = farm.start("a", &toml::Table::new());
    let b = farm.start("b", &toml::Table::new());
    let client = Client::new(&farm);
    assert_eq!(client.visit(a.tls()).unwrap()["resumed"], false);
    b.until_status(|status| status["cache"]["by_kind"]["tls"] == 1);
    drop(a);
    let session = client.visit(b.tls()).unwrap();
    assert_eq!((&session["resumed"], &session["began_at"]), (&true.into(), &"a".into()));
}
