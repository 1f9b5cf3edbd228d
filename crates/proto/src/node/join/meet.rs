//! Meeting other nodes: calls, and proofs that one lives.
//!
//! It owns who is called and challenged, and what makes a node a peer. What is
//! then fetched from peers, and when a node is ready, it does not ask.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{ALONE, CHALLENGE_PAUSE, Challenged, MAX_CHALLENGED, Stage};
use crate::nak::receiver::Receiver;
use crate::nak::rtt::Rtt;
use crate::nak::window::Replay;
use crate::node::compare::Differences;
use crate::node::peer::{Peer, State, reachable};
use crate::node::way::Hearing;
use crate::node::{Event, MAX_PEERS, Node};
use crate::record::Hlc;
use crate::seal::Opener;
use crate::time::{Instant, Now};
use crate::wire::control::{Hello, MAX_LISTED, Message};
use crate::wire::header::Header;

/// What a node says to prove that it lives.
pub(in crate::node) struct Answer {
    pub(in crate::node) nonce: u64,
    pub(in crate::node) hello: Hello,
    /// The last packet of its stream.
    pub(in crate::node) high: u64,
    /// Whether it holds any records.
    pub(in crate::node) holds: bool,
    /// Where other members are.
    pub(in crate::node) members: Vec<SocketAddr>,
}

impl Node {
    /// Somebody calls, or wants to know that we live.
    pub(in crate::node) fn handle_challenge(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        (nonce, hello): (u64, &Hello),
    ) {
        let sender = header.incarnation;
        // Who has told us its progress lately knows that we live: it calls for
        // others, and in a large farm all would answer each call.
        let reported = self.sender.progress.reported(sender);
        if reported.is_some_and(|reported| now.instant - reported < ALONE) {
            return;
        }
        let members: Vec<SocketAddr> = self
            .peers
            .iter()
            .filter(|(incarnation, peer)| peer.is_alive() && **incarnation != sender)
            .map(|(_, peer)| peer.address)
            .take(MAX_LISTED)
            .collect();
        let answer = Message::Answer {
            nonce,
            hello: self.hello(),
            high: self.sender.whole_sent_high(),
            holds: !self.holdings.is_empty(),
            members,
        };
        let address = reachable(hello.address, from);
        self.outbox.push_to_node(address, &answer);
        // Who places records elsewhere has to prove that it lives as well, before
        // anything comes of that.
        if !self.peers.contains_key(&sender) && !self.misfits.is_proven(now.instant, sender) {
            self.want_proof(now.instant, address, header);
        }
    }

    /// Asks a node that is not a member to prove that it lives. Its opener is
    /// kept, so that what it says meanwhile can be told from forgeries.
    pub(in crate::node) fn challenge(
        &mut self,
        now: Instant,
        address: SocketAddr,
        header: &Header,
    ) {
        if !self.misfits.is_elsewhere(header.incarnation) {
            self.want_proof(now, address, header);
        }
    }

    fn want_proof(&mut self, now: Instant, address: SocketAddr, header: &Header) {
        let sender = header.incarnation;
        if let Some(challenged) = self.join.challenged.get_mut(&sender) {
            if now - challenged.at < CHALLENGE_PAUSE {
                return;
            }
            challenged.at = now;
        } else {
            self.join.challenged.retain(|_, challenged| now - challenged.at < ALONE);
            if self.join.challenged.len() >= MAX_CHALLENGED {
                return;
            }
            let opener = Opener::new(sender);
            self.join.challenged.insert(sender, Challenged { opener, at: now });
        }
        let challenge = Message::Challenge { nonce: self.join.nonce, hello: self.hello() };
        self.outbox.push_to_node(address, &challenge);
    }

    /// Somebody proves that they live.
    pub(in crate::node) fn handle_answer(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        answer: Answer,
    ) {
        let Answer { nonce, hello, high, holds, members } = answer;
        let sender = header.incarnation;
        if nonce != self.join.nonce {
            self.counters.replayed += 1;
            return;
        }
        if self.places_elsewhere(now.instant, header, (reachable(hello.address, from), &hello)) {
            return;
        }
        for address in members {
            let address = reachable(address, from);
            if self.join.names(now.instant, address) {
                self.call_unknown(address);
            }
        }
        if self.peers.contains_key(&sender) || self.peers.len() >= MAX_PEERS {
            return;
        }
        let challenged = self.join.challenged.remove(&sender);
        let opener = challenged.map_or_else(|| Opener::new(sender), |known| known.opener);
        let known = self.join.position(sender);
        let position = known.map_or(high, |position| position.min(high));
        let peer = Peer {
            name: hello.name.clone(),
            address: reachable(hello.address, from),
            state: State::Alive,
            ready: hello.ready,
            portion: hello.portion.clone(),
            by: self.first_way(),
            by_until: None,
            receiver: Receiver::new(now.instant, position),
            lag: None,
            overflowed: 0,
            follows_after: if known.is_some() { 0 } else { position },
            unmerged: holds && known.is_none(),
            rekeyed_at: 0,
            opener,
            replay: Replay::new(header.sequence),
            rtt: Rtt::default(),
            trips_from: Instant::default(),
            met: now.instant,
            heard: now.instant,
            hearing: Hearing::new(now.instant, self.first_way()),
            complete: Hlc::default(),
            echo: (0, now.instant),
            untouched: Vec::new(),
            untouched_due: now.instant,
            orphan_told: 0,
            orphan_pulled: BTreeMap::new(),
            answers: 0,
            kept: (0, now.instant),
            differences: Differences::default(),
        };
        self.ways.meet(&peer);
        self.peers.insert(sender, peer);
        self.sender.join(now.instant, sender);
        self.look_at(sender);
        self.tell_orphans_again();
        self.event(Event::MemberAlive(hello.name));
        self.met(now.instant, sender, reachable(hello.address, from));
        if self.join.stage == Stage::Calling {
            self.join.stage = Stage::Met(now.instant);
        }
    }

    pub(super) fn call(&mut self) {
        let challenge = Message::Challenge { nonce: self.join.nonce, hello: self.hello() };
        if !self.is_ready() {
            self.outbox.push_to_farm(&challenge);
        }
        for address in self.config.peers.clone() {
            self.call_unknown(address);
        }
    }

    /// Calls at an address where no member is known to be.
    pub(in crate::node) fn call_unknown(&mut self, address: SocketAddr) {
        let member = self.peers.values().any(|peer| peer.is_alive() && peer.address == address);
        if !member && address != self.config.address {
            let challenge = Message::Challenge { nonce: self.join.nonce, hello: self.hello() };
            self.outbox.push_to_node(address, &challenge);
        }
    }
}
