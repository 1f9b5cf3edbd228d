//! What nodes say of each other, as bytes.
//!
//! ```text
//! gossip    header, then for probes, feed and gossip: count(2) members
//! header    generation(4) number(2) of who says it
//!           incarnation(16) generation(4) of whom it is for
//!           kind(1), then by kind:
//!           0 ping, 1 ack                            probe(1)
//!           2 ping request                           probe(1) identity of the target
//!           3 indirect ping, 5 forwarded ack         probe(1) identity of the origin
//!           4 indirect ack                           probe(1) identity of the target
//!           6 announce, 7 feed, 8 gossip, 9 you are down
//! member    number(2) state(1: 0 alive, 1 suspect, 2 down) identity
//! identity  incarnation(16) generation(4) address as in control messages
//! ```
//!
//! Who says it, and where that node is, stands in the packet that it comes in.
//! So before a message is read these, and what of it is to be passed over, are
//! put in front (`Context`); and taken off before one is sent.

use std::net::SocketAddr;

use bytes::{Buf, BufMut};
use foca::{Header, Member, Message, State};

use super::identity::Identity;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::control::{put_address, put_stream, take_address, take_stream};
use crate::wire::header::Incarnation;

/// Why bytes are no gossip, or gossip is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The bytes are not what they should be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There is no room for the bytes.
    #[error("the packet is full")]
    Full,
}

/// What is put in front of a message: who says it, and how it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// Who says it.
    pub(super) sender: Incarnation,
    /// Where that node is.
    pub(super) address: SocketAddr,
    /// Who reads it.
    pub(super) own: Incarnation,
    /// Whether what it says of others is taken in.
    pub(super) believes: bool,
    /// Whether it can call the one who reads it down.
    pub(super) yields: bool,
}

impl Context {
    /// Two incarnations, the longest address and the flags.
    pub(super) const BYTES: usize = 16 + 16 + 19 + 1;
    const BELIEVES: u8 = 1;
    const YIELDS: u8 = 2;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        put_stream(self.sender, out);
        put_stream(self.own, out);
        let believes = if self.believes { Self::BELIEVES } else { 0 };
        out.push(believes | if self.yields { Self::YIELDS } else { 0 });
        put_address(self.address, out);
        out.resize(start + Self::BYTES, 0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut fields = Reader::new(reader.take(Self::BYTES, "context")?);
        let (sender, own) = (take_stream(&mut fields)?, take_stream(&mut fields)?);
        let flags = fields.u8("flags")?;
        let address = take_address(&mut fields)?;
        let (believes, yields) = (flags & Self::BELIEVES != 0, flags & Self::YIELDS != 0);
        Ok(Self { sender, address, own, believes, yields })
    }
}

/// Reads and writes gossip for foca.
#[derive(Debug, Default)]
pub(super) struct Codec {
    /// Of the message that is being read, and for whom it is.
    reading: Option<(Context, Identity)>,
    /// Whether it has said something of the one who reads it: no node says
    /// two things of one, and each may make that one tell others.
    said_of_us: bool,
}

const PING: u8 = 0;
const ACK: u8 = 1;
const PING_REQUEST: u8 = 2;
const INDIRECT_PING: u8 = 3;
const INDIRECT_ACK: u8 = 4;
const FORWARDED_ACK: u8 = 5;
const ANNOUNCE: u8 = 6;
const FEED: u8 = 7;
const GOSSIP: u8 = 8;
const DOWN: u8 = 9;

impl foca::Codec<Identity> for Codec {
    type Error = Refused;

