use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What a packet is made of.
#[derive(Debug, Clone)]
struct Made {
    from: SocketAddr,
    to: SocketAddr,
    numbers: [u32; 2],
    flags: u8,
    window: u16,
    options: Vec<u8>,
    data: Vec<u8>,
    /// IPv6 extension headers, or words of IPv4 options.
    extra: usize,
}

impl Made {
    fn packet(&self) -> Vec<u8> {
        let mut tcp = [self.from.port().to_be_bytes(), self.to.port().to_be_bytes()].concat();
        tcp.extend(self.numbers.iter().flat_map(|number| number.to_be_bytes()));
        let header = u8::try_from(20 + self.options.len()).unwrap();
        assert_eq!(header % 4, 0);
        tcp.extend([header << 2, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(&self.options);
        tcp.extend(&self.data);
        let ends = [self.from.ip(), self.to.ip()].map(|end| match end {
            IpAddr::V4(end) => sum(&end.octets()),
            IpAddr::V6(end) => sum(&end.octets()),
        });
        let mut total = ends[0] + ends[1] + 6 + tcp.len() as u64 + sum(&tcp);
        while total > 0xFFFF {
            total = (total & 0xFFFF) + (total >> 16);
        }
        tcp[16..18].copy_from_slice(&(!u16::try_from(total).unwrap()).to_be_bytes());
        [self.header(tcp.len()), tcp].concat()
    }

    fn header(&self, tcp: usize) -> Vec<u8> {
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let length = 20 + 4 * self.extra;
                let mut header = vec![0x40 | u8::try_from(length / 4).unwrap(), 0];
                header.extend(u16::try_from(length + tcp).unwrap().to_be_bytes());
                // Number, do-not-fragment, hops, protocol, checksum.
                header.extend([0, 7, 0x40, 0, 64, 6, 0, 0]);
                header.extend(from.octets().into_iter().chain(to.octets()));
                header.resize(length, 1);
                header
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let length = u16::try_from(8 * self.extra + tcp).unwrap();
                let mut header = vec![0x60, 0, 0, 0];
                header.extend(length.to_be_bytes());
                header.extend([if self.extra == 0 { TCP } else { DESTINATION }, 64]);
                header.extend(from.octets().into_iter().chain(to.octets()));
                for left in (0..self.extra).rev() {
                    let next = if left == 0 { TCP } else { DESTINATION };
                    header.extend([next, 0, 1, 4, 0, 0, 0, 0]);
                }
                header
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => unreachable!(),
        }
    }
}

fn ends() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<[([u8; 4], u16); 2]>().prop_map(|[from, to]| (from.into(), to.into()));
    let v6 = any::<[([u8; 16], u16); 2]>().prop_map(|[from, to]| (from.into(), to.into()));
    prop_oneof![v4, v6]
}

fn options() -> impl Strategy<Value = Vec<u8>> {
    let bytes = vec(any::<u8>(), 0..=40);
    bytes.prop_map(|mut bytes| {
        bytes.truncate(bytes.len() & !3);
        bytes
    })
}

fn made() -> impl Strategy<Value = Made> {
    let rest = (any::<[u32; 2]>(), any::<u8>(), any::<u16>(), options(), vec(any::<u8>(), 0..100));
    (ends(), rest, 0..5_usize).prop_map(|((from, to), rest, extra)| {
        let (numbers, flags, window, options, data) = rest;
        Made { from, to, numbers, flags, window, options, data, extra }
    })
}

fn simple() -> Made {
    Made {
        from: "192.0.2.1:50000".parse().unwrap(),
        to: "192.0.2.2:443".parse().unwrap(),
        numbers: [u32::MAX, 7],
        flags: Flags::ACK,
        window: 100,
        options: vec![],
        data: b"data!".to_vec(),
        extra: 0,
    }
}

fn decode(packet: &[u8]) -> Result<Segment<'_>, SegmentError> {
    Segment::decode(packet, Checksum::Verify)
}

