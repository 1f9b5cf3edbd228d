//! Sessions that begin at one node and go on, or end, at others.

use std::time::Duration;

use segue::state::{Auth, Error, Sessions, StateError, StateId};
use segue::{Ack, Kind, Node, WriteError};

use super::{config, eventually, farm, key};

fn login(sessions: &Sessions, node: &Node) -> Auth {
    let mut auth = Auth::new("ada@example.org", "password", node.cache().now()).unwrap();
    auth.grant("order").unwrap();
    assert_eq!(sessions.ack, Ack::All);
    auth
}

fn sessions(node: &Node) -> Sessions {
    Sessions::new(node.cache())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logged_in_at_a_node_that_is_gone_is_known_at_another() {
    let [a, b] = farm(|config| config).await;
    let auth = login(&sessions(&a), &a);
    let at = auth.at();
    let id = sessions(&a).begin(auth).await.unwrap();
    a.shutdown().await;
    let known = sessions(&b).get(&id).await.expect("b holds it");
    assert_eq!((known.subject(), known.method(), known.at()), ("ada@example.org", "password", at));
    assert!(known.may("order") && !known.may("refund"));
    let listed = sessions(&b).list("ada@example.org").await;
    assert_eq!(listed, [(id, known)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_of_a_user_end_at_every_node_at_once() {
    let nodes = farm::<3>(|config| config).await;
    let [a, b, c] = nodes.each_ref().map(sessions);
    let mut ids = Vec::new();
    for (sessions, node) in [&a, &b, &c, &a].into_iter().zip(nodes.iter().cycle()) {
        ids.push(sessions.begin(login(sessions, node)).await.unwrap());
    }
    let other = Auth::new("bob@example.org", "password", nodes[0].cache().now()).unwrap();
    let other = a.begin(other).await.unwrap();
    assert_eq!(a.list("ada@example.org").await.len(), 4);
    assert_eq!(b.end_all("ada@example.org").await.unwrap(), 4);
    for sessions in [&a, &b, &c] {
        for id in &ids {
            assert!(sessions.get(id).await.is_none());
            let rotated = sessions.rotate(id, |auth| auth.grant("refund")).await;
            assert!(matches!(rotated, Err(Error::NotFound)), "{rotated:?}");
        }
        assert!(sessions.list("ada@example.org").await.is_empty());
        assert!(sessions.get(&other).await.is_some(), "another user's");
    }
    // Who logs in again is in, at every node.
    let again = c.begin(login(&c, &nodes[2])).await.unwrap();
    assert!(a.get(&again).await.is_some() && b.get(&again).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_late_write_revives_a_session_that_has_ended() {
    let [a, b] = farm(|config| config).await;
    let id = sessions(&a).begin(login(&sessions(&a), &a)).await.unwrap();
    let key = key(Kind::Auth, b's', id.as_bytes());
    let held = b.cache().peek(&key).expect("every node has acknowledged it");
    assert!(sessions(&b).end(&id).await.unwrap());
    let late = a.cache().put(&key, &held.value, held.deadlines, Ack::All).await;
    assert!(matches!(late, Err(WriteError::Deleted)), "{late:?}");
    assert!(sessions(&a).get(&id).await.is_none() && sessions(&b).get(&id).await.is_none());
    assert!(!sessions(&a).end(&id).await.unwrap(), "ending it again is nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_index_does_not_name_ends_with_the_others() {
    let [a, b] = farm(|config| config).await;
    let id = sessions(&a).begin(login(&sessions(&a), &a)).await.unwrap();
    let of = |of, id: &StateId| key(Kind::Auth, of, id.as_bytes());
    let held = a.cache().peek(&of(b's', &id)).unwrap();
    assert_eq!(sessions(&b).end_all("ada@example.org").await.unwrap(), 1);
    // As it was under an id that only its own node knew of.
    let unnamed = StateId::new([7; 32]);
    a.cache().put(&of(b's', &unnamed), &held.value, held.deadlines, Ack::All).await.unwrap();
    assert!(sessions(&a).get(&unnamed).await.is_none());
    assert!(sessions(&b).get(&unnamed).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rights_come_with_another_id_and_unknown_ids_are_not_adopted() {
    let [a, b] = farm(|config| config).await;
    let old = sessions(&a).begin(login(&sessions(&a), &a)).await.unwrap();
    let new = sessions(&b).rotate(&old, |auth| auth.grant("refund")).await.unwrap();
    assert_ne!(old, new);
    assert!(sessions(&a).get(&old).await.is_none());
    assert!(sessions(&a).get(&new).await.is_some_and(|auth| auth.may("refund")));
    assert_eq!(sessions(&a).list("ada@example.org").await.len(), 1);
    // One that an attacker made a visitor use.
    let fixed = StateId::new([1; 32]);
    assert!(sessions(&a).get(&fixed).await.is_none());
    assert!(matches!(sessions(&a).touch(&fixed).await, Err(Error::NotFound)));
    let rotated = sessions(&a).rotate(&fixed, |_| Ok(())).await;
    assert!(matches!(rotated, Err(Error::NotFound)), "{rotated:?}");
    assert!(sessions(&a).get(&fixed).await.is_none());
    // A change that is refused leaves the session as it was.
    let long = "x".repeat(1 << 20);
    let refused = sessions(&a).rotate(&new, |auth| auth.grant(&long)).await;
    assert!(matches!(refused, Err(Error::State(StateError::TooLong { .. }))), "{refused:?}");
    assert!(sessions(&b).get(&new).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_is_not_used_and_a_use_puts_that_off() {
    let node = Node::start(config("a", &[])).unwrap();
    node.ready().await;
    let mut short = sessions(&node);
    short.idle = Duration::from_millis(200);
    let id = short.begin(login(&short, &node)).await.unwrap();
    let key = key(Kind::Auth, b's', id.as_bytes());
    eventually("the session ends", || node.cache().peek(&key).is_none()).await;
    assert!(short.get(&id).await.is_none());
    let id = sessions(&node).begin(login(&short, &node)).await.unwrap();
    let key = super::key(Kind::Auth, b's', id.as_bytes());
    let before = node.cache().peek(&key).unwrap().deadlines;
    let begun = node.cache().now();
    eventually("time passes", || node.cache().now() > begun).await;
    sessions(&node).touch(&id).await.unwrap();
    let after = node.cache().peek(&key).unwrap().deadlines;
    assert!(after.idle > before.idle && after.absolute == before.absolute);
}
