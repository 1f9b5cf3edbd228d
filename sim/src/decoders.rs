//! What bytes from outside are read by, one decoder each.
//!
//! Nothing here asks what bytes mean: only that reading them ends without a
//! panic, and that what was read, written and read again is the same. The
//! fuzzers and the tests call the same functions.

use proto::agree::message::Envelope;
use proto::connection::frame::{FRAME_BYTES, Frame as Said, PULSE_BYTES, put_pulse};
use proto::connection::record;
use proto::connection::sealed::{Opener, SECRET_BYTES, Sealer};
use proto::connection::segment::{Checksum, Segment};
use proto::connection::stream::{LENGTH_BYTES, Message as Told, Reply, message_len};
use proto::keyring::{FarmKey, Keyring};
use proto::nak::reassembly::Fragment;
use proto::proof::Side;
use proto::record::merge::{Merge, merge};
use proto::record::{Body, Deadlines, Hlc, Key, Kind, Record, Version, Writer, normal};
use proto::state::{Address, Auth, Cart, Index, Payment};
use proto::time::Wall;
use proto::transfer::page::Contents;
use proto::upstream::{self, NONCE_BYTES, RANK, Seals};
use proto::web::{self, Content, Plain, State};
use proto::wire::Reader;
use proto::wire::control::{Item, MAX_DIGESTS, MAX_LISTED, MAX_NAK_RANGES, Message};
use proto::wire::frame::Frame;
use proto::wire::header::Header;
use proto::wire::link::{Answer, Ask, Batch, Item as Written, Items, Taken};

use crate::model::Holding;

/// When bytes are received: 2026-01-01.
const RECEIVED: Wall = Wall::from_millis(1_767_225_600_000);

/// Reads bytes as everything that a peer's bytes are read as.
pub fn all(bytes: &[u8]) {
    for decode in [header, frames, fragment, control, page, link, agree, segment, connection] {
        decode(bytes);
    }
    state(bytes);
    web(bytes);
    stream(bytes);
}

/// A packet's header.
///
/// # Panics
///
/// When it does not read what it writes.
pub fn header(bytes: &[u8]) {
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(header.encode(), bytes[..header.encode().len()]);
    }
}

/// A TCP segment, as the network brings it.
///
/// # Panics
///
/// When it has more data than its packet has bytes, or reads differently where
/// its checksum is verified.
pub fn segment(bytes: &[u8]) {
    let trusted = Segment::decode(bytes, Checksum::Trust);
    if let Ok(segment) = trusted {
        assert!(segment.data.len() + 40 <= bytes.len());
    }
    if let Ok(verified) = Segment::decode(bytes, Checksum::Verify) {
        assert_eq!(Ok(verified), trusted);
    }
}

/// What owners and understudies of live connections tell each other, and the
/// record of a connection.
///
/// # Panics
///
/// When something does not read as what it was written as.
pub fn connection(bytes: &[u8]) {
    let again = |written: &[u8]| {
        let (length, rest) = written.split_first_chunk::<LENGTH_BYTES>().expect("it has a length");
        assert_eq!(message_len(*length), Ok(rest.len()));
        rest.to_vec()
    };
    let mut written = Vec::new();
    if let Ok(message) = Told::decode(bytes) {
        message.encode(&mut written);
        assert_eq!(Told::decode(&again(&written)), Ok(message));
    }
    written.clear();
    if let Ok(reply) = Reply::decode(bytes) {
        reply.encode(&mut written);
        assert_eq!(Reply::decode(&again(&written)), Ok(reply));
    }
    if let Ok(header) = record::Header::from_payload(bytes) {
        assert_eq!(record::Header::from_payload(&header.payload()), Ok(header));
    }
}

/// What comes over a stream: as records that nobody has sealed, and as frames in
/// one that the other end has.
///
/// # Panics
///
/// When what nobody has sealed opens, or frames are not what was sealed.
pub fn stream(bytes: &[u8]) {
    let secret = [1; SECRET_BYTES];
    let opener = |bytes: &[u8]| {
        let mut opener = Opener::new(&secret, Side::Opener, &[]);
        let len = bytes.len().min(opener.room().len());
        opener.room()[..len].copy_from_slice(&bytes[..len]);
        opener.received(len);
        opener
    };
    assert!(!matches!(opener(bytes).next_frame(), Ok(Some(_))), "nobody has this secret");
    let bytes = &bytes[..bytes.len().min(FRAME_BYTES)];
    let mut sealer = Sealer::new(&secret, Side::Opener, &[]);
    sealer.push(|out| out.extend_from_slice(bytes));
    sealer.seal();
    let mut opener = opener(sealer.unsent());
    let mut read = Vec::new();
    while let Ok(Some(span)) = opener.next_frame() {
        match opener.frame(span) {
            // A clock that is out of range is read as the last one that is not.
            Said::Pulse { clock: Wall::MAX } => {
                read.extend_from_slice(&bytes[read.len()..][..PULSE_BYTES]);
            }
            Said::Pulse { clock } => put_pulse(clock, &mut read),
            Said::Message(message) => {
                let len = u32::try_from(message.len()).expect("it is no longer than a frame");
                read.extend_from_slice(&len.to_be_bytes());
                read.extend_from_slice(message);
            }
        }
    }
    assert_eq!(read, bytes[..read.len()]);
}

