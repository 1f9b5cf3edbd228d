//! Rosters as bytes.

use super::fields::{
    put_incarnation, put_term, put_u64, take_epoch, take_generation, take_incarnation, take_term,
};
use crate::agree::roster::{
    Electorate, Lineage, MAX_EARLIER, MAX_GONE, MAX_VOTERS, MAX_VOTERS_OF_KEY, Roster, Stand, Voter,
};
use crate::wire::codec::put_u48;
use crate::wire::{Malformed, Reader};

pub(super) fn put_stand(stand: Stand, out: &mut Vec<u8>) {
    out.extend_from_slice(&stand.lineage.generation.to_be_bytes());
    put_u48(stand.lineage.founded.as_millis(), out);
    put_incarnation(stand.lineage.founder, out);
    put_u64(stand.epoch, out);
}

pub(super) fn take_stand(reader: &mut Reader<'_>) -> Result<Stand, Malformed> {
    let generation = take_generation(reader)?;
    let (founded, founder) = (reader.wall("founded")?, take_incarnation(reader)?);
    Ok(Stand { lineage: Lineage { generation, founded, founder }, epoch: take_epoch(reader)? })
}

pub(super) fn put_roster(roster: &Roster, out: &mut Vec<u8>) {
    put_stand(roster.stand, out);
    out.push(roster.voters_of_key);
    put_electorate(&roster.electorate, out);
    out.push(u8::try_from(roster.earlier.len()).expect("within its limit"));
    roster.earlier.iter().for_each(|earlier| put_electorate(earlier, out));
    put_count(roster.gone.len(), out);
    roster.gone.iter().for_each(|&gone| put_incarnation(gone, out));
}

/// Reads a roster that has a place, voters, and lists within their limits.
pub(super) fn take_roster(reader: &mut Reader<'_>) -> Result<Roster, Malformed> {
    let stand = take_stand(reader)?;
    if stand.epoch == 0 || stand.lineage.generation == 0 {
        return Err(Malformed::Invalid("epoch"));
    }
    let voters_of_key = reader.u8("voters of a key")?;
    if voters_of_key == 0 || usize::from(voters_of_key) > MAX_VOTERS_OF_KEY {
        return Err(Malformed::Invalid("voters of a key"));
    }
    let electorate = take_electorate(reader)?;
    let earlier = match usize::from(reader.u8("earlier rosters")?) {
        count if count > MAX_EARLIER => return Err(Malformed::Invalid("earlier rosters")),
        count => (0..count).map(|_| take_electorate(reader)).collect::<Result<_, _>>()?,
    };
    let gone = match usize::from(reader.u16("gone")?) {
        count if count > MAX_GONE => return Err(Malformed::Invalid("gone")),
        count => (0..count).map(|_| take_incarnation(reader)).collect::<Result<_, _>>()?,
    };
    Ok(Roster { stand, voters_of_key, electorate, earlier, gone })
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(count).expect("within its limit").to_be_bytes());
}

fn put_electorate(electorate: &Electorate, out: &mut Vec<u8>) {
    put_term(electorate.since, out);
    put_count(electorate.voters.len(), out);
    for voter in &electorate.voters {
        put_incarnation(voter.incarnation, out);
        put_u64(voter.place, out);
    }
}

fn take_electorate(reader: &mut Reader<'_>) -> Result<Electorate, Malformed> {
    let since = take_term(reader)?;
    let count = usize::from(reader.u16("voters")?);
    if count == 0 || count > MAX_VOTERS {
        return Err(Malformed::Invalid("voters"));
    }
    let voter =
        |_| Ok(Voter { incarnation: take_incarnation(reader)?, place: reader.u64("place")? });
    let voters: Vec<Voter> = (0..count).map(voter).collect::<Result<_, Malformed>>()?;
    // A voter that stands twice would vote twice.
    let mut seen: Vec<_> = voters.iter().map(|voter| voter.incarnation).collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Malformed::Invalid("voters"));
    }
    Ok(Electorate { since, voters })
}