proptest! {
    #[test]
    fn what_was_made_is_read(made in made(), behind in vec(any::<u8>(), 0..8)) {
        let mut packet = made.packet();
        // What a wire fills short frames up with.
        packet.extend(behind);
        let segment = decode(&packet).unwrap();
        prop_assert_eq!((segment.from, segment.to), (made.from, made.to));
        prop_assert_eq!([segment.sequence, segment.acknowledged], made.numbers);
        prop_assert_eq!((segment.flags, segment.window), (Flags(made.flags), made.window));
        prop_assert_eq!(segment.data, made.data);
        prop_assert_eq!(Segment::decode(&packet, Checksum::Trust), Ok(segment));
    }

    #[test]
    fn a_wrong_bit_is_seen(made in made(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut packet = made.packet();
        let tcp = 20 + made.options.len() + made.data.len();
        let place = packet.len() - tcp + at.index(tcp);
        packet[place] ^= 1_u8 << bit;
        prop_assert!(decode(&packet).is_err());
    }

    #[test]
    fn what_is_cut_short_is_refused(made in made(), at in any::<prop::sample::Index>()) {
        let packet = made.packet();
        prop_assert!(decode(&packet[..at.index(packet.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(first in any::<u8>(), bytes in vec(any::<u8>(), 0..200)) {
        for version in [first, 0x45, 0x60] {
            let mut packet = bytes.clone();
            if let Some(first) = packet.first_mut() {
                *first = version;
            }
            if let Ok(segment) = Segment::decode(&packet, Checksum::Trust) {
                prop_assert!(segment.data.len() < packet.len());
            }
        }
    }
}

fn check_options(bytes: &[u8], expected: Options) {
    let made = Made { options: bytes.to_vec(), ..simple() };
    assert_eq!(decode(&made.packet()).unwrap().options, expected);
}

#[test]
fn options_of_a_syn() {
    let timestamps = Some(Timestamps { value: 0x0102_0304, echo: 0x0506_0708 });
    let bytes = [2, 4, 5, 0xB4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7];
    check_options(
        &bytes,
        Options { segment: Some(1460), scale: Some(7), sack: true, timestamps, block: None },
    );
}

#[test]
fn the_first_block_of_an_acknowledgement() {
    let bytes = [1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 2, 0];
    check_options(&bytes, Options { block: Some([1, 2]), ..Options::default() });
    // Too short for one.
    check_options(&[1, 1, 5, 6, 0, 0, 0, 1], Options::default());
}

#[test]
fn options_that_say_nothing() {
    let nothing = Options::default();
    // Behind the end, of a wrong length, longer than the header, of length 0 or
    // 1, no bytes for a segment.
    check_options(&[0, 2, 4, 5, 0xB4, 1, 1, 1], nothing);
    check_options(&[2, 3, 5, 1, 3, 4, 1, 1], nothing);
    check_options(&[2, 5, 5, 0xB4], nothing);
    check_options(&[9, 0, 4, 2], nothing);
    check_options(&[9, 1, 4, 2], nothing);
    check_options(&[2, 4, 0, 0], nothing);
    check_options(&[1, 1, 1, 2], nothing);
    // What stood before holds.
    check_options(&[4, 2, 9, 0], Options { sack: true, ..nothing });
    check_options(&[3, 3, 200, 0], Options { scale: Some(14), ..nothing });
}

#[test]
fn numbers_are_counted_past_the_end() {
    for (flags, length) in [(0, 5), (Flags::FIN, 6), (Flags::SYN | Flags::FIN, 7)] {
        let packet = Made { flags, ..simple() }.packet();
        let segment = decode(&packet).unwrap();
        assert_eq!((segment.length(), segment.end()), (length, length - 1));
    }
}

fn check_refused(expected: SegmentError, change: impl Fn(&mut Vec<u8>), v6: bool) {
    let made = if v6 {
        let [from, to] =
            ["[2001:db8::1]:50000", "[2001:db8::2]:443"].map(|end| end.parse().unwrap());
        Made { from, to, extra: 1, ..simple() }
    } else {
        simple()
    };
    let mut packet = made.packet();
    change(&mut packet);
    assert_eq!(decode(&packet), Err(expected));
}

#[test]
fn what_is_no_segment_is_named() {
    check_refused(SegmentError::Short, Vec::clear, false);
    check_refused(SegmentError::Version(5), |packet| packet[0] = 0x55, false);
    check_refused(SegmentError::Protocol(17), |packet| packet[9] = 17, false);
    check_refused(SegmentError::Fragment, |packet| packet[6] = 0x20, false);
    check_refused(SegmentError::Fragment, |packet| packet[7] = 1, false);
    check_refused(SegmentError::Length, |packet| packet[0] = 0x44, false);
    check_refused(SegmentError::Length, |packet| packet[3] = 19, false);
    check_refused(SegmentError::Length, |packet| packet[32] = 0x40, false);
    check_refused(SegmentError::Short, |packet| packet[32] = 0xF0, false);
    check_refused(SegmentError::Checksum, |packet| packet[12] ^= 1, false);
    check_refused(SegmentError::Protocol(58), |packet| packet[40] = 58, true);
    check_refused(SegmentError::Fragment, |packet| packet[40] = FRAGMENT, true);
    check_refused(SegmentError::Routed, |packet| packet[6] = ROUTING, true);
    check_refused(SegmentError::Short, |packet| packet[41] = 200, true);
}

/// Headers that lead to each other without end.
#[test]
fn extension_headers_are_counted() {
    let [from, to] = ["[2001:db8::1]:1", "[2001:db8::2]:2"].map(|end| end.parse().unwrap());
    let most = Made { from, to, extra: MAX_EXTENSIONS, ..simple() };
    assert!(decode(&most.packet()).is_ok());
    let more = Made { extra: MAX_EXTENSIONS + 1, ..most };
    assert_eq!(decode(&more.packet()), Err(SegmentError::Protocol(DESTINATION)));
}
