use super::*;
use crate::testing::street;

const NODE: u64 = 0x0123_4567_89ab_cdef;

fn guards() -> [Guard; 3] {
    let to = |address: &str| Connections::To(address.parse().unwrap());
    let backend = "10.1.0.9:5432".parse().unwrap();
    [
        Guard { connections: to("10.1.0.1:443"), queue: Some(7) },
        Guard { connections: to("[fd77::1]:443"), queue: Some(7) },
        Guard { connections: Connections::From("10.1.0.1".parse().unwrap(), backend), queue: None },
    ]
}

fn ours(command: &'static str) -> usize {
    listed(command).unwrap().lines().filter(|line| line.contains("SEGUE-")).count()
}

#[test]
fn rules_come_once_and_go_with_their_owner() {
    let Some(street) = street(0) else { return };
    street.outside().within(|| {
        let rules = Rules::install(NODE, &guards()).unwrap();
        // Two chains, two jumps to them, and the rules.
        assert_eq!((ours("iptables"), ours("ip6tables")), (4 + 6, 4 + 5));
        // One that was killed leaves them to its next start.
        std::mem::forget(rules);
        let again = Rules::install(NODE, &guards()[..1]).unwrap();
        assert_eq!((ours("iptables"), ours("ip6tables")), (4 + 4, 0));
        let other = Rules::install(NODE + 1, &guards()[1..2]).unwrap();
        assert_eq!((ours("iptables"), ours("ip6tables")), (4 + 4, 4 + 5));
        drop(again);
        assert_eq!((ours("iptables"), ours("ip6tables")), (0, 4 + 5));
        other.remove().unwrap();
        Rules::sweep(NODE).unwrap();
        assert_eq!((ours("iptables"), ours("ip6tables")), (0, 0));
    });
}

#[test]
fn what_others_have_stays() {
    let Some(street) = street(0) else { return };
    street.outside().within(|| {
        change("iptables-restore", "*mangle\n-A INPUT -p udp -j ACCEPT\nCOMMIT\n").unwrap();
        let before = listed("iptables").unwrap();
        Rules::install(NODE, &guards()).unwrap().remove().unwrap();
        assert_eq!(listed("iptables").unwrap(), before);
    });
}

#[test]
fn what_cannot_be_put_in_is_said() {
    let mixed = Guard {
        connections: Connections::From("::1".parse().unwrap(), "10.0.0.1:1".parse().unwrap()),
        queue: None,
    };
    assert!(matches!(mixed.rules(NODE), Err(RulesError::Families(..))));
    let error = change("iptables-restore", "*nothing\n").unwrap_err().to_string();
    assert!(error.starts_with("iptables-restore: ") && error.contains("CAP_NET_ADMIN"), "{error}");
}
