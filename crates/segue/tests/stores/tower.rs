//! What the trait of tower-sessions asks of a store, in both releases that there
//! are stores for.

/// The contract, for a release of the crate and the store for it.
macro_rules! contract {
    ($name:ident, $release:ident) => {
        mod $name {
            use std::collections::HashMap;

            use segue::Node;
            use segue::web::$name::Store;
            use time::{Duration, OffsetDateTime};
            use $release::SessionStore;
            use $release::session::{Id, Record};

            use crate::nodes::farm;
            use crate::{shop, until_it_ends};

            fn store(node: &Node) -> Store {
                Store::new(shop(node))
            }

            fn record(mugs: u32, lives: Duration) -> Record {
                let data = HashMap::from([("mugs".to_owned(), mugs.into())]);
                Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + lives }
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn create_never_overwrites() {
                let [a, b] = farm(|config| config).await;
                let mut first = record(1, Duration::HOUR);
                let asked = first.id;
                store(&a).create(&mut first).await.unwrap();
                assert_ne!(first.id, asked, "an id is the store's to make");
                // The same id again, at either node.
                let mut ids = vec![first.id];
                for node in [&a, &b] {
                    let mut next = Record { id: first.id, ..record(2, Duration::HOUR) };
                    store(node).create(&mut next).await.unwrap();
                    assert!(!ids.contains(&next.id));
                    ids.push(next.id);
                    assert_eq!(store(&b).load(&next.id).await.unwrap(), Some(next));
                }
                assert_eq!(store(&b).load(&first.id).await.unwrap(), Some(first));
                assert_eq!(store(&b).load(&asked).await.unwrap(), None);
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn what_is_saved_is_loaded_at_any_node_also_when_its_own_is_gone() {
                let [a, b, c] = farm(|config| config).await;
                let mut session = record(1, Duration::HOUR);
                store(&a).create(&mut session).await.unwrap();
                assert_eq!(store(&b).load(&session.id).await.unwrap().as_ref(), Some(&session));
                session.data.insert("hats".to_owned(), vec![1, 2].into());
                session.expiry_date += Duration::MINUTE;
                store(&b).save(&session).await.unwrap();
                b.shutdown().await;
                for node in [&a, &c] {
                    let loaded = store(node).load(&session.id).await.unwrap();
                    assert_eq!(loaded.as_ref(), Some(&session));
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn what_was_deleted_stays_so_whatever_is_saved_late() {
                let [a, b] = farm(|config| config).await;
                let mut session = record(1, Duration::HOUR);
                store(&a).create(&mut session).await.unwrap();
                let under_way = store(&b).load(&session.id).await.unwrap().unwrap();
                for node in [&a, &b, &a] {
                    store(node).delete(&session.id).await.unwrap();
                }
                for node in [&a, &b] {
                    // It is answered as if it had come before the log-out.
                    store(node).save(&under_way).await.unwrap();
                    assert_eq!(store(&a).load(&session.id).await.unwrap(), None);
                    assert_eq!(store(&b).load(&session.id).await.unwrap(), None);
                }
                store(&a).delete(&Id::default()).await.unwrap();
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_session_that_ended_is_not_there_and_does_not_come_back() {
                let [a, b] = farm(|config| config).await;
                let mut session = record(1, Duration::HOUR);
                store(&a).create(&mut session).await.unwrap();
                session.expiry_date = OffsetDateTime::now_utc() + crate::SOON;
                store(&a).save(&session).await.unwrap();
                let at_b = store(&b);
                until_it_ends(async || at_b.load(&session.id).await.map(|it| it.is_some())).await;
                assert!(OffsetDateTime::now_utc() >= session.expiry_date - Duration::MILLISECOND);
                session.expiry_date += Duration::HOUR;
                let refused = store(&b).save(&session).await.unwrap_err().to_string();
                assert!(refused.contains("there is no session of that id"), "{refused}");
                for node in [&a, &b] {
                    assert_eq!(store(node).load(&session.id).await.unwrap(), None);
                }
                let mut over = record(1, -Duration::SECOND);
                store(&a).create(&mut over).await.unwrap();
                assert_eq!(store(&a).load(&over.id).await.unwrap(), None);
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn an_id_that_was_never_given_is_not_adopted() {
                let [a] = farm(|config| config).await;
                let session = record(1, Duration::HOUR);
                store(&a).save(&session).await.unwrap_err();
                assert_eq!(store(&a).load(&session.id).await.unwrap(), None);
            }
        }
    };
}

contract!(tower_sessions, tower_sessions_core_0_15);
contract!(tower_sessions_0_14, tower_sessions_core_0_14);

use time::{Duration, OffsetDateTime};
use tower_sessions_core_0_14::SessionStore as _;
use tower_sessions_core_0_15::SessionStore as _;

/// An application moves from one release to the next, a node at a time.
#[tokio::test(flavor = "multi_thread")]
async fn both_releases_have_the_same_sessions() {
    let [a, b] = crate::nodes::farm(|config| config).await;
    let old = segue::web::tower_sessions_0_14::Store::new(crate::shop(&a));
    let new = segue::web::tower_sessions::Store::new(crate::shop(&b));
    let mut session = tower_sessions_core_0_14::session::Record {
        id: tower_sessions_core_0_14::session::Id::default(),
        data: [("mugs".to_owned(), 2.into())].into(),
        expiry_date: OffsetDateTime::now_utc() + Duration::HOUR,
    };
    old.create(&mut session).await.unwrap();
    let id = tower_sessions_core_0_15::session::Id(session.id.0);
    let loaded = new.load(&id).await.unwrap().unwrap();
    assert_eq!((loaded.data, loaded.expiry_date), (session.data, session.expiry_date));
    new.delete(&id).await.unwrap();
    assert_eq!(old.load(&session.id).await.unwrap(), None);
}
