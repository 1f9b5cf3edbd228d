use super::*;
use crate::keyring::FARM_KEY_BYTES;

const SENDER: Incarnation = Incarnation(5);

fn keyring(byte: u8) -> Keyring {
    Keyring::new(vec![FarmKey::new([byte; FARM_KEY_BYTES])]).unwrap()
}

fn sealed(keyring: &Keyring, packet_type: PacketType, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; HEADER_BYTES];
    packet.extend_from_slice(body);
    packet.extend_from_slice(&[0; TAG_BYTES]);
    Sealer::new(keyring, SENDER, packet_type, 0).seal(0, &mut packet);
    packet
}

fn open(keyring: &Keyring, packet: &mut [u8]) -> Result<Vec<u8>, Forged> {
    let header = Header::decode(packet).unwrap();
    Opener::new(header.incarnation).open(keyring, &header, packet).map(<[u8]>::to_vec)
}

#[test]
fn what_is_sealed_opens() {
    for packet_type in [PacketType::Data, PacketType::Control] {
        let mut packet = sealed(&keyring(1), packet_type, b"body");
        assert!(!packet.windows(4).any(|part| part == b"body"));
        assert_eq!(open(&keyring(1), &mut packet), Ok(b"body".to_vec()));
    }
}

#[test]
fn every_changed_bit_is_found() {
    let packet = sealed(&keyring(1), PacketType::Data, b"body");
    for bit in 0..packet.len() * 8 {
        let mut changed = packet.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if Header::decode(&changed).is_ok() {
            assert_eq!(open(&keyring(1), &mut changed), Err(Forged), "bit {bit}");
        }
    }
}

#[test]
fn another_farm_does_not_open_it() {
    let mut packet = sealed(&keyring(1), PacketType::Data, b"body");
    assert_eq!(open(&keyring(2), &mut packet), Err(Forged));
}

#[test]
fn a_packet_without_room_for_a_tag_is_refused() {
    let packet = sealed(&keyring(1), PacketType::Data, b"");
    for len in HEADER_BYTES..packet.len() {
        assert_eq!(open(&keyring(1), &mut packet[..len].to_vec()), Err(Forged));
    }
}

/// One sender's stream and one receiver of it, who may hold another ring.
struct Pair {
    sealer: Sealer,
    sealing: Keyring,
    opener: Opener,
    opening: Keyring,
}

impl Pair {
    /// A stream whose numbers begin after `last`.
    fn new(last: u64) -> Self {
        let sealing = keyring(0);
        let sealer = Sealer::new(&sealing, SENDER, PacketType::Data, last);
        Self { sealer, opening: sealing.clone(), sealing, opener: Opener::new(SENDER) }
    }

    fn seal(&mut self) -> Vec<u8> {
        let mut packet = vec![0; HEADER_BYTES + TAG_BYTES];
        self.sealer.seal(0, &mut packet);
        packet
    }

    fn open(&mut self, mut packet: Vec<u8>) -> bool {
        let header = Header::decode(&packet).unwrap();
        self.opener.open(&self.opening, &header, &mut packet).is_ok()
    }

    /// How many keys the receiver holds ready.
    fn ready(&self) -> usize {
        self.opener.data.derived.len() + self.opener.control.derived.len()
    }
}

/// A ring of those keys, the first of which seals.
fn ring(bytes: &[u8]) -> Keyring {
    let keys = bytes.iter().map(|&byte| FarmKey::new([byte; FARM_KEY_BYTES])).collect();
    let first = FarmKey::new([0; FARM_KEY_BYTES]);
    Keyring::new(keys).unwrap().placed_by(first.placement_secret())
}

#[test]
fn a_new_key_opens_from_the_first_packet_on_and_the_old_one_still() {
    let mut pair = Pair::new(0);
    let before = pair.seal();
    pair.sealer.rekey(ring(&[1]).sealing());
    let after = pair.seal();
    assert!(!pair.open(after.clone()), "the key was not published");
    assert_eq!(pair.ready(), 0, "nothing is derived for it");
    pair.opening = ring(&[0, 1]);
    assert!(pair.open(after) && pair.open(before.clone()));
    pair.opening = ring(&[1]);
    pair.opener.forget(pair.sealing.sealing().id());
    assert!(!pair.open(before), "a retired key opens nothing");
}

#[test]
fn an_epoch_ends_in_mid_stream() {
    const LAST: u64 = (1 << EPOCH_BITS) - 1;
    let mut pair = Pair::new(LAST - 2);
    let packets: Vec<_> = (0..6).map(|_| pair.seal()).collect();
    assert_eq!(Header::decode(&packets[1]).unwrap().sequence, LAST);
    // A repair may come from before the turn.
    for at in [0, 2, 1, 4, 3, 5] {
        assert!(pair.open(packets[at].clone()), "packet {at}");
    }
    let key = |epoch| PacketKey::derive(pair.sealing.sealing(), SENDER, PacketType::Data, epoch);
    let opens = |epoch, at: usize| {
        let header = Header::decode(&packets[at]).unwrap();
        key(epoch).open(header.sequence, &mut packets[at].clone()).is_ok()
    };
    assert!(opens(0, 1) && !opens(1, 1) && opens(1, 2) && !opens(0, 2));
}

#[test]
fn forged_packets_make_nobody_derive_keys_without_end() {
    let mut pair = Pair::new(0);
    let genuine = pair.seal();
    assert!(pair.open(genuine.clone()));
    for number in 0..=u8::MAX {
        let mut forged = genuine.clone();
        forged[3] = number;
        assert_eq!(pair.open(forged.clone()), forged == genuine);
        forged[3] = genuine[3];
        let sequence = u64::from(number) << EPOCH_BITS;
        forged[20..28].copy_from_slice(&sequence.to_be_bytes());
        assert!(!pair.open(forged));
        assert!(pair.ready() <= 2, "this epoch's and the next one's");
    }
    assert!(pair.open(genuine));
}

proptest::proptest! {
    #[test]
    fn no_rotation_uses_a_number_twice_or_loses_a_packet(
        turns in proptest::collection::vec((0_u8..5, 0_usize..4), 1..40),
        early in 0_u64..20,
    ) {
        let mut pair = Pair::new((1 << EPOCH_BITS) - early);
        pair.opening = ring(&[0, 1, 2, 3, 4]);
        let mut packets = Vec::new();
        for (byte, count) in turns {
            pair.sealer.rekey(ring(&[byte]).sealing());
            packets.extend((0..count).map(|_| pair.seal()));
        }
        let numbers = packets.iter().map(|packet| Header::decode(packet).unwrap().sequence);
        let first = (1 << EPOCH_BITS) - early + 1;
        proptest::prop_assert!(numbers.eq((first..).take(packets.len())));
        // The last ones first: they may overtake.
        for packet in packets.into_iter().rev() {
            proptest::prop_assert!(pair.open(packet));
        }
    }
}