/// A value that an engine outside of the farm gives, as it stands there and as
/// what it says once it has opened.
///
/// # Panics
///
/// When what says something is not sealed and opened as the same.
pub fn upstream(bytes: &[u8]) {
    let keys = Keyring::new(vec![FarmKey::new([1; 32])]).expect("one key makes a keyring");
    let seals = Seals::new(&keys);
    for kind in Kind::ALL {
        let key = Key::new(kind, b"id").expect("two bytes");
        assert!(seals.open(&key, &mut bytes.to_vec()).is_err(), "nobody has this key");
        let Some((rank, opened)) = bytes.split_at_checked(RANK.len()) else { return };
        if let Ok(record) = upstream::parse(&key, rank, opened) {
            let mut value = seals.seal(&record, &[7; NONCE_BYTES]);
            assert_eq!(&value[RANK], rank);
            assert_eq!(seals.open(&key, &mut value), Ok(record));
        }
    }
}

/// What applications keep: one value after the length of it, and another one. It
/// is read, and both are merged as records of one key.
///
/// # Panics
///
/// When a value is not written as it was read, or merging depends on which of
/// two comes first.
pub fn state(bytes: &[u8]) {
    let [high, low, rest @ ..] = bytes else { return };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let (one, other) = rest.split_at(len.min(rest.len()));
    for value in [one, other] {
        let written = [
            Auth::decode(value).ok().map(|auth| auth.encode()),
            Index::decode(value).ok().map(|index| index.encode()),
            Cart::decode(value).ok().map(|cart| cart.encode()),
            Payment::decode(value).ok().map(|payment| payment.encode()),
            Address::decode(value).ok().map(|address| address.encode()),
        ];
        for written in written.iter().flatten() {
            assert_eq!(**written, value);
        }
    }
    for kind in [Kind::Auth, Kind::Purchase] {
        let key = Key::new(kind, b"id").expect("two bytes");
        let deadlines = Deadlines::at(Wall::MAX);
        let [one, other] = [one, other].map(|value| {
            let version = Version::default();
            normal(&Record { key, version, deadlines, body: Body::Value(value) })
        });
        assert_eq!(merged(&one, &other), merged(&other, &one));
    }
}

/// Two values of a session store's client, one behind the other: how long the
/// first one is, and in the next byte which was written first.
///
/// # Panics
///
/// When a value is not written as it was read, when what is read at a glance is
/// not what is there, or when merging depends on which of two comes first.
pub fn web(bytes: &[u8]) {
    let [high, low, first, rest @ ..] = bytes else { return };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let (one, other) = rest.split_at(len.min(rest.len()));
    let key = Key::new(Kind::Web, b"id").expect("two bytes");
    let record = |time: u8, writer, value| {
        let version = Version { time: Hlc(time.into()), writer: Writer(writer) };
        Record { key, version, deadlines: Deadlines::at(Wall::MAX), body: Body::Value(value) }
    };
    let (one, other) = (record(5 + first % 3, 1, one), record(6, 2, other));
    for record in [&one, &other] {
        let Body::Value(value) = record.body else { unreachable!("made above") };
        let (state, mut written) = (State::of(record), Vec::new());
        web::payload::encode(&state, &mut written);
        let again = State::of(&Record { body: Body::Value(&written), ..*record });
        assert!(again == state, "{again:?} of {state:?}");
        // What looks like a collection and is none is read as a text by the longer way
        // only.
        if let Some(item) = web::item(record) {
            assert!(matches!(&state.content, Content::Text(text, _) if **text == *item.text));
        }
        if let Plain::Text(text) = web::plain(value) {
            assert_eq!(web::item(record).map(|item| item.text), Some(text));
        }
        let _ = web::payload::name(value);
    }
    let joined = |held: &Record<'_>, incoming| {
        let Holding { key, version, deadlines, value } = merged(held, incoming);
        let body = value.as_deref().map_or(Body::Deleted, Body::Value);
        State::of(&Record { key, version, deadlines, body }).into_owned()
    };
    let (here, there) = (joined(&one, &other), joined(&other, &one));
    assert!(here == there, "{here:?} and {there:?}");
}

