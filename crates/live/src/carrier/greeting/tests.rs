use super::*;

const OURS: Syn =
    Syn { sequence: 10, segment: Some(1_460), scale: Some(7), sack: true, clock: Some(500) };
const THEIRS: Syn =
    Syn { sequence: 20, segment: Some(1_400), scale: Some(9), sack: true, clock: Some(9) };

fn ends(client: u16) -> (SocketAddr, SocketAddr) {
    (SocketAddr::from(([10, 0, 0, 100], 443)), SocketAddr::from(([10, 0, 0, 1], client)))
}

#[test]
fn what_both_say_is_agreed_on() {
    let header = end_header(ends(1), (OURS, THEIRS), 100);
    assert_eq!((header.sent, header.received), (Initial(10), Initial(20)));
    assert_eq!((header.mss, header.scales, header.sack), (1_400, Some((7, 9)), true));
    assert_eq!(header.timestamps, Some(400), "what our clock is ahead of the common one");
}

#[test]
fn what_one_leaves_out_is_not_used() {
    let silent = Syn { segment: None, scale: None, sack: false, clock: None, ..THEIRS };
    let header = end_header(ends(1), (OURS, silent), 100);
    assert_eq!((header.mss, header.scales), (USUAL_SEGMENT, None));
    assert_eq!((header.sack, header.timestamps), (false, None));
    let header = end_header(ends(1), (Syn { sequence: 10, ..silent }, THEIRS), 100);
    assert_eq!((header.mss, header.scales), (1_400, None));
    assert_eq!((header.sack, header.timestamps), (false, None));
}

#[test]
fn a_syn_is_remembered_for_a_while_and_taken_once() {
    let mut greetings = Greetings::default();
    let start = Instant::from_micros(5_000_000);
    assert!(greetings.remember(start, ends(1), OURS));
    assert!(greetings.remember(start, ends(2), OURS));
    assert_eq!(greetings.take(ends(1)), Some(OURS));
    assert_eq!(greetings.take(ends(1)), None);
    // A repetition counts from then on, with what it says.
    let later = start + REMEMBERED / 2;
    assert!(greetings.remember(later, ends(2), THEIRS));
    assert!(greetings.remember(start + REMEMBERED, ends(3), OURS));
    assert_eq!(greetings.take(ends(2)), Some(THEIRS));
    assert!(greetings.remember(later, ends(4), OURS));
    assert!(greetings.remember(later + 2 * REMEMBERED, ends(5), OURS));
    assert_eq!(greetings.take(ends(4)), None);
}

#[test]
fn a_flood_takes_no_more_than_its_room() {
    let mut greetings = Greetings::default();
    let start = Instant::from_micros(5_000_000);
    let most = u16::try_from(MOST).expect("there are as many ports");
    assert!((0..most).all(|client| greetings.remember(start, ends(client), OURS)));
    assert!(!greetings.remember(start, ends(most), OURS));
    // The same one again and again is no way around it.
    assert!(!greetings.remember(start, ends(1), OURS));
    assert_eq!((greetings.syns.len(), greetings.order.len()), (MOST, MOST));
    assert!(greetings.remember(start + REMEMBERED, ends(most), OURS));
    assert_eq!(greetings.syns.len(), 1);
}
