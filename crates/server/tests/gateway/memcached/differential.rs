//! The same requests to a real memcached and to nodes: the same bytes come
//! back, but for the numbers of values, which have to be the same where they
//! are the same there.
//!
//! A value that was counted is not looked at again: memcached writes a number
//! that is shorter over the longer one, with blanks behind, where nothing else
//! holds that, and some request or other has it hold a value for good. Where
//! nothing does, it is looked at: request by request.

use std::collections::BTreeMap;

use proto::rng::Rng;

use super::talk::Talk;
use crate::memcached::keys;
use crate::node::{Node, directory, farm};
use crate::peer::Peer;
use crate::{lines, packets, pick};

/// So many requests take some seconds.
const LINES: u64 = 10_000;
const PACKETS: u64 = 10_000;
/// Nodes of a farm have to agree on most of them.
const IN_FARM: u64 = 2_000;

/// What is known of numbers: theirs, and ours.
#[derive(Default)]
struct Numbers {
    ours: BTreeMap<u64, u64>,
    theirs: BTreeMap<u64, u64>,
    /// The last ones of theirs that were seen.
    seen: Vec<u64>,
}

impl Numbers {
    /// Takes in numbers that stand at the same place; gives whether they are
    /// the same ones.
    fn pair(&mut self, theirs: u64, ours: u64) -> bool {
        if theirs == 0 || ours == 0 {
            return theirs == ours;
        }
        self.seen.push(theirs);
        *self.ours.entry(theirs).or_insert(ours) == ours
            && *self.theirs.entry(ours).or_insert(theirs) == theirs
    }

    fn pair_all(&mut self, theirs: &[u64], ours: &[u64]) -> bool {
        theirs.len() == ours.len()
            && theirs.iter().zip(ours).all(|(theirs, ours)| self.pair(*theirs, *ours))
    }

    /// One of theirs that requests may name: most often one that is current.
    fn last(&self, rng: &mut Rng) -> u64 {
        let recent = &self.seen[self.seen.len().saturating_sub(5)..];
        // Generators add a little to it.
        if recent.is_empty() { 0 } else { pick(rng, recent).saturating_sub(rng.below(3)) }
    }
}

/// A reply without its numbers, and those.
type Parts = (Vec<u8>, Vec<u64>);

fn parts_of_lines(reply: &[u8]) -> Parts {
    let (mut text, mut numbers, mut rest) = (Vec::new(), Vec::new(), reply);
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 2..];
        let words: Vec<&str> = line.split(' ').collect();
        let value = match words[0] {
            "VALUE" => Some(3),
            "VA" => Some(1),
            _ => None,
        };
        for (place, word) in words.iter().enumerate() {
            let number = match words[0] {
                "VALUE" if place == 4 => Some(*word),
                "VA" | "HD" | "EX" | "NF" | "NS" | "EN" => word.strip_prefix('c'),
                _ => None,
            };
            match number.and_then(|number| number.parse().ok()) {
                Some(number) => numbers.push(number),
                None => text.extend_from_slice(word.as_bytes()),
            }
            text.push(b' ');
        }
        let len = value.and_then(|place| words.get(place)?.parse::<usize>().ok());
        if let Some(len) = len {
            text.extend_from_slice(&rest[..len]);
            rest = &rest[len + 2..];
        }
        text.push(b'\n');
    }
    text.extend_from_slice(rest);
    (text, numbers)
}

fn parts_of_packets(reply: &[u8]) -> Parts {
    let (mut text, mut numbers, mut rest) = (Vec::new(), Vec::new(), reply);
    while let Some((header, behind)) = rest.split_first_chunk::<24>() {
        let [head @ .., _, _, _, _, _, _, _, _] = header;
        let mut number = [0; 8];
        number.copy_from_slice(&header[16..]);
        numbers.push(u64::from_be_bytes(number));
        text.extend_from_slice(head);
        let body = body_bytes(header).min(behind.len());
        text.extend_from_slice(&behind[..body]);
        rest = &behind[body..];
    }
    text.extend_from_slice(rest);
    (text, numbers)
}

fn body_bytes(header: &[u8; 24]) -> usize {
    u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize
}

/// A number that no value has any more, here or there: a memcached's first.
const OLD: u64 = 1;

/// Has a memcached give that to a value, which goes.
fn use_up_old(theirs: &mut Talk) {
    assert_eq!(theirs.say("ms k 0 c|"), format!("HD c{OLD}"));
    assert_eq!(theirs.say("delete k"), "DELETED");
}

impl Numbers {
    /// A number that a request names, there and here. One that was not seen may
    /// be some value's there: the old one stands for it.
    fn named(&self, theirs: u64) -> (u64, u64) {
        self.ours.get(&theirs).map_or((OLD, OLD), |ours| (theirs, *ours))
    }
}

