//! The fields of control messages, as bytes.

use std::net::{IpAddr, SocketAddr};

use super::{
    Hello, MAX_DIGESTS, MAX_KEYS, MAX_NAK_RANGES, MAX_NAME_BYTES, MAX_RUNS, Range, Source,
};
use crate::claims::Answer;
use crate::cluster::portion::{Keep, MAX_OF, MAX_REPLICAS, Portion};
use crate::cluster::slots::{Slot, SlotRun};
use crate::keyring::PlacementCheck;
use crate::record::{Hlc, KeyHash};
use crate::table::{KeyRange, KeyRanges, RANGES};
use crate::wire::codec::{Malformed, Reader};
use crate::wire::header::{Incarnation, MAX_SEQUENCE};

impl Hello {
    const READY: u8 = 1;
    /// A portion follows: without one, the node keeps everything.
    const PORTION: u8 = 2;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_name(&self.name, out);
        put_address(self.address, out);
        let told = self.portion.keep != Keep::All || !self.portion.tier.is_empty();
        out.push(u8::from(self.ready) | if told { Self::PORTION } else { 0 });
        out.extend_from_slice(&self.placement.0);
        if told {
            self.portion.encode(out);
        }
    }

    pub(super) fn decode(fields: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (name, address) = (take_name(fields)?, take_address(fields)?);
        let flags = fields.u8("flags")?;
        if flags > Self::READY | Self::PORTION {
            return Err(Malformed::Invalid("flags"));
        }
        let placement = PlacementCheck(fields.array("placement check")?);
        let told = flags & Self::PORTION != 0;
        let portion = if told { Portion::decode(fields)? } else { Portion::default() };
        Ok(Self { name, address, ready: flags & Self::READY != 0, placement, portion })
    }
}

impl Portion {
    const ALL: u8 = 0;
    const SHARE: u8 = 1;
    const OF: u8 = 2;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.keep {
            Keep::All => Self::ALL,
            Keep::Share => Self::SHARE,
            Keep::Of(_) => Self::OF,
        });
        out.push(self.replicas);
        out.extend_from_slice(&self.weight.to_be_bytes());
        put_name(&self.tier, out);
        if let Keep::Of(names) = &self.keep {
            out.push(u8::try_from(names.len().min(MAX_OF)).expect("a few"));
            names.iter().take(MAX_OF).for_each(|name| put_name(name, out));
        }
    }

    fn decode(fields: &mut Reader<'_>) -> Result<Self, Malformed> {
        let keep = fields.u8("keep")?;
        let replicas = fields.u8("replicas")?;
        let weight = fields.u32("weight")?;
        if !(1..=MAX_REPLICAS).contains(&replicas) || weight == 0 {
            return Err(Malformed::Invalid("portion"));
        }
        let tier = take_name(fields)?;
        let keep = match keep {
            Self::ALL => Keep::All,
            Self::SHARE => Keep::Share,
            Self::OF => {
                let count = usize::from(fields.u8("count of names")?);
                if count > MAX_OF {
                    return Err(Malformed::Invalid("count of names"));
                }
                Keep::Of((0..count).map(|_| take_name(fields)).collect::<Result<_, _>>()?)
            }
            _ => return Err(Malformed::Invalid("keep")),
        };
        Ok(Self { keep, replicas, weight, tier })
    }
}

