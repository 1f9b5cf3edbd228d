//! What the driver tells people: figures at intervals, and log lines that
//! nobody outside can make into a flood.

use std::net::SocketAddr;
use std::time::Duration;

use proto::cluster::placement::Trouble;
use proto::lookup;
use proto::node::{Counters, Event, Node, PortionFigures, Way, peer};
use proto::time::Instant;

use crate::one_answer::OneAnswerError;
use crate::status::{By, Histogram, Member, MemberState, MulticastStats, OneAnswerStats, Rejected};

/// How old the figures may be.
const FRESH: Duration = Duration::from_millis(40);
/// One clock that is ahead is logged once in so many sightings.
const CLOCK_SIGHTINGS: u64 = 100_000;

/// The part of a node's status that only its driver knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// The ids of the farm's keys that are in use, the one that seals first.
    pub(crate) keys: Vec<u8>,
    pub(crate) members: Vec<Member>,
    pub(crate) portion: PortionFigures,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) multicast: MulticastStats,
    pub(crate) lag: Histogram,
    pub(crate) lookups: lookup::Counters,
    pub(crate) one_answer: OneAnswerStats,
}

/// Decides what is told when.
#[derive(Debug, Default)]
pub(super) struct Report {
    due: Instant,
    clocks_ahead: u64,
}

impl Report {
    /// Whether the figures are to be told again; taking it schedules the next.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due <= now;
        if due {
            self.due = now + FRESH;
        }
        due
    }

    /// Logs what an operator should know.
    pub(super) fn log(&mut self, event: &Event) {
        match event {
            Event::MemberAlive(member) => tracing::info!(member, "a member is alive"),
            Event::MemberDead(member) => tracing::warn!(member, "a member is silent"),
            Event::MemberLeft(member) => tracing::info!(member, "a member has left"),
            Event::MemberStalled(member) => {
                tracing::warn!(member, "a member stalled; the others no longer wait for it");
            }
            Event::MemberReached(member, Way::Multicast) => {
                tracing::info!(member, "a member hears the group again");
            }
            Event::MemberReached(member, Way::Unicast) => {
                tracing::warn!(member, "a member does not hear the group: it is sent copies");
            }
            Event::PortionTrouble(Trouble::Nobody(name)) => {
                tracing::warn!(name, "portion.of: no node has this name, and no tier");
            }
            Event::PortionTrouble(Trouble::Circle(name)) => {
                tracing::warn!(name, "portion.of: this one keeps what this node keeps: a circle");
            }
            Event::ReplicasDiffer(member, replicas) => tracing::warn!(
                member,
                replicas,
                "portion.replicas: a member has another number; the highest counts"
            ),
            Event::KeyRetired(key) => tracing::info!(key, "what this key sealed opens no more"),
            Event::ClockAhead(member) => {
                if self.clocks_ahead.is_multiple_of(CLOCK_SIGHTINGS) {
                    tracing::warn!(
                        member,
                        "a member's clock is more than half a second ahead: check its time service"
                    );
                }
                self.clocks_ahead += 1;
            }
            Event::NameTwice(name, [one, other]) => {
                tracing::warn!(
                    name,
                    %one,
                    %other,
                    "two nodes that live have one name: give each [node] name once in the farm; \
                     both are served on"
                );
            }
            Event::KeysDiffer(peer) => {
                tracing::error!(
                    %peer,
                    "what this peer sends opens with none of our keys: the farm keys differ; \
                     give both nodes the same key file ([farm] keys)"
                );
            }
            Event::PlacementDiffers(node, address) => log_placement(node, *address),
            Event::NobodyAnswers(peers) => {
                tracing::warn!(
                    peers,
                    "none of the {peers} configured peers answers ([farm] peers): serving alone, \
                     and calling on"
                );
            }
            Event::Ready
            | Event::Acknowledged(_)
            | Event::GivenUp(_)
            | Event::Claimed(..)
            | Event::Lag(_)
            | Event::LookedUp(..) => {}
            Event::Agreement(event) => log_agreement(event),
        }
    }
}