/// A line with the number that it names, as their client sends it and ours.
fn named_in_line(words: &[String], numbers: &Numbers) -> (Vec<String>, Vec<String>) {
    let is_cas = words[0] == "cas";
    let named = |(place, word): (usize, &String)| {
        let (letter, number) = match word.strip_prefix('C') {
            Some(number) => ("C", number),
            None => ("", if is_cas && place == 5 { word.as_str() } else { "" }),
        };
        let Ok(number) = number.parse() else { return (word.clone(), word.clone()) };
        let (theirs, ours) = numbers.named(number);
        (format!("{letter}{theirs}"), format!("{letter}{ours}"))
    };
    words.iter().enumerate().map(named).unzip()
}

/// The same with packets.
fn named_in_packets(bytes: &[u8], numbers: &Numbers) -> (Vec<u8>, Vec<u8>) {
    let (mut theirs, mut ours) = (bytes.to_vec(), bytes.to_vec());
    let mut at = 0;
    while let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<24>()) {
        let mut number = [0; 8];
        number.copy_from_slice(&header[16..]);
        if number != [0; 8] {
            let (there, here) = numbers.named(u64::from_be_bytes(number));
            theirs[at + 16..at + 24].copy_from_slice(&there.to_be_bytes());
            ours[at + 16..at + 24].copy_from_slice(&here.to_be_bytes());
        }
        at += 24 + body_bytes(header);
    }
    (theirs, ours)
}

/// A value that a plain `set` stores, and that ends some day, is never what is
/// there already.
fn make_unique(packet: &mut Vec<u8>, step: u64) {
    let ends = packet.get(28..32).is_some_and(|expiry| expiry != [0; 4]);
    if matches!(packet.get(1), Some(0x01 | 0x11)) && packet[4] == 8 && ends {
        let more = (1_000_000 + step).to_string();
        let body = body_bytes(packet.first_chunk().expect("a header")) + more.len();
        let body = u32::try_from(body).expect("short");
        packet[8..12].copy_from_slice(&body.to_be_bytes());
        packet.extend_from_slice(more.as_bytes());
    }
}

/// The packet that has the value of another packet's key go.
fn delete_of(packet: &[u8]) -> Vec<u8> {
    let key_bytes = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let key = &packet[24 + usize::from(packet[4])..][..key_bytes];
    let mut delete = vec![0; 24];
    (delete[0], delete[1]) = (packet[0], 0x04);
    delete[2..4].copy_from_slice(&packet[2..4]);
    delete[10..12].copy_from_slice(&packet[2..4]);
    [&delete, key].concat()
}

/// A request of the generator. A value that is there already is the same one to
/// a node, and numbers say nothing of which is the older: requests that would
/// show that are not sent.
fn line(rng: &mut Rng, step: u64, numbers: &Numbers) -> (Vec<String>, Option<String>) {
    loop {
        let last = numbers.last(rng);
        let (mut words, mut value) = lines::request(rng, last);
        let has = |letter: char| words.iter().any(|word| word.starts_with(letter));
        if words[0].is_empty() || (words[0] == "ms" && has('I') && has('C')) {
            continue;
        }
        // What ends some day is never what is there already.
        if let Some(text) = &mut value
            && text.len() < 100
            && words.iter().any(|word| word.contains("1000"))
        {
            let unique = (1_000_000 + step).to_string();
            let place = if words[0] == "ms" { 2 } else { 4 };
            if words.get(place).is_some_and(|len| *len == text.len().to_string()) {
                words[place] = unique.len().to_string();
                *text = unique;
            }
        }
        return (words, value);
    }
}

