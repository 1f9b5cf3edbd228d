//! What every store is built on: bytes under an id that was made for them.

use segue::web::{Error, MAX_APPLICATION_BYTES, MAX_SESSION_BYTES, WebId, WebSessions};
use segue::{Ack, Config, WriteError};

use crate::nodes::farm;
use crate::{HOUR, SOON, shop, until_it_ends};

/// What a session has, if it lives.
async fn value(sessions: &WebSessions, id: &WebId) -> Option<Vec<u8>> {
    sessions.load(id).await.unwrap().map(|loaded| loaded.value.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_writes_the_others_read_at_once_and_after_it_has_gone() {
    let [a, b, c] = farm(|config| config).await;
    let [at_a, at_b, at_c] = [&a, &b, &c].map(shop);
    let ends = at_a.now() + HOUR;
    let id = at_a.create(b"0", ends).await.unwrap();
    for round in 1..=50 {
        let sessions = [&at_a, &at_b, &at_c];
        let written = round.to_string().into_bytes();
        sessions[round % 3].save(&id, &written, ends).await.unwrap();
        for reader in sessions {
            assert_eq!(value(reader, &id).await.as_ref(), Some(&written));
        }
    }
    a.shutdown().await;
    at_b.save(&id, b"at b", ends).await.unwrap();
    b.shutdown().await;
    let loaded = at_c.load(&id).await.unwrap().unwrap();
    assert_eq!((&**loaded.value, loaded.ends), (&b"at b"[..], ends));
    let gone = at_a.save(&id, b"at a", ends).await;
    assert!(matches!(gone, Err(Error::Write(WriteError::Closed))), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_wins_over_whatever_is_saved_meanwhile_where_packets_are_lost() {
    let lossy = |config| Config { drop_received: 0.1, ..config };
    let nodes = farm::<3>(lossy).await;
    let ends = shop(&nodes[0]).now() + HOUR;
    for round in 0..30 {
        let id = shop(&nodes[round % 3]).create(b"logged in", ends).await.unwrap();
        let savers = nodes.each_ref().map(|node| {
            let mut sessions = shop(node);
            sessions.ack = Ack::Local;
            tokio::spawn(async move {
                // Until it is told of the log-out, which nothing else ends.
                let mut saves = 0_u32;
                loop {
                    saves += 1;
                    match sessions.save(&id, &saves.to_be_bytes(), ends).await {
                        Ok(()) => tokio::task::yield_now().await,
                        Err(Error::LoggedOut) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        });
        assert!(shop(&nodes[(round + 1) % 3]).delete(&id).await.unwrap());
        for saver in savers {
            saver.await.unwrap();
        }
        for node in &nodes {
            assert_eq!(value(&shop(node), &id).await, None, "round {round}");
            assert!(!shop(node).delete(&id).await.unwrap(), "it is dead already");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_somebody_made_up_is_nobodys() {
    let [a, b] = farm(|config| config).await;
    let ends = shop(&a).now() + HOUR;
    let made_up = WebId::new(*b"the attacker's 1");
    for result in [shop(&a).save(&made_up, b"1", ends).await, shop(&b).touch(&made_up, ends).await]
    {
        assert!(matches!(result, Err(Error::Gone)), "{result:?}");
    }
    assert_eq!(value(&shop(&a), &made_up).await, None);
    assert!(!shop(&a).delete(&made_up).await.unwrap());
    let ids = [shop(&a).create(b"1", ends).await, shop(&a).create(b"1", ends).await];
    let [one, other] = ids.map(|id| id.unwrap());
    assert_ne!(one, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_was_last_told_to() {
    let [a, b] = farm(|config| config).await;
    let (at_a, at_b) = (shop(&a), shop(&b));
    let now = at_a.now();
    let (soon, late) = (now + SOON, now + HOUR);
    let [saved, touched, kept] = {
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(at_a.create(b"1", late).await.unwrap());
        }
        ids.try_into().unwrap()
    };
    // Brought forward, with the value as it was: by a save, and by a touch.
    at_b.save(&saved, b"1", soon).await.unwrap();
    at_b.touch(&touched, soon).await.unwrap();
    // Put off.
    at_a.save(&kept, b"1", soon).await.unwrap();
    at_b.touch(&kept, late).await.unwrap();
    for id in [saved, touched] {
        for sessions in [&at_a, &at_b] {
            until_it_ends(async || sessions.load(&id).await.map(|found| found.is_some())).await;
            let late_save = sessions.save(&id, b"2", late).await;
            assert!(matches!(late_save, Err(Error::Gone | Error::LoggedOut)), "{late_save:?}");
            assert_eq!(value(sessions, &id).await, None);
        }
    }
    let loaded = at_a.load(&kept).await.unwrap().unwrap();
    assert_eq!((&**loaded.value, loaded.ends), (&b"1"[..], late));
    // What is to have ended is ended.
    at_a.save(&kept, b"1", now).await.unwrap();
    assert_eq!(value(&at_b, &kept).await, None);
    let over = at_a.create(b"1", now).await.unwrap();
    assert_eq!(value(&at_a, &over).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_no_longer_than_it_may() {
    let [a] = farm(|config| config).await;
    let day = 24 * HOUR;
    let mut sessions = shop(&a);
    sessions.lifetime = day;
    let now = sessions.now();
    let id = sessions.create(b"1", now + HOUR).await.unwrap();
    sessions.save(&id, b"2", now + 30 * day).await.unwrap();
    let ends = sessions.load(&id).await.unwrap().unwrap().ends;
    assert!(ends >= now + day && ends < now + day + HOUR, "{ends:?}");
    sessions.touch(&id, now + 30 * day).await.unwrap();
    assert_eq!(sessions.load(&id).await.unwrap().unwrap().ends, ends);
    // Whoever begins one for longer has said so.
    let id = sessions.create(b"1", now + 30 * day).await.unwrap();
    assert_eq!(sessions.load(&id).await.unwrap().unwrap().ends, now + 30 * day);
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_do_not_find_each_others_sessions() {
    let [a] = farm(|config| config).await;
    let (shop, forum) = (shop(&a), WebSessions::new(a.cache(), "forum").unwrap());
    let ends = shop.now() + HOUR;
    let id = shop.create(b"admin=1", ends).await.unwrap();
    assert_eq!(value(&forum, &id).await, None);
    assert!(matches!(forum.save(&id, b"", ends).await, Err(Error::Gone)));
    assert!(!forum.delete(&id).await.unwrap());
    assert_eq!(value(&shop, &id).await.as_deref(), Some(&b"admin=1"[..]));
    for name in ["", &"x".repeat(MAX_APPLICATION_BYTES + 1)] {
        let refused = WebSessions::new(a.cache(), name).unwrap_err().to_string();
        assert!(refused.contains(&format!("{} bytes; it has 1 to 47", name.len())), "{refused}");
    }
    assert!(WebSessions::new(a.cache(), &"x".repeat(MAX_APPLICATION_BYTES)).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_what_was_there_stays() {
    let [a, b] = farm(|config| config).await;
    let ends = shop(&a).now() + HOUR;
    let largest = vec![b'x'; MAX_SESSION_BYTES];
    let id = shop(&a).create(&largest, ends).await.unwrap();
    let refused = shop(&a).save(&id, &[&largest[..], b"x"].concat(), ends).await.unwrap_err();
    assert!(refused.to_string().contains("keep what is large elsewhere"), "{refused}");
    assert_eq!(value(&shop(&b), &id).await, Some(largest));
}
