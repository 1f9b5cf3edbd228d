use super::*;

fn key(byte: u8) -> FarmKey {
    FarmKey::new([byte; FARM_KEY_BYTES])
}

/// A ring of a farm whose first key was the first of all.
fn ring(bytes: &[u8]) -> Keyring {
    let keys = bytes.iter().map(|&byte| key(byte)).collect();
    Keyring::new(keys).unwrap().placed_by(key(0).placement_secret())
}

fn seconds(seconds: u64) -> Instant {
    Instant::from_micros(1) + Duration::from_secs(seconds)
}

fn opens(ring: &Keyring, byte: u8) -> bool {
    ring.opening(key(byte).id()).is_some()
}

#[test]
fn a_ring_has_some_keys_and_each_an_id_of_its_own() {
    let check = |keys: Vec<FarmKey>, expected| {
        assert_eq!(Keyring::new(keys).map(|_| ()), Err(expected));
    };
    check(vec![], KeyringError::Empty);
    check(vec![key(1), key(2), key(1)], KeyringError::SameId { first: 0, second: 2 });
    check((0..=8).map(key).collect(), KeyringError::TooMany(9));
}

#[test]
fn a_key_opens_before_it_seals_and_after() {
    let mut farm = ring(&[0]);
    farm.replace(ring(&[0, 1]), seconds(0)).unwrap();
    assert_eq!((farm.sealing(), opens(&farm, 1)), (&key(0), true));
    farm.replace(ring(&[1, 0]), seconds(1)).unwrap();
    assert_eq!((farm.sealing(), opens(&farm, 0)), (&key(1), true));
    farm.replace(ring(&[1]), seconds(2)).unwrap();
    assert!(opens(&farm, 0), "on its way out");
    assert!(farm.retire(seconds(16), |_| false).is_empty());
    assert_eq!(farm.retire(seconds(17), |_| false), [key(0).id()]);
    assert!(!opens(&farm, 0) && opens(&farm, 1));
}

#[test]
fn a_key_that_is_waited_for_leaves_later_but_leaves() {
    let mut farm = ring(&[0]);
    farm.replace(ring(&[1]), seconds(0)).unwrap();
    assert!(farm.retire(seconds(29), |_| true).is_empty());
    assert_eq!(farm.retire(seconds(30), |_| true), [key(0).id()]);
}

#[test]
fn a_key_that_comes_back_stays() {
    let mut farm = ring(&[0]);
    farm.replace(ring(&[1]), seconds(0)).unwrap();
    assert_eq!(farm.replace(ring(&[1, 0]), seconds(1)), Ok(vec![]));
    assert!(farm.retire(seconds(100), |_| false).is_empty());
    assert!(opens(&farm, 0));
}

#[test]
fn another_key_of_the_same_id_takes_its_place() {
    let other = (1..=u8::MAX).find(|&byte| key(byte).id() == key(0).id());
    let other = other.expect("256 keys have no 256 ids");
    let mut farm = ring(&[0]);
    assert_eq!(farm.replace(ring(&[other]), seconds(0)), Ok(vec![key(0).id()]));
    assert_eq!(farm.opening(key(0).id()), Some(&key(other)));
}

#[test]
fn a_ring_that_places_records_elsewhere_is_refused() {
    let mut farm = ring(&[0]);
    let stranger = Keyring::new(vec![key(1), key(0)]).unwrap();
    farm.replace(stranger, seconds(0)).unwrap();
    let stranger = Keyring::new(vec![key(1)]).unwrap();
    assert_eq!(farm.replace(stranger, seconds(0)), Err(RekeyError::Placement));
    assert_eq!(farm.sealing(), &key(1), "nothing has changed");
    assert_eq!(farm.placement_secret(), *key(0).placement_secret());
}

#[test]
fn what_is_leaving_is_bounded() {
    let mut farm = ring(&[0]);
    for byte in 1..=u8::MAX {
        farm.replace(ring(&[byte]), seconds(byte.into())).unwrap();
        assert!(farm.leaving.len() <= MAX_LEAVING);
    }
}