impl Source {
    const TABLE: u8 = 0;
    const LOG: u8 = 1;
    const SINCE: u8 = 2;
    const KEYS: u8 = 3;
    const RANGES: u8 = 4;
    const SLOTS: u8 = 5;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Table => out.push(Self::TABLE),
            Self::Log(range) => {
                out.push(Self::LOG);
                put_range(*range, out);
            }
            Self::Since(time) => {
                out.push(Self::SINCE);
                put_u64(time.0, out);
            }
            Self::Keys(keys) => {
                let count = u8::try_from(keys.len().min(MAX_KEYS)).expect("at most 64");
                out.extend_from_slice(&[Self::KEYS, count]);
                keys.iter().take(MAX_KEYS).for_each(|key| put_u64(key.0, out));
            }
            Self::Ranges(ranges) => {
                out.push(Self::RANGES);
                put_key_ranges(ranges, out);
            }
            Self::Slots { runs, positions } => {
                let count = u8::try_from(runs.len().min(MAX_RUNS)).expect("at most 128");
                out.extend_from_slice(&[Self::SLOTS, u8::from(*positions), count]);
                runs.iter().take(MAX_RUNS).for_each(|&run| put_run(run, out));
            }
        }
    }

    pub(super) fn decode(fields: &mut Reader<'_>) -> Result<Self, Malformed> {
        match fields.u8("source")? {
            Self::TABLE => Ok(Self::Table),
            Self::LOG => Ok(Self::Log(take_range(fields)?)),
            Self::SINCE => Ok(Self::Since(Hlc(fields.u64("since")?))),
            Self::KEYS => {
                let count = usize::from(fields.u8("count of keys")?);
                if count > MAX_KEYS {
                    return Err(Malformed::Invalid("count of keys"));
                }
                let keys = (0..count).map(|_| fields.u64("key hash").map(KeyHash));
                Ok(Self::Keys(keys.collect::<Result<_, _>>()?))
            }
            Self::RANGES => Ok(Self::Ranges(take_key_ranges(fields)?)),
            Self::SLOTS => {
                let positions = take_bool(fields)?;
                let count = usize::from(fields.u8("count of runs")?);
                if count > MAX_RUNS {
                    return Err(Malformed::Invalid("count of runs"));
                }
                Ok(Self::Slots { runs: take_runs(fields, count)?, positions })
            }
            _ => Err(Malformed::Invalid("source")),
        }
    }
}

/// As much of a name as there is room for, cut between characters.
fn put_name(name: &str, out: &mut Vec<u8>) {
    let cut = (0..=name.len().min(MAX_NAME_BYTES))
        .rev()
        .find(|&end| name.is_char_boundary(end))
        .expect("0 is a boundary");
    out.push(u8::try_from(cut).expect("at most 64"));
    out.extend_from_slice(&name.as_bytes()[..cut]);
}

fn take_name(fields: &mut Reader<'_>) -> Result<String, Malformed> {
    let len = usize::from(fields.u8("name length")?);
    if len > MAX_NAME_BYTES {
        return Err(Malformed::Invalid("name length"));
    }
    let name =
        std::str::from_utf8(fields.take(len, "name")?).map_err(|_| Malformed::Invalid("name"))?;
    if name.chars().any(char::is_control) {
        return Err(Malformed::Invalid("name"));
    }
    Ok(name.to_owned())
}

/// What a run of slots takes.
const RUN_BYTES: usize = 4;

pub(crate) fn put_run(run: SlotRun, out: &mut Vec<u8>) {
    out.extend_from_slice(&run.first.0.to_be_bytes());
    out.extend_from_slice(&run.last.0.to_be_bytes());
}

/// Runs in order, of which no two share a slot: all of them together are no
/// more to walk than the slots that there are.
pub(crate) fn take_runs(fields: &mut Reader<'_>, count: usize) -> Result<Vec<SlotRun>, Malformed> {
    let mut runs: Vec<SlotRun> = Vec::with_capacity(count.min(fields.rest().len() / RUN_BYTES));
    for _ in 0..count {
        let [first, last] = [Slot(fields.u16("first slot")?), Slot(fields.u16("last slot")?)];
        if first > last || runs.last().is_some_and(|before| first <= before.last) {
            return Err(Malformed::Invalid("run of slots"));
        }
        runs.push(SlotRun { first, last });
    }
    Ok(runs)
}

pub(super) fn put_u64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_stream(stream: Incarnation, out: &mut Vec<u8>) {
    out.extend_from_slice(&stream.0.to_be_bytes());
}

pub(super) fn put_claim((number, issuer, ticket): (u64, Incarnation, KeyHash), out: &mut Vec<u8>) {
    put_u64(number, out);
    put_stream(issuer, out);
    put_u64(ticket.0, out);
}

pub(super) fn put_answer(number: u64, answer: Answer, out: &mut Vec<u8>) {
    put_u64(number, out);
    out.push(answer.code());
}

