//! Key events: what Redis says of a change to those who listen for it, and
//! which of that is asked for.
//!
//! It knows the names that Redis gives to changes. Who listens, and how what
//! happened at other nodes is heard of, it does not know.

use super::is;
use crate::gateway::resp::Request;
use crate::web::{Content, Shape, State};

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Commands on keys of any type.
    Generic,
    /// Texts.
    Text,
    /// Sets.
    Set,
    /// Hashes.
    Hash,
    /// Sorted sets.
    Sorted,
    /// A key has ended.
    Expired,
    /// A key is there that was not.
    New,
}

/// Something that happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub class: Class,
    /// Redis' name for it.
    pub name: &'static str,
}

/// A key has ended.
pub const EXPIRED: Event = event(Class::Expired, "expired");
const DELETED: Event = event(Class::Generic, "del");
const EXPIRE: Event = event(Class::Generic, "expire");
const NEW: Event = event(Class::New, "new");

const fn event(class: Class, name: &'static str) -> Event {
    Event { class, name }
}

/// Letters of `notify-keyspace-events`, in the order in which Redis gives them
/// back; what of them can happen here. Lists, streams, evictions, modules and
/// misses are taken and never happen.
const LETTERS: [(u8, Option<Class>); 11] = [
    (b'g', Some(Class::Generic)),
    (b'$', Some(Class::Text)),
    (b'l', None),
    (b's', Some(Class::Set)),
    (b'h', Some(Class::Hash)),
    (b'z', Some(Class::Sorted)),
    (b'x', Some(Class::Expired)),
    (b'e', None),
    (b't', None),
    (b'd', None),
    // From here on they are not among `A`.
    (b'n', Some(Class::New)),
];
/// How many of them `A` stands for: a bit each, from the lowest.
const ALL: u16 = (1 << 10) - 1;
const KEYSPACE: u16 = 1 << 11;
const KEYEVENT: u16 = 1 << 12;
const MISSES: u16 = 1 << 13;

/// Which events are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted(u16);

impl Wanted {
    /// What the letters of `notify-keyspace-events` ask for; none where one is
    /// unknown.
    #[must_use]
    pub fn parse(letters: &[u8]) -> Option<Self> {
        let bits = letters.iter().try_fold(0, |bits, letter| {
            let bit = match letter {
                b'A' => ALL,
                b'K' => KEYSPACE,
                b'E' => KEYEVENT,
                b'm' => MISSES,
                other => 1 << LETTERS.iter().position(|(letter, _)| letter == other)?,
            };
            Some(bits | bit)
        });
        bits.map(Self)
    }

    /// The same as Redis writes it.
    #[must_use]
    pub fn letters(self) -> String {
        let each = LETTERS.iter().enumerate().filter(|(at, _)| self.0 & (1 << at) != 0);
        let mut letters: String = if self.0 & ALL == ALL {
            "A".to_owned()
        } else {
            each.map(|(_, (letter, _))| char::from(*letter)).collect()
        };
        let others = [(KEYSPACE, 'K'), (KEYEVENT, 'E'), (MISSES, 'm')];
        letters.extend(others.into_iter().filter(|(bit, _)| self.0 & bit != 0).map(|it| it.1));
        letters
    }

    /// The same as a number, for who keeps it where threads share it.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// What [`Wanted::bits`] gave.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Whether anything is asked for that is sent anywhere.
    #[must_use]
    pub const fn any(self) -> bool {
        self.0 & (KEYSPACE | KEYEVENT) != 0
    }

    /// Whether events go to the channels of their keys.
    #[must_use]
    pub const fn by_key(self) -> bool {
        self.0 & KEYSPACE != 0
    }

    /// Whether events go to the channels of their names.
    #[must_use]
    pub const fn by_event(self) -> bool {
        self.0 & KEYEVENT != 0
    }

    /// Whether events of a class are asked for.
    #[must_use]
    pub fn has(self, class: Class) -> bool {
        let place = LETTERS.iter().position(|(_, it)| *it == Some(class));
        place.is_some_and(|at| self.0 & (1 << at) != 0)
    }
}

