//! What the trait of actix-session asks of a store.

use std::collections::HashMap;

use actix_session::storage::{SessionKey, SessionStore};
use actix_web::cookie::time::Duration;
use segue::web::WebSessions;
use segue_actix::Store;

use crate::nodes::farm;
use crate::store;

/// So soon that one can wait for it.
const SOON: Duration = Duration::milliseconds(500);

fn cart(mugs: u32) -> HashMap<String, String> {
    HashMap::from([("mugs".to_owned(), mugs.to_string()), ("user".to_owned(), "ada".to_owned())])
}

/// A key that a client says it has.
fn key(text: &str) -> SessionKey {
    text.to_owned().try_into().unwrap()
}

fn same(key: &SessionKey) -> SessionKey {
    self::key(key.as_ref())
}

async fn until_it_ends(store: &Store, key: &SessionKey) {
    while store.load(key).await.unwrap().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_is_loaded_at_any_node_also_when_its_own_is_gone() {
    let [a, b, c] = farm(|config| config).await;
    let session = store(&a).save(cart(1), &Duration::HOUR).await.unwrap();
    let other = store(&a).save(cart(1), &Duration::HOUR).await.unwrap();
    assert_ne!(session, other, "each begins a session of its own");
    assert_eq!(session.as_ref().len(), 32);
    a.shutdown().await;
    assert_eq!(store(&b).load(&session).await.unwrap(), Some(cart(1)));
    let kept = store(&b).update(same(&session), cart(2), &Duration::HOUR).await.unwrap();
    assert_eq!(kept, session);
    b.shutdown().await;
    assert_eq!(store(&c).load(&session).await.unwrap(), Some(cart(2)));
    assert_eq!(store(&c).load(&other).await.unwrap(), Some(cart(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_stays_so_whatever_comes_late() {
    let [a, b] = farm(|config| config).await;
    let session = store(&a).save(cart(1), &Duration::HOUR).await.unwrap();
    for node in [&b, &a, &b] {
        store(node).delete(&session).await.unwrap();
    }
    for node in [&a, &b] {
        // They are answered as if they had come before the log-out.
        let kept = store(node).update(same(&session), cart(2), &Duration::HOUR).await.unwrap();
        assert_eq!(kept, session, "no other key: it would be logged in again");
        store(node).update_ttl(&session, &Duration::HOUR).await.unwrap();
        assert_eq!(store(&a).load(&session).await.unwrap(), None);
        assert_eq!(store(&b).load(&session).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_the_time_to_live_that_it_was_last_given() {
    let [a, b] = farm(|config| config).await;
    let [mut keys, mut kept] = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        keys.push(store(&a).save(cart(1), &Duration::HOUR).await.unwrap());
        kept.push(store(&a).save(cart(1), &SOON).await.unwrap());
    }
    // Both put off what ends soon, and bring forward what ends late.
    store(&b).update_ttl(&kept[0], &Duration::HOUR).await.unwrap();
    store(&b).update(same(&kept[1]), cart(1), &Duration::HOUR).await.unwrap();
    store(&b).update_ttl(&keys[0], &SOON).await.unwrap();
    store(&b).update(same(&keys[1]), cart(1), &SOON).await.unwrap();
    for session in &keys {
        for node in [&a, &b] {
            until_it_ends(&store(node), session).await;
            store(node).update_ttl(session, &Duration::HOUR).await.unwrap();
            let late = store(node).update(same(session), cart(2), &Duration::HOUR).await;
            let why = late.unwrap_err();
            let why = std::error::Error::source(&why).unwrap().to_string();
            assert!(why.contains("there is no session of that id"), "{why}");
            assert_eq!(store(node).load(session).await.unwrap(), None);
        }
    }
    for session in &kept {
        assert_eq!(store(&a).load(session).await.unwrap(), Some(cart(1)));
        // No time left is an end at once.
        store(&a).update_ttl(session, &Duration::ZERO).await.unwrap();
        assert_eq!(store(&b).load(session).await.unwrap(), None);
    }
    let over = store(&a).save(cart(1), &-Duration::SECOND).await.unwrap();
    assert_eq!(store(&a).load(&over).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_this_store_has_not_given_find_nothing_and_are_not_adopted() {
    let [a] = farm(|config| config).await;
    let session = store(&a).save(cart(1), &Duration::HOUR).await.unwrap();
    let upper = session.as_ref().to_uppercase();
    let long = "0".repeat(4_064);
    let zeros = "0".repeat(32);
    let keys = [
        "",
        "0",
        zeros.as_str(),
        &long,
        &format!("{} ", session.as_ref()),
        &format!("+{}", &session.as_ref()[1..]),
        "\u{1f36a}\u{1f36a}\u{1f36a}\u{1f36a}\u{1f36a}\u{1f36a}\u{1f36a}\u{1f36a}",
    ];
    let foreign = keys.into_iter().chain((upper != session.as_ref()).then_some(upper.as_str()));
    for foreign in foreign {
        let foreign = key(foreign);
        assert_eq!(store(&a).load(&foreign).await.unwrap(), None, "{foreign:?}");
        store(&a).update_ttl(&foreign, &Duration::HOUR).await.unwrap();
        let update = store(&a).update(same(&foreign), cart(2), &Duration::HOUR).await;
        assert!(update.is_err(), "{foreign:?}");
        store(&a).delete(&foreign).await.unwrap();
        assert_eq!(store(&a).load(&foreign).await.unwrap(), None, "{foreign:?}");
    }
    assert_eq!(store(&a).load(&session).await.unwrap(), Some(cart(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_and_cannot_be_read_is_told_so() {
    let [a] = farm(|config| config).await;
    let sessions = WebSessions::new(a.cache(), "shop").unwrap();
    let ends = sessions.now() + std::time::Duration::from_secs(60);
    let id = sessions.create(b"{\"mugs\":", ends).await.unwrap();
    let session = key(&id.to_text());
    let found = store(&a).load(&session).await;
    assert!(
        matches!(found, Err(actix_session::storage::LoadError::Deserialization(_))),
        "the middleware then goes on with an empty one: {found:?}"
    );
    store(&a).update(same(&session), cart(1), &Duration::HOUR).await.unwrap();
    assert_eq!(store(&a).load(&session).await.unwrap(), Some(cart(1)));
    let large = HashMap::from([("cart".to_owned(), "x".repeat(1 << 20))]);
    let refused = store(&a).update(same(&session), large, &Duration::HOUR).await.unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("keep what is large elsewhere"), "{why}");
    assert_eq!(store(&a).load(&session).await.unwrap(), Some(cart(1)));
}
