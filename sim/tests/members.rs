//! Who is found dead, and when; who is not; and how all find each other.

use std::time::Duration;

use proto::node::Event;
use proto::node::peer::State;
use sim::farm::{Configured, Farm, Layout};
use sim::weather::{Loss, Weather};

/// Runs of what nearly always goes well.
const SEEDS: u64 = 60;
/// A step of a watch.
const GLANCE: Duration = Duration::from_millis(10);
/// By then nodes have found each other, and rumours of that are over.
const SETTLED: Duration = Duration::from_secs(3);

fn pick(seed: u64, of: usize) -> usize {
    usize::try_from(seed % of as u64).expect("below a usize")
}

/// A LAN that loses so many packets of 1,000.
fn lan(loss: u64) -> Weather {
    let jitter = Duration::from_millis(1);
    Weather { loss: Loss::Independent(loss), jitter, ..Weather::calm(Duration::from_micros(100)) }
}

/// A farm in which all know each other. What it is differs from seed to seed.
fn farm(seed: u64) -> Farm {
    let nodes = 2 + pick(seed, 7);
    let multicast = !seed.is_multiple_of(3);
    let loss = [0, 10, 50][pick(seed / 2, 3)];
    let layout = Layout { multicast, ..Layout::of(nodes, lan(loss)) };
    let mut farm = Farm::new(layout, seed);
    farm.run(SETTLED + Duration::from_millis(seed % 100)).expect("nothing is broken");
    assert!(all_alive(&farm), "seed {seed}: all have met");
    farm
}

/// Whether each node that runs has all others that do for alive, and no others.
fn all_alive(farm: &Farm) -> bool {
    let running = farm.running();
    farm.nodes.iter().flatten().all(|node| {
        node.node.peers().values().filter(|peer| peer.is_alive()).count() == running.len() - 1
    })
}

/// How many deaths nodes have told of since it was asked last.
fn deaths(farm: &mut Farm) -> usize {
    let dead = |(event, _): &(Event, _)| matches!(event, Event::MemberDead(_));
    let nodes = farm.nodes.iter_mut().flatten();
    nodes
        .map(|node| std::mem::take(&mut node.events).iter().filter(|event| dead(event)).count())
        .sum()
}

/// Lets time pass until something is so. Gives how long that took.
fn until(farm: &mut Farm, most: Duration, so: impl Fn(&Farm) -> bool) -> Option<Duration> {
    let began = farm.now();
    while !so(farm) {
        if farm.now() - began >= most {
            return None;
        }
        farm.run(GLANCE).expect("nothing is broken");
    }
    Some(farm.now() - began)
}

#[test]
fn a_node_that_crashed_is_dead_to_all_within_a_second() {
    for seed in 0..SEEDS {
        let mut farm = farm(seed);
        farm.crash(pick(seed, farm.nodes.len()));
        let took = until(&mut farm, Duration::from_secs(1), all_alive);
        assert!(took.is_some(), "seed {seed}: not all know it after a second");
    }
}

#[test]
fn a_node_that_stood_still_for_300_ms_is_dead_to_nobody() {
    for seed in 0..SEEDS {
        let mut farm = farm(seed);
        deaths(&mut farm);
        for round in 0..5 {
            let number = pick(seed + round, farm.nodes.len());
            farm.halt(number);
            farm.run(Duration::from_millis(300)).expect("nothing is broken");
            farm.go_on(number).expect("nothing is broken");
            farm.run(Duration::from_millis(700 + 10 * seed % 100)).expect("nothing is broken");
            assert_eq!(deaths(&mut farm), 0, "seed {seed}");
        }
        assert!(all_alive(&farm));
    }
}

#[test]
fn to_know_one_node_is_to_meet_all() {
    for seed in 0..3 {
        let layout = Layout {
            multicast: false,
            configured: Configured::One(0),
            ..Layout::of(50, lan(10 * seed))
        };
        let mut farm = Farm::empty(layout, seed);
        farm.start(0);
        farm.run(Duration::from_secs(1)).expect("nothing is broken");
        (1..49).for_each(|number| farm.start(number));
        let took = until(&mut farm, Duration::from_secs(5), all_alive);
        assert!(took.is_some(), "seed {seed}");
        // One more, when the others are old.
        farm.run(SETTLED).expect("nothing is broken");
        farm.start(49);
        let took = until(&mut farm, Duration::from_secs(2), all_alive);
        assert!(took.is_some(), "seed {seed}");
    }
}

#[test]
fn who_was_taken_for_dead_comes_back_by_itself() {
    for seed in 0..30 {
        let layout = Layout {
            multicast: seed % 2 == 0,
            configured: Configured::One(0),
            ..Layout::of(6, lan(20))
        };
        let mut farm = Farm::new(layout, seed);
        farm.run(SETTLED).expect("nothing is broken");
        assert!(all_alive(&farm), "seed {seed}");
        farm.network.part((0..6).map(|number| u8::from(number < 1 + seed % 4)).collect());
        farm.run(Duration::from_secs(5)).expect("nothing is broken");
        assert!(!all_alive(&farm), "seed {seed}");
        farm.network.heal();
        let took = until(&mut farm, Duration::from_secs(12), all_alive);
        assert!(took.is_some(), "seed {seed}");
        deaths(&mut farm);
        farm.run(Duration::from_secs(5)).expect("nothing is broken");
        assert_eq!(deaths(&mut farm), 0, "seed {seed}");
    }
}

#[test]
fn who_leaves_has_left_also_where_that_was_not_heard() {
    for seed in 0..20 {
        let mut farm = Farm::new(Layout::of(5, lan(20)), seed);
        farm.run(SETTLED).expect("nothing is broken");
        let leaver = farm.nodes[4].as_ref().expect("it runs").incarnation();
        // Node 0 hears nothing of it, not that it leaves either.
        farm.network.cut(4, 0);
        farm.leave(4).expect("nothing is broken");
        let has_left = |farm: &Farm| {
            let nodes = farm.nodes.iter().flatten();
            nodes.clone().all(|node| node.node.peers()[&leaver].state == State::Left)
        };
        assert!(until(&mut farm, Duration::from_secs(1), has_left).is_some(), "seed {seed}");
    }
}

#[test]
fn steps_of_the_clock_kill_nobody() {
    let mut farm = farm(5);
    deaths(&mut farm);
    for hours in [1, -5, 24, 0] {
        for number in 0..farm.nodes.len() {
            farm.set_clock(number, if number % 2 == 0 { 0 } else { hours * 3_600_000 });
        }
        farm.run(Duration::from_secs(2)).expect("nothing is broken");
        assert_eq!(deaths(&mut farm), 0);
    }
    assert!(all_alive(&farm));
}
