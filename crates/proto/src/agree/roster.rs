//! Who votes: the agreed list, and which of it vote on a key.
//!
//! A membership list is each node's own opinion, so no quorum can be taken
//! from it. A roster is agreed: each but the first was decided by a majority
//! of the one before. What nodes are named or where they are is not known
//! here.

use std::cmp::Reverse;

use super::ballot::Term;
use crate::record::KeyHash;
use crate::time::Wall;
use crate::wire::header::Incarnation;

/// The most voters of a roster. Beyond, more voters share the registers but
/// make each change of the roster dearer; other nodes ask these.
pub const MAX_VOTERS: usize = 128;
/// The most earlier rosters that may hold what the present one has not got.
/// Each is asked at a key's first operation, and all are sent with the roster.
pub const MAX_EARLIER: usize = 8;
/// The most voters of one key.
pub const MAX_VOTERS_OF_KEY: usize = 5;
/// The most nodes that a roster says are gone: those of all its lists.
pub(super) const MAX_GONE: usize = MAX_VOTERS * (MAX_EARLIER + 1);

/// Which founding a roster comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lineage {
    /// 1 at the founding; one more each time the farm began again.
    pub generation: u32,
    /// When it was founded, by the founder's clock.
    pub founded: Wall,
    /// Who founded it.
    pub founder: Incarnation,
}

impl Lineage {
    /// Of who has no roster.
    pub const NONE: Self =
        Self { generation: 0, founded: Wall::from_millis(0), founder: Incarnation(0) };

    /// Whether both come from one founding.
    pub(super) fn is_kin(self, other: Self) -> bool {
        self.founded == other.founded && self.founder == other.founder
    }

    fn rank(self) -> (bool, Reverse<Wall>, Reverse<Incarnation>, u32) {
        let is_any = self != Self::NONE;
        (is_any, Reverse(self.founded), Reverse(self.founder), self.generation)
    }
}

/// Where a node stands. Of two that meet, the greater one prevails: the earlier
/// founding, of one founding the later generation, and then the later roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stand {
    /// Whose roster.
    pub lineage: Lineage,
    /// The roster's number; 0 before the first.
    pub epoch: u64,
}

impl Stand {
    /// Of who has no roster.
    pub const NONE: Self = Self { lineage: Lineage::NONE, epoch: 0 };

    /// Under which term it proposes.
    pub(super) const fn term(self) -> Term {
        Term { generation: self.lineage.generation, epoch: self.epoch }
    }
}

impl PartialOrd for Stand {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Stand {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let rank = |stand: &Self| (stand.lineage.rank(), stand.epoch);
        rank(self).cmp(&rank(other))
    }
}

/// A node that votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter {
    /// This start of it. A later start knows nothing, and is another voter.
    pub incarnation: Incarnation,
    /// What stands for its name where keys are placed, so that a node that
    /// starts again votes on the same keys.
    pub place: u64,
}

/// The voters of a run of rosters that have the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Electorate {
    /// The first roster with these voters.
    pub since: Term,
    /// Who votes.
    pub voters: Vec<Voter>,
}

/// The agreed list of voters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Roster {
    /// Its lineage and number.
    pub stand: Stand,
    /// How many vote on one key, where there are so many: odd.
    pub voters_of_key: u8,
    /// Who votes.
    pub electorate: Electorate,
    /// Those before that may hold what the present one has not got, oldest
    /// first.
    pub earlier: Vec<Electorate>,
    /// Voters of these lists whose memory is certainly gone.
    pub gone: Vec<Incarnation>,
}

impl Roster {
    /// The voters of the key of that hash.
    #[must_use]
    pub fn voters_of(&self, key: KeyHash) -> Vec<Incarnation> {
        self.electorate.voters_of(key, self.voters_of_key.into())
    }

    /// Whether a node votes.
    #[must_use]
    pub fn has(&self, incarnation: Incarnation) -> bool {
        self.electorate.has(incarnation)
    }

    /// The oldest roster whose values still count.
    pub(super) fn base(&self) -> Term {
        self.earlier.first().unwrap_or(&self.electorate).since
    }
}

impl Electorate {
    pub(super) fn has(&self, incarnation: Incarnation) -> bool {
        self.voters.iter().any(|voter| voter.incarnation == incarnation)
    }

    /// The `count` voters of a key: those with the highest of a score that
    /// mixes key and place (rendezvous hashing, Thaler and Ravishankar, 1996),
    /// so that a voter that comes or goes moves its own share only.
    pub(super) fn voters_of(&self, key: KeyHash, count: usize) -> Vec<Incarnation> {
        let mut scored: Vec<(Reverse<u64>, Incarnation)> = self
            .voters
            .iter()
            .map(|voter| (Reverse(score(voter.place, key)), voter.incarnation))
            .collect();
        scored.sort_unstable();
        scored.truncate(count);
        scored.into_iter().map(|(_, incarnation)| incarnation).collect()
    }
}

/// What stands for a node's name where keys are placed: the 64-bit FNV-1a
/// hash, the same at every node.
#[must_use]
pub fn place_of(name: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// How many of `voters` must accept: any two such sets share one.
#[must_use]
pub const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// How many of `voters` must be asked to meet every set that may have
/// accepted (Howard et al., "Flexible Paxos", 2016).
pub(super) const fn read_quorum(voters: usize) -> usize {
    voters + 1 - majority(voters)
}

/// The finaliser of `SplitMix64` over both: every bit of either counts.
const fn score(place: u64, key: KeyHash) -> u64 {
    let mut mixed = place ^ key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn electorate(places: &[u64]) -> Electorate {
        let voter = |&place: &u64| Voter { incarnation: Incarnation(place.into()), place };
        Electorate { since: Term::default(), voters: places.iter().map(voter).collect() }
    }

    #[test]
    fn two_majorities_share_a_voter_and_reading_meets_every_majority() {
        for voters in 1..=MAX_VOTERS {
            assert!(2 * majority(voters) > voters);
            assert_eq!(majority(voters) + read_quorum(voters), voters + 1);
        }
    }

    #[test]
    fn a_voter_that_goes_moves_its_own_share_only() {
        let all: Vec<u64> = (1..=7).map(|place| place * 0x1234_5678_9abc).collect();
        let (before, after) = (electorate(&all), electorate(&all[1..]));
        let gone = before.voters[0].incarnation;
        let mut moved = 0;
        for key in (0..1_000_u64).map(|key| KeyHash(key.wrapping_mul(0x9e37_79b9_97f4_a7c1))) {
            let (old, new) = (before.voters_of(key, 3), after.voters_of(key, 3));
            let kept: Vec<_> = old.iter().copied().filter(|&voter| voter != gone).collect();
            assert_eq!(new[..kept.len()], kept[..]);
            moved += usize::from(old != new);
        }
        assert!((330..530).contains(&moved), "three of seven of the keys: {moved}");
    }

    #[test]
    fn the_earlier_founding_the_later_generation_and_the_later_roster_prevail() {
        let stand = |generation, founded, founder, epoch| Stand {
            lineage: Lineage {
                generation,
                founded: Wall::from_millis(founded),
                founder: Incarnation(founder),
            },
            epoch,
        };
        let ranked = [
            Stand::NONE,
            stand(2, 9, 1, 7),
            stand(3, 8, 2, 1),
            stand(1, 8, 1, 1),
            stand(1, 8, 1, 2),
            stand(2, 8, 1, 1),
        ];
        assert!(ranked.is_sorted_by(|one, next| one < next));
    }
}