fn bytes_of(words: &[String], value: Option<&String>) -> Vec<u8> {
    let mut bytes = format!("{}\r\n", words.join(" ")).into_bytes();
    if let Some(value) = value {
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    // Whatever is taken for a value is over before the request is.
    bytes.extend_from_slice(&b"mn\r\n".repeat(10));
    bytes
}

/// Asks both for the numbers of all keys.
fn compare_numbers(theirs: &mut Talk, ours: &mut Talk, numbers: &mut Numbers) {
    let all = format!("gets {}\r\n", keys().join(" "));
    let (expected, found) = (theirs.lines(all.as_bytes()), ours.lines(all.as_bytes()));
    assert_same("gets", &expected, &found, numbers, parts_of_lines);
}

fn assert_same(
    request: &str,
    expected: &[u8],
    found: &[u8],
    numbers: &mut Numbers,
    parts: fn(&[u8]) -> Parts,
) {
    let ((expected_text, theirs), (found_text, ours)) = (parts(expected), parts(found));
    let same = found_text == expected_text && numbers.pair_all(&theirs, &ours);
    let shown = |bytes: &[u8]| bytes[..bytes.len().min(2_000)].escape_ascii().to_string();
    assert!(same, "{request}\n  ours: {}\ntheirs: {}", shown(found), shown(expected));
}

/// Has lines compared with a memcached, each sent to one of these nodes.
fn compare_lines(nodes: &[&Node], count: u64, takes: fn(&[String]) -> bool) {
    let peer = Peer::memcached();
    let mut theirs = Talk::new(peer.connection().expect("it serves"));
    let mut ours: Vec<Talk> = nodes.iter().map(|node| Talk::tcp(&node.memcached)).collect();
    let (mut rng, mut numbers) = (Rng::from_u64(11), Numbers::default());
    use_up_old(&mut theirs);
    for step in 0..count {
        let place = usize::try_from(rng.below(ours.len() as u64)).expect("an index");
        let ours = &mut ours[place];
        if rng.chance(1, 3) {
            compare_numbers(&mut theirs, ours, &mut numbers);
        }
        let (words, value) = line(&mut rng, step, &numbers);
        if !takes(&words) {
            continue;
        }
        let (there, here) = named_in_line(&words, &numbers);
        let expected = theirs.lines(&bytes_of(&there, value.as_ref()));
        let found = ours.lines(&bytes_of(&here, value.as_ref()));
        let shown = format!("step {step}: {words:?} {:.100}", value.unwrap_or_default());
        assert_same(&shown, &expected, &found, &mut numbers, parts_of_lines);
        if matches!(words[0].as_str(), "incr" | "decr" | "ma") {
            // In base64 the last of the keys says "f".
            let gone = format!("delete {}|delete f", words[1]);
            assert_eq!(ours.say(&gone), theirs.say(&gone), "{shown}");
        }
    }
}

#[test]
fn lines_are_answered_as_by_memcached() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    compare_lines(&[&node], LINES, |_| true);
}

#[test]
fn lines_are_answered_as_by_memcached_at_any_node_of_a_farm() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b"]);
    // Whether a value was read before is each node's own to know.
    let takes = |words: &[String]| !words.iter().any(|word| word == "h");
    compare_lines(&[&nodes[0], &nodes[1]], IN_FARM, takes);
}

#[test]
fn packets_are_answered_as_by_memcached() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let peer = Peer::memcached();
    let talk = || (Talk::new(peer.connection().expect("it serves")), Talk::tcp(&node.memcached));
    let (mut theirs, mut ours) = talk();
    let (mut rng, mut numbers) = (Rng::from_u64(12), Numbers::default());
    use_up_old(&mut Talk::new(peer.connection().expect("it serves")));
    for step in 0..PACKETS {
        let mut bytes = Vec::new();
        let last = numbers.last(&mut rng);
        packets::packet(&mut rng, last, &mut bytes);
        make_unique(&mut bytes, step);
        let (there, here) = named_in_packets(&bytes, &numbers);
        let (expected, goes_on) = theirs.packets(&there);
        let (found, ours_goes_on) = ours.packets(&here);
        let shown = format!("step {step}: {:.300}", bytes.escape_ascii().to_string());
        assert_eq!(ours_goes_on, goes_on, "{shown}");
        // A connection that memcached ends may lose what it said before.
        if goes_on || !expected.is_empty() {
            assert_same(&shown, &expected, &found, &mut numbers, parts_of_packets);
        }
        if !goes_on {
            (theirs, ours) = talk();
        }
        // Behind the packet that has all replies sent one that counts may stand.
        if goes_on && bytes.get(1) == Some(&0x0a) && bytes.len() > 24 {
            let gone = delete_of(&bytes[24..]);
            assert_eq!(ours.packets(&gone), theirs.packets(&gone), "{shown}");
        }
    }
}

#[test]
fn what_is_asked_one_by_one_is_answered_as_by_memcached() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let peer = Peer::memcached();
    let mut theirs = Talk::new(peer.connection().expect("it serves"));
    let mut ours = Talk::tcp(&node.memcached);
    for line in [
        "set n 5 0 2|10",
        "decr n 1",
        "get n",
        "decr n 100",
        "incr n 99",
        "incr n 1",
        "get n",
        "ma n MD D10 v",
        "mg n s v f",
        "md n",
        "ma n N0 J7 v",
        "mg n v t",
        "get",
        "gat 0",
        "touch n 0",
        "set a 0 0 1|x",
        "flush_all",
        "get a",
        "set a 0 0 1|x",
        "flush_all 0",
        "get a",
        "set a 0 0 1|x",
        "flush_all 1000",
        "get a",
        "flush_all x",
        "flush_all 1 2 3",
        "flush_all noreply",
        "get a",
        "set a 0 0 1|x",
        "get a",
    ] {
        assert_eq!(ours.say(line), theirs.say(line), "{line}");
    }
}