/// What is held after `other` came to `one`, of the same deadlines.
fn merged(one: &Record<'_>, other: &Record<'_>) -> Holding {
    match merge(one, other) {
        Merge::Keep | Merge::Touch(_) => Holding::of(one),
        Merge::Replace(_) => Holding::of(other),
        Merge::Join(joined) => Holding::of(&joined.record(one.key)),
    }
}

/// The frames of a data packet.
///
/// # Panics
///
/// When they do not read what they write.
pub fn frames(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    while let Ok(Some(frame)) = Frame::decode(&mut reader, RECEIVED) {
        same_frame(&frame);
    }
}

/// A fragment of a frame.
///
/// # Panics
///
/// When it does not read what it writes.
pub fn fragment(bytes: &[u8]) {
    if let Ok(fragment) = Fragment::decode(bytes) {
        let mut written = Vec::new();
        fragment.encode(&mut written);
        assert_eq!(written, bytes);
    }
}

/// The messages and parts of a control packet.
///
/// # Panics
///
/// When they do not read what they write.
pub fn control(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    while let Ok(Some(item)) = Item::decode(&mut reader) {
        let mut written = Vec::new();
        match &item {
            Item::Message(message) if !fits(message) => continue,
            Item::Message(message) => message.encode(&mut written),
            Item::Part(part) => part.encode(&mut written),
            Item::Found(part) => part.encode_found(&mut written),
            Item::Piece(piece) => piece.encode(&mut written),
        }
        assert_eq!(Item::decode(&mut Reader::new(&written)), Ok(Some(item)));
    }
}

/// A page of records, put together from its parts.
///
/// # Panics
///
/// When its frames do not read what they write.
pub fn page(bytes: &[u8]) {
    let Ok(mut contents) = Contents::decode(bytes) else { return };
    while let Ok(Some(frame)) = contents.next_frame(RECEIVED) {
        same_frame(&frame);
    }
}

/// What comes over a link from a node that has proven the farm's key: an ask, an
/// answer to it, a batch and what became of it.
///
/// # Panics
///
/// When they do not read what they write.
pub fn link(bytes: &[u8]) {
    let same = |written: &[u8]| assert_eq!(written, bytes);
    let mut written = Vec::new();
    if let Ok(ask) = Ask::decode(bytes) {
        ask.encode(&mut written);
        same(&written);
    }
    if let Ok(taken) = Taken::decode(bytes, usize::from(u16::MAX)) {
        written.clear();
        taken.encode(&mut written);
        same(&written);
    }
    let mut items = Items::of(bytes);
    let mut batch = Batch::default();
    while let Ok(Some(item)) = items.next_item() {
        if let Written::Record(record) = item {
            written.clear();
            Answer::Held(record).encode(&mut written);
            assert_eq!(Answer::decode(&written, &record.key), Ok(Answer::Held(record)));
        }
        if !batch.has_room() {
            break;
        }
        batch.push(&item);
    }
    assert!(bytes.starts_with(batch.bytes()), "a batch is written as it was read");
}

/// A message of those who agree.
///
/// # Panics
///
/// When it does not read what it writes.
pub fn agree(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::decode(bytes) {
        assert_eq!(envelope.encode()[..], *bytes);
    }
}

fn same_frame(frame: &Frame<'_>) {
    let mut written = Vec::new();
    frame.encode(&mut written);
    assert_eq!(written.len(), frame.encoded_len());
    assert_eq!(Frame::decode(&mut Reader::new(&written), RECEIVED), Ok(Some(*frame)));
}

/// Whether a message is written as it is: of a list that is longer than ours
/// are, only the first are. What is read is as long as its packet at the most.
fn fits(message: &Message) -> bool {
    match message {
        Message::Nak { ranges, .. }
        | Message::Orphan { beyond: ranges, .. }
        | Message::Pull { missing: ranges, .. }
        | Message::Ask { missing: ranges, .. } => ranges.len() <= MAX_NAK_RANGES,
        Message::Digests { digests, .. } | Message::Common { digests, .. } => {
            digests.len() <= MAX_DIGESTS
        }
        Message::Answer { members, .. } => members.len() <= MAX_LISTED,
        Message::Challenge { .. }
        | Message::Heartbeat { .. }
        | Message::Status { .. }
        | Message::Gone { .. }
        | Message::Kept { .. }
        | Message::Hearing { .. }
        | Message::Gossip(_)
        | Message::Absent { .. }
        | Message::Claim { .. }
        | Message::Claimed { .. }
        | Message::Leave => true,
    }
}
