//! Packets from those who mean no good, given to a node.
//!
//! Nothing here checks more than that the machine survives: no panic, and
//! every call ends. The fuzzers and the tests call the same functions.

use std::time::Duration;

use proto::agree::members::{Member, Standing};
use proto::agree::{Agree, Config, Figures};
use proto::cluster::identity::Identity;
use proto::cluster::swim::Swim;
use proto::connection::GroupId;
use proto::connection::epoch::{Answer, Term};
use proto::connection::stream::{Message, Reply};
use proto::connection::understudy::Understudy;
use proto::node::Counters;
use proto::rng::Rng;
use proto::time::{Instant, Now, Wall};
use proto::wire::MAX_BODY_BYTES;
use proto::wire::header::{FLAG_FRAGMENT, Incarnation, PacketType};

use crate::target::{MEMBER, NODE, Target, address};

/// A ring of few packets: what was sent is soon gone.
const RING_BYTES: usize = 64 << 10;
/// More packets than the ring has.
const PACKETS: u64 = 100;

/// Gives a node a datagram of somebody without the farm's key. Gives what the
/// node counted.
pub fn stranger(bytes: &[u8]) -> Counters {
    let mut target = Target::new(RING_BYTES);
    target.receive(&mut bytes.to_vec());
    *target.node.counters()
}

/// Gives a node packets of a member that says whatever it likes: each is a
/// byte that tells its type and flags, two that tell its length, and so many
/// of the body.
pub fn member(mut bytes: &[u8]) -> Counters {
    let mut target = Target::new(RING_BYTES);
    target.let_member_in();
    target.publish(PACKETS);
    while let Some((&[how, high, low], rest)) = bytes.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low])) % (MAX_BODY_BYTES + 1);
        let (body, rest) = rest.split_at(len.min(rest.len()));
        bytes = rest;
        let flags = if how & 2 == 0 { 0 } else { FLAG_FRAGMENT };
        if how & 1 == 0 {
            target.receive_sealed(PacketType::Control, 0, body);
        } else {
            target.receive_sealed(PacketType::Data, flags, body);
        }
    }
    *target.node.counters()
}

/// Gives what keeps the members whatever a member says of them: each message is
/// a byte that tells how much time passes before it, one that tells its length,
/// and so many of the message.
///
/// # Panics
///
/// When something grows that is bounded.
pub fn gossip(mut bytes: &[u8]) {
    /// What one message, or one moment, makes a node say at the most: an
    /// answer, and to four members each that it has news, or is up.
    const MOST_SAID: usize = 64;
    let mut swim = Swim::new(Identity::new(NODE, address(1)), Rng::from_u64(1));
    let mut now = Instant::from_micros(1);
    swim.handle_alive(now, MEMBER, address(2));
    while let Some((&[pause, len], rest)) = bytes.split_first_chunk() {
        let (message, rest) = rest.split_at(usize::from(len).min(rest.len()));
        bytes = rest;
        // Some pass at once, some see suspects go down, some are long.
        now += Duration::from_millis(u64::from(pause).pow(2));
        swim.handle_gossip(now, (MEMBER, address(2)), message);
        swim.handle_timeout(now);
        let said = std::iter::from_fn(|| swim.poll_transmit()).count();
        assert!(said <= MOST_SAID, "{said} messages for one");
        while swim.poll_event().is_some() {}
        for load in swim.loads() {
            assert!(load.used <= load.limit, "{load:?}");
        }
    }
}

/// Gives a machine that agrees with nobody yet, or with itself only, what a
/// member says: first all bytes as one message, then the same as a run of
/// messages, each behind two bytes that tell its length. Gives what the machine
/// counted.
///
/// # Panics
///
/// When it keeps more than it says that it does.
pub fn agreeing(mut bytes: &[u8]) -> Figures {
    let member = Incarnation(2);
    let at = |millis: u64| Now {
        instant: Instant::from_micros(millis * 1_000),
        wall: Wall::from_millis(1_767_225_600_000 + millis),
    };
    let config = Config {
        incarnation: Incarnation(1),
        place: 1,
        nodes: 1,
        voters_of_key: Config::VOTERS_OF_KEY,
        capacity_bytes: 1 << 20,
        patience: Config::PATIENCE,
        seed: [1; 32],
    };
    let mut machine = Agree::new(config, at(0));
    machine.handle_message(at(1), member, bytes);
    // By itself it has founded a farm by then, unless it was told of one.
    (0..60).for_each(|tenth| machine.handle_timeout(at(100 * tenth)));
    let known = Member { incarnation: member, place: 2, ready: true, standing: Standing::Alive };
    machine.handle_members(at(6_000), &[known]);
    let mut millis = 6_000;
    while let Some((&len, rest)) = bytes.split_first_chunk() {
        let (message, rest) = rest.split_at(usize::from(u16::from_be_bytes(len)).min(rest.len()));
        bytes = rest;
        millis += 50;
        machine.handle_message(at(millis), member, message);
        machine.handle_timeout(at(millis));
        while machine.poll_transmit().is_some() || machine.poll_event().is_some() {}
        for load in machine.loads() {
            assert!(load.used <= load.limit, "{load:?}");
        }
    }
    *machine.figures()
}

/// Gives an understudy messages of an owner that says whatever it likes, each
/// behind two bytes that tell its length; what it asks the farm it wins. Gives
/// how many it took.
///
/// # Panics
///
/// When it says that it holds more than it was told.
pub fn following(mut bytes: &[u8]) -> u64 {
    let (me, owner, group) = (Incarnation(1), Incarnation(2), GroupId(3));
    let term = Term::after(None, owner, Some(me));
    let mut study = Understudy::begin(me, group, term, 1).expect("it is named");
    let now = Instant::from_micros(1);
    let (mut told, mut taken) = (0, 0);
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (message, rest) = rest.split_at(len);
        bytes = rest;
        let Ok(message) = Message::decode(message) else { continue };
        told += 1;
        taken += u64::from(study.handle_message(now, message).is_ok());
        while let Some(reply) = study.poll_reply() {
            assert!(!matches!(reply, Reply::Held { count, .. } if count > told));
        }
    }
    study.take_over(now);
    while let Some(ask) = study.poll_ask(now) {
        study.handle_answer(now, &ask, Answer::Set);
    }
    while study.poll_event().is_some() {}
    taken
}