    fn encode_header(
        &mut self,
        header: &Header<Identity>,
        mut buf: impl BufMut,
    ) -> Result<(), Refused> {
        let mut bytes = vec![0; Context::BYTES];
        encode_header(header, &mut bytes);
        put(&bytes, &mut buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, Refused> {
        let (context, mut header) = read(buf, |reader| {
            let context = Context::decode(reader)?;
            Ok((context, decode_header(context, reader)?))
        })?;
        if header.message == Message::TurnUndead && !context.yields {
            header.message = Message::Gossip;
        }
        self.reading = Some((context, header.dst));
        self.said_of_us = false;
        Ok(header)
    }

    fn encode_member(
        &mut self,
        member: &Member<Identity>,
        mut buf: impl BufMut,
    ) -> Result<(), Refused> {
        let mut bytes = Vec::new();
        encode_member(member, &mut bytes);
        put(&bytes, &mut buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity>, Refused> {
        let member = read(buf, decode_member)?;
        let (context, whom) = self.reading.ok_or(Malformed::Invalid("member"))?;
        let heeded = if member.id().incarnation == context.own {
            let first = !std::mem::replace(&mut self.said_of_us, true);
            first && (member.state() != State::Down || context.yields)
        } else {
            context.believes
        };
        // What is passed over is replaced by what is no news: that the one
        // whom the message is for is alive.
        Ok(if heeded { member } else { Member::alive(whom) })
    }
}

/// What one member is told by itself, without [`Context`].
pub(super) fn encode(header: &Header<Identity>, members: &[Member<Identity>]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_header(header, &mut out);
    let count = u16::try_from(members.len()).expect("one or two");
    out.extend_from_slice(&count.to_be_bytes());
    members.iter().for_each(|member| encode_member(member, &mut out));
    out
}

fn encode_header(header: &Header<Identity>, out: &mut Vec<u8>) {
    let Header { src, src_incarnation, dst, message } = header;
    out.extend_from_slice(&src.generation.to_be_bytes());
    out.extend_from_slice(&src_incarnation.to_be_bytes());
    put_stream(dst.incarnation, out);
    out.extend_from_slice(&dst.generation.to_be_bytes());
    match message {
        Message::Ping(probe) => out.extend_from_slice(&[PING, *probe]),
        Message::Ack(probe) => out.extend_from_slice(&[ACK, *probe]),
        Message::PingReq { target, probe_number } => {
            out.extend_from_slice(&[PING_REQUEST, *probe_number]);
            put_identity(target, out);
        }
        Message::IndirectPing { origin, probe_number } => {
            out.extend_from_slice(&[INDIRECT_PING, *probe_number]);
            put_identity(origin, out);
        }
        Message::IndirectAck { target, probe_number } => {
            out.extend_from_slice(&[INDIRECT_ACK, *probe_number]);
            put_identity(target, out);
        }
        Message::ForwardedAck { origin, probe_number } => {
            out.extend_from_slice(&[FORWARDED_ACK, *probe_number]);
            put_identity(origin, out);
        }
        Message::Announce => out.push(ANNOUNCE),
        Message::Feed => out.push(FEED),
        // Nothing is broadcast beside what is said of members.
        Message::Gossip | Message::Broadcast => out.push(GOSSIP),
        Message::TurnUndead => out.push(DOWN),
    }
}

fn decode_header(context: Context, fields: &mut Reader<'_>) -> Result<Header<Identity>, Malformed> {
    let Context { sender, address, .. } = context;
    let generation = fields.u32("generation")?;
    let src = Identity { incarnation: sender, generation, address };
    let src_incarnation = fields.u16("number")?;
    let incarnation = take_stream(fields)?;
    let dst = Identity { incarnation, generation: fields.u32("generation")?, address };
    Ok(Header { src, src_incarnation, dst, message: decode_message(fields)? })
}

fn decode_message(fields: &mut Reader<'_>) -> Result<Message<Identity>, Malformed> {
    let kind = fields.u8("kind")?;
    let probe_number = if kind <= FORWARDED_ACK { fields.u8("probe")? } else { 0 };
    Ok(match kind {
        PING => Message::Ping(probe_number),
        ACK => Message::Ack(probe_number),
        PING_REQUEST => Message::PingReq { probe_number, target: take_identity(fields)? },
        INDIRECT_PING => Message::IndirectPing { probe_number, origin: take_identity(fields)? },
        INDIRECT_ACK => Message::IndirectAck { probe_number, target: take_identity(fields)? },
        FORWARDED_ACK => Message::ForwardedAck { probe_number, origin: take_identity(fields)? },
        ANNOUNCE => Message::Announce,
        FEED => Message::Feed,
        GOSSIP => Message::Gossip,
        DOWN => Message::TurnUndead,
        _ => return Err(Malformed::Invalid("kind")),
    })
}

fn encode_member(member: &Member<Identity>, out: &mut Vec<u8>) {
    out.extend_from_slice(&member.incarnation().to_be_bytes());
    out.push(match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    });
    put_identity(member.id(), out);
}

fn decode_member(fields: &mut Reader<'_>) -> Result<Member<Identity>, Malformed> {
    let number = fields.u16("number")?;
    let state = match fields.u8("state")? {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Down,
        _ => return Err(Malformed::Invalid("state")),
    };
    Ok(Member::new(take_identity(fields)?, number, state))
}

fn put(bytes: &[u8], buf: &mut impl BufMut) -> Result<(), Refused> {
    if buf.remaining_mut() < bytes.len() {
        return Err(Refused::Full);
    }
    buf.put_slice(bytes);
    Ok(())
}

/// Reads from what foca has, which is one slice.
fn read<T>(
    mut buf: impl Buf,
    take: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let bytes = buf.chunk();
    let mut reader = Reader::new(bytes);
    let taken = take(&mut reader)?;
    let len = bytes.len() - reader.rest().len();
    buf.advance(len);
    Ok(taken)
}

fn put_identity(identity: &Identity, out: &mut Vec<u8>) {
    put_stream(identity.incarnation, out);
    out.extend_from_slice(&identity.generation.to_be_bytes());
    put_address(identity.address, out);
}

fn take_identity(fields: &mut Reader<'_>) -> Result<Identity, Malformed> {
    let incarnation = take_stream(fields)?;
    let generation = fields.u32("generation")?;
    Ok(Identity { incarnation, generation, address: take_address(fields)? })
}