/// What a change by a command is called. The value was there before, and is
/// after it, or not.
#[must_use]
pub fn of_change(command: &str, request: &Request<'_>, was: bool, is_there: bool) -> Vec<Event> {
    let mut events = Vec::new();
    if is_there && !was {
        events.push(NEW);
    }
    match command {
        "expire" | "pexpire" | "expireat" | "pexpireat" if is_there => events.push(EXPIRE),
        "getex" if is_there && request.count() == 3 => {
            events.push(event(Class::Generic, "persist"));
        }
        "getex" if is_there => events.push(EXPIRE),
        "set" if is_there => {
            events.push(event(Class::Text, "set"));
            let timed = |word: &[u8]| ["EX", "PX", "EXAT", "PXAT"].iter().any(|it| is(word, it));
            if request.arguments().skip(3).any(timed) {
                events.push(EXPIRE);
            }
        }
        "setex" | "psetex" => events.extend([event(Class::Text, "set"), EXPIRE]),
        "zadd" if request.arguments().skip(2).any(|word| is(word, "INCR")) => {
            events.push(event(Class::Sorted, "zincr"));
        }
        _ => events.extend(named(command)),
    }
    // The last member takes the key with it, and an end that has passed does.
    let is_said = events.last().is_some_and(|last| ["del", "rename_from"].contains(&last.name));
    if was && !is_there && !is_said {
        events.push(DELETED);
    }
    events
}

/// The names that do not depend on options.
fn named(command: &str) -> Option<Event> {
    let (class, name) = match command {
        "mset" | "msetnx" | "setnx" | "getset" => (Class::Text, "set"),
        "append" => (Class::Text, "append"),
        "setrange" => (Class::Text, "setrange"),
        "incr" | "decr" | "incrby" | "decrby" => (Class::Text, "incrby"),
        "incrbyfloat" => (Class::Text, "incrbyfloat"),
        "hset" | "hmset" | "hsetnx" => (Class::Hash, "hset"),
        "hincrby" => (Class::Hash, "hincrby"),
        "hincrbyfloat" => (Class::Hash, "hincrbyfloat"),
        "hdel" => (Class::Hash, "hdel"),
        "sadd" => (Class::Set, "sadd"),
        "srem" => (Class::Set, "srem"),
        "zadd" => (Class::Sorted, "zadd"),
        "zincrby" => (Class::Sorted, "zincr"),
        "zrem" => (Class::Sorted, "zrem"),
        "zremrangebyscore" => (Class::Sorted, "zremrangebyscore"),
        "del" | "unlink" | "getdel" => (Class::Generic, "del"),
        "persist" => (Class::Generic, "persist"),
        "rename_from" => (Class::Generic, "rename_from"),
        "rename_to" => (Class::Generic, "rename_to"),
        "copy_to" => (Class::Generic, "copy_to"),
        _ => return None,
    };
    Some(event(class, name))
}

/// What is said of a value that another node has written. By which command, is
/// not known here.
#[must_use]
pub fn of_state(state: &State<'_>) -> Event {
    match &state.content {
        Content::Ended | Content::Gone => DELETED,
        Content::Text(..) => event(Class::Text, "set"),
        Content::Members(members) if members.live().next().is_none() => DELETED,
        Content::Members(members) => match members.shape {
            Shape::Hash => event(Class::Hash, "hset"),
            Shape::Set => event(Class::Set, "sadd"),
            Shape::SortedSet => event(Class::Sorted, "zadd"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_back_as_redis_writes_them() {
        let check = |letters: &str, expected: Option<&str>| {
            let found = Wanted::parse(letters.as_bytes()).map(Wanted::letters);
            assert_eq!(found.as_deref(), expected, "{letters}");
        };
        check("", Some(""));
        check("Egx", Some("gxE"));
        check("KEA", Some("AKE"));
        check("KEg$lshzxetd", Some("AKE"));
        check("KEAmn", Some("AKEm"));
        check("KEx$n", Some("$xnKE"));
        check("Q", None);
    }

    #[test]
    fn only_what_is_asked_for_is_wanted() {
        let wanted = Wanted::parse(b"Ex").expect("known letters");
        assert!(wanted.any() && wanted.by_event() && !wanted.by_key());
        assert!(wanted.has(Class::Expired) && !wanted.has(Class::Generic));
        assert_eq!(Wanted::from_bits(wanted.bits()), wanted);
        // Classes without a channel to go to are nothing.
        assert!(!Wanted::parse(b"A").expect("known letters").any());
    }
}