pub(super) fn put_range(range: Range, out: &mut Vec<u8>) {
    put_u64(range.first, out);
    put_u64(range.last, out);
}

/// Ranges in order, as distances: eight bytes each, so that a hundred fit a
/// packet.
pub(super) fn put_ranges(ranges: &[Range], out: &mut Vec<u8>) {
    let Some(first) = ranges.first() else { return };
    put_u64(first.first, out);
    let mut at = first.first;
    for range in ranges.iter().take(MAX_NAK_RANGES) {
        for distance in [range.first - at, range.last - range.first] {
            let short = u32::try_from(distance).unwrap_or(u32::MAX);
            out.extend_from_slice(&short.to_be_bytes());
        }
        at = range.last + 1;
    }
}

/// Digests of ranges from `first` on.
pub(super) fn put_digests(first: KeyRange, digests: &[u64], out: &mut Vec<u8>) {
    out.push(first.0);
    digests.iter().take(MAX_DIGESTS).for_each(|digest| put_u64(*digest, out));
}

/// Digests to the end of the fields, and the range of the first.
pub(super) fn take_digests(fields: &mut Reader<'_>) -> Result<(KeyRange, Vec<u64>), Malformed> {
    let first = KeyRange(fields.u8("first range")?);
    Ok((first, take_list(fields, |fields| fields.u64("digest"))?))
}

/// A bit for each range, the first one lowest in the first byte.
fn put_key_ranges(ranges: &KeyRanges, out: &mut Vec<u8>) {
    let mut bits = [0_u8; RANGES / 8];
    for range in KeyRange::all().filter(|&range| ranges.contains(range)) {
        bits[usize::from(range.0 / 8)] |= 1 << (range.0 % 8);
    }
    out.extend_from_slice(&bits);
}

fn take_key_ranges(fields: &mut Reader<'_>) -> Result<KeyRanges, Malformed> {
    let bits: [u8; RANGES / 8] = fields.array("ranges of keys")?;
    let is_set = |range: &KeyRange| bits[usize::from(range.0 / 8)] >> (range.0 % 8) & 1 == 1;
    Ok(KeyRange::all().filter(is_set).collect())
}

pub(crate) fn put_address(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&address.port().to_be_bytes());
}

pub(crate) fn take_stream(fields: &mut Reader<'_>) -> Result<Incarnation, Malformed> {
    Ok(Incarnation(u128::from_be_bytes(fields.array("stream")?)))
}

pub(super) fn take_bool(fields: &mut Reader<'_>) -> Result<bool, Malformed> {
    match fields.u8("flag")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Invalid("flag")),
    }
}

pub(super) fn take_range(fields: &mut Reader<'_>) -> Result<Range, Malformed> {
    let [first, last] = [fields.sequence("first")?, fields.sequence("last")?];
    if first > last {
        return Err(Malformed::Invalid("range"));
    }
    Ok(Range { first, last })
}

pub(super) fn take_ranges(fields: &mut Reader<'_>) -> Result<Vec<Range>, Malformed> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    let mut at = fields.sequence("first")?;
    take_list(fields, |fields| {
        let skipped = u64::from(fields.u32("skipped")?);
        let more = u64::from(fields.u32("more")?);
        // Far below 2^64, as each list begins at a sequence number and has no
        // more distances than a packet has room for.
        let first = at + skipped;
        let last = first + more;
        if last > MAX_SEQUENCE {
            return Err(Malformed::Invalid("range"));
        }
        at = last + 1;
        Ok(Range { first, last })
    })
}

pub(crate) fn take_address(fields: &mut Reader<'_>) -> Result<SocketAddr, Malformed> {
    let ip: IpAddr = match fields.u8("family")? {
        4 => fields.array::<4>("address")?.into(),
        6 => fields.array::<16>("address")?.into(),
        _ => return Err(Malformed::Invalid("family")),
    };
    Ok(SocketAddr::new(ip, fields.u16("port")?))
}

/// The rest of the fields as a list. It is no longer than the packet.
pub(super) fn take_list<'a, T>(
    fields: &mut Reader<'a>,
    mut take: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut list = Vec::new();
    while !fields.is_empty() {
        list.push(take(fields)?);
    }
    Ok(list)
}
