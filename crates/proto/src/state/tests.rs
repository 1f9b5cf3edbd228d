use proptest::prelude::*;

use super::address::AddressForm;
use super::cart::Lane;
use super::index::{Entry, Order};
use super::payment::{Amount, Step};
use super::*;
use crate::record::{Hlc, Version, Writer};
use crate::time::Wall;
use crate::wire::codec::Malformed;

/// Everything of the first schema, as its bytes were first written.
const FIRST: [(&str, &[u8]); 5] = [
    ("auth", include_bytes!("fixtures/auth-1.bin")),
    ("index", include_bytes!("fixtures/index-1.bin")),
    ("cart", include_bytes!("fixtures/cart-1.bin")),
    ("payment", include_bytes!("fixtures/payment-1.bin")),
    ("address", include_bytes!("fixtures/address-1.bin")),
];

const NOW: Wall = Wall::from_millis(1_796_000_000_000);
const LATER: Wall = Wall::from_millis(1_796_000_600_000);

fn id(byte: u8) -> StateId {
    StateId::new([byte; StateId::BYTES])
}

fn auth() -> Auth {
    let mut auth = Auth::new("ada@example.org", "password", NOW).unwrap();
    ["order", "refund"].iter().for_each(|right| auth.grant(right).unwrap());
    auth.step_up("totp", NOW, std::time::Duration::from_secs(300)).unwrap();
    (auth.order, auth.ends, auth.cart) = (Order(7), LATER, Some(id(9)));
    auth.idle = std::time::Duration::from_secs(1_800);
    auth
}

fn index() -> Index {
    let mut index = Index::default();
    index.end_all(Wall::from_millis(2));
    index.add(Entry { order: Order(1_000), ends: LATER, id: id(1) }, NOW);
    index.add(Entry { order: Order(1_001), ends: LATER, id: id(2) }, NOW);
    index
}

fn cart() -> Cart {
    let version = |time| Version { time: Hlc(time), writer: Writer(3) };
    let mut cart = Cart::default();
    cart.add("mug", 3, Lane(1)).unwrap();
    cart.take("mug", 1, Lane(2)).unwrap();
    cart.set_attribute("mug", ("colour", Some("blue")), version(2)).unwrap();
    cart.set_attribute("mug", ("engraving", None), version(3)).unwrap();
    cart.add("hat", 1, Lane(1)).unwrap();
    cart.remove("hat", version(4)).unwrap();
    cart
}

fn payment() -> Payment {
    let amount = Amount::new(4_200, "EUR").unwrap();
    let payment = Payment::new(amount, "order 7", NOW, LATER).unwrap();
    let payment = payment.by(Card::masked("411111", "1111").unwrap());
    payment.advance(Step::Authorized, 5, NOW).unwrap().referred("pi_3Mtw").unwrap()
}

fn address() -> Address {
    let form = AddressForm {
        name: "Ada Lovelace",
        lines: &["Flat 2", "12 St James's Square"],
        city: "London",
        region: "",
        postcode: "SW1Y 4JH",
        country: "GB",
    };
    Address::new(&form).unwrap()
}

/// What reads as something is written again as it was.
fn again(bytes: &[u8]) -> [Option<Zeroizing<Vec<u8>>>; 5] {
    [
        Auth::decode(bytes).ok().map(|auth| auth.encode()),
        Index::decode(bytes).ok().map(|index| index.encode()),
        Cart::decode(bytes).ok().map(|cart| cart.encode()),
        Payment::decode(bytes).ok().map(|payment| payment.encode()),
        Address::decode(bytes).ok().map(|address| address.encode()),
    ]
}

#[test]
fn what_the_first_schema_wrote_still_reads() {
    let [a, i, c, p, d] = FIRST.map(|(_, bytes)| bytes);
    assert_eq!(Auth::decode(a), Ok(auth()));
    assert_eq!(Index::decode(i), Ok(index()));
    assert!(Cart::decode(c) == Ok(cart()));
    assert_eq!(Payment::decode(p), Ok(payment()));
    assert_eq!(Address::decode(d), Ok(address()));
}

#[test]
fn a_later_schema_is_not_read_and_does_not_join() {
    for (name, bytes) in FIRST {
        let mut later = bytes.to_vec();
        later[3] = 2;
        let is_newer = |found: Option<Malformed>| found == Some(Malformed::Invalid("schema"));
        assert!(
            is_newer(Auth::decode(&later).err())
                || is_newer(Index::decode(&later).err())
                || is_newer(Cart::decode(&later).err())
                || is_newer(Payment::decode(&later).err())
                || is_newer(Address::decode(&later).err()),
            "{name}"
        );
        for kind in [Kind::Auth, Kind::Purchase] {
            assert!(matches!(join(kind, &later, b"opaque"), Join::Neither), "{name}");
        }
    }
}

#[test]
fn nothing_that_is_shown_tells_of_a_person() {
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        auth(),
        index(),
        cart(),
        cart().lines().collect::<Vec<_>>(),
        payment(),
        address()
    );
    for secret in ["ada", "Ada", "mug", "blue", "411111", "1111", "London", "SW1Y", "order", "9, 9"]
    {
        // The names of fields are no secret.
        let values = shown.replace("order:", "").replace("Order(", "");
        assert!(!values.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn of_different_types_one_stays_whoever_comes_first() {
    let values = [cart().encode(), payment().encode()];
    let stays = |join: Join| matches!(join, Join::Held);
    assert!(stays(join(Kind::Purchase, &values[1], &values[0])));
    assert!(matches!(join(Kind::Purchase, &values[0], &values[1]), Join::Incoming));
    assert!(stays(join(Kind::Purchase, &values[0], b"opaque")));
    // A value joins as records of its own kind only.
    assert!(matches!(join(Kind::Auth, &values[0], &values[0]), Join::Neither));
    assert!(matches!(join(Kind::Web, &values[0], &values[0]), Join::Neither));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for of in 1..=5 {
            let bytes = [&[0xc0, b'S', of, 1], &bytes[..]].concat();
            for written in again(&bytes).into_iter().flatten() {
                prop_assert_eq!(&*written, &bytes);
            }
        }
    }

    #[test]
    fn broken_values_are_read_or_refused(which in 0..5_usize, at: usize, byte: u8, len: usize) {
        let (_, whole) = FIRST[which];
        let mut bytes = whole.to_vec();
        bytes[at % whole.len()] = byte;
        bytes.truncate(1 + len % whole.len());
        for written in again(&bytes).into_iter().flatten() {
            prop_assert_eq!(&*written, &bytes);
        }
    }
}