fn log_placement(node: &str, address: SocketAddr) {
    tracing::error!(
        node,
        %address,
        "this node places records by another secret, though it has a farm key of ours: it is no \
         member here; give both nodes one key file ([farm] keys), as `segue keygen --rotate` \
         writes it, and restart the one that is not ready"
    );
}

/// Logs what an operator should know of those who agree.
fn log_agreement(event: &proto::agree::Event) {
    use proto::agree::Event;
    match event {
        Event::Roster(stand) => {
            tracing::info!(roster = stand.epoch, "another roster of voters is agreed");
        }
        Event::Unfounded(failure) => {
            tracing::warn!("nothing that needs one answer is done: {failure}");
        }
        Event::MayBeLost => tracing::warn!(
            "so many voters have lost their memory that one-answer state may be lost: what they \
             alone knew counts as never written; fencing tokens grow all the same"
        ),
        Event::Absorbed(registers) => tracing::warn!(
            registers,
            "this node's farm met one that was founded apart from it and prevails; these keys' \
             one-answer state was given up. List the farm's nodes in [farm] peers"
        ),
        Event::Done { .. } | Event::Chosen { .. } => {}
    }
}

/// The machine's figures.
pub(super) fn snapshot(node: &Node, lag: &Histogram) -> Snapshot {
    let members = node
        .peers()
        .iter()
        .map(|(incarnation, peer)| Member {
            name: peer.name.clone(),
            incarnation: incarnation.to_string(),
            address: peer.address,
            state: match peer.state {
                peer::State::Alive => MemberState::Alive,
                peer::State::Dead => MemberState::Dead,
                peer::State::Left => MemberState::Left,
            },
            ready: peer.ready,
            portion: peer.portion.word(),
            tier: peer.portion.tier.clone(),
            by: by(peer.by),
            heard_by: by(peer.heard_by()),
            catching_up: node.sender().progress.is_catching_up(*incarnation),
            lag: peer.lag,
            overflowed: peer.overflowed,
        })
        .collect();
    let keys = node.keyring().ids().collect();
    Snapshot {
        keys,
        members,
        portion: node.portion(),
        troubles: node.troubles().iter().cloned().collect(),
        multicast: multicast(node),
        lag: lag.clone(),
        lookups: *node.lookups().counters(),
        one_answer: one_answer(node),
    }
}

const fn by(way: Way) -> By {
    match way {
        Way::Multicast => By::Multicast,
        Way::Unicast => By::Unicast,
    }
}

fn multicast(node: &Node) -> MulticastStats {
    let sent = node.sender().sent();
    let Counters {
        received,
        forged,
        replayed,
        malformed,
        naks_sent,
        naks_suppressed,
        repairs_received,
        unrecovered,
        stalled,
        ranges_fetched,
        clocks_ahead,
        gossip_bytes,
        gossip_refused,
        digest_bytes,
    } = *node.counters();
    MulticastStats {
        sent_packets: sent.packets,
        received_packets: received,
        naks_sent,
        naks_suppressed,
        repairs_sent: sent.repairs,
        repairs_received,
        unrecovered,
        stalled,
        overflowed: node.overflowed(),
        ranges_fetched,
        comparing: node.comparing(),
        clocks_ahead,
        gossip_bytes,
        gossip_refused,
        digest_bytes,
        same_name: node.same_name(),
        placed_elsewhere: node.placed_elsewhere(),
        rejected: Rejected { forged, replayed, malformed },
    }
}

fn one_answer(node: &Node) -> OneAnswerStats {
    let Some(agree) = node.agreement() else { return OneAnswerStats::default() };
    let figures = agree.figures();
    OneAnswerStats {
        roster: agree.roster().map_or(0, |roster| roster.stand.epoch),
        voters: agree.roster().map_or(0, |roster| roster.electorate.voters.len()),
        voters_alive: agree.voters_alive(),
        unfounded: agree.unfounded().map(OneAnswerError::from),
        registers: agree.registers(),
        answered: figures.answered,
        failed: figures.failed,
        unknown: figures.unknown,
        conflicts: figures.conflicts,
        may_be_lost: figures.may_be_lost,
        absorbed: figures.absorbed,
    }
}
