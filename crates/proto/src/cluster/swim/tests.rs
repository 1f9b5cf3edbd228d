use super::*;

/// Members that hear each other at once, unless they are apart.
struct Few {
    members: Vec<Swim>,
    now: Instant,
    /// Which of them neither say nor hear anything.
    apart: Vec<usize>,
}

fn incarnation(number: usize) -> Incarnation {
    Incarnation(number as u128 + 1)
}

fn address(number: usize) -> SocketAddr {
    let port = u16::try_from(number).unwrap() + 7_700;
    SocketAddr::from(([10, 0, 0, 1], port))
}

fn alone(number: usize) -> Swim {
    let own = Identity::new(incarnation(number), address(number));
    Swim::new(own, Rng::from_u64(number as u64))
}

impl Few {
    /// So many that have met the first of them, and nobody else.
    fn new(count: usize) -> Self {
        let now = Instant::from_micros(1);
        let mut members: Vec<Swim> = (0..count).map(alone).collect();
        for number in 1..count {
            members[0].handle_alive(now, incarnation(number), address(number));
            members[number].handle_alive(now, incarnation(0), address(0));
        }
        Self { members, now, apart: Vec::new() }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while self.deliver() {}
            let due = self.members.iter().filter_map(Swim::poll_timeout).min();
            let Some(due) = due.filter(|&due| due <= end) else { break };
            self.now = due;
            self.members.iter_mut().for_each(|member| member.handle_timeout(due));
        }
        self.now = end;
    }

    fn deliver(&mut self) -> bool {
        let mut any = false;
        for from in 0..self.members.len() {
            while let Some(Transmit { to, gossip, .. }) = self.members[from].poll_transmit() {
                any = true;
                let to = usize::try_from(to.0 - 1).unwrap();
                if !self.apart.contains(&to) && !self.apart.contains(&from) {
                    let said_by = (incarnation(from), address(from));
                    assert!(self.members[to].handle_gossip(self.now, said_by, &gossip));
                }
            }
        }
        any
    }

    fn standings(&self, of: usize) -> Vec<Option<Standing>> {
        let others = (0..self.members.len()).filter(|&number| number != of);
        others.map(|number| self.members[number].standing(incarnation(of))).collect()
    }
}

#[test]
fn all_know_all_through_one() {
    let mut few = Few::new(20);
    few.pass(Duration::from_secs(1));
    for number in 0..20 {
        assert_eq!(few.standings(number), vec![Some(Standing::Up); 19], "of {number}");
    }
    let where_is = |few: &mut Few, number: usize| {
        let events = std::iter::from_fn(|| few.members[19].poll_event());
        events
            .filter_map(|event| match event {
                Event::Up(identity) => Some(identity),
                Event::Down(_) => None,
            })
            .find(|identity| identity.incarnation == incarnation(number))
            .map(|identity| identity.address)
    };
    assert_eq!(where_is(&mut few, 7), Some(address(7)), "others say where it is");
}

#[test]
fn who_says_nothing_is_down_and_who_leaves_has_left() {
    let mut few = Few::new(5);
    few.pass(Duration::from_secs(1));
    few.members[1].leave();
    few.apart.push(4);
    few.pass(Duration::from_secs(1));
    assert_eq!(few.standings(1)[..3], [Some(Standing::Left); 3]);
    let down = Some(Standing::Down);
    assert_eq!(few.standings(4), [down, Some(Standing::Up), down, down], "one has left");
    assert_eq!(few.members[1].poll_timeout(), None, "it asks nobody any more");
}

#[test]
fn who_was_called_down_comes_back_when_it_is_heard() {
    let mut few = Few::new(5);
    few.pass(Duration::from_secs(1));
    few.apart.push(4);
    few.pass(Duration::from_secs(1));
    few.apart.clear();
    few.pass(Duration::from_secs(1));
    assert_eq!(few.standings(4), vec![Some(Standing::Down); 4], "nobody asks who is down");
    // One of them hears it.
    let now = few.now;
    assert!(few.members[2].handle_alive(now, incarnation(4), address(4)));
    assert!(!few.members[2].handle_alive(now, incarnation(4), address(4)), "once in a while");
    few.pass(Duration::from_secs(1));
    assert_eq!(few.standings(4), vec![Some(Standing::Up); 4]);
    assert!(few.members[4].own().generation > 0);
}

#[test]
fn who_did_not_run_itself_calls_nobody_down() {
    let mut few = Few::new(3);
    few.pass(Duration::from_secs(1));
    // Two of them stand still for ten seconds, in the midst of a probe.
    few.pass(PERIOD / 2);
    few.now += Duration::from_secs(10);
    few.members.iter_mut().for_each(|member| member.excuse(Duration::from_secs(10)));
    few.pass(Duration::from_secs(1));
    for number in 0..3 {
        assert_eq!(few.standings(number), [Some(Standing::Up); 2]);
        assert_eq!(few.members[number].own().generation, 0);
    }
}

/// A message as a member says it to the first one.
fn say(message: Message<Identity>, members: &[Member<Identity>]) -> Vec<u8> {
    let dst = Identity::new(incarnation(0), address(0));
    let src = Identity::new(incarnation(1), address(1));
    codec::encode(&Header { src, src_incarnation: 0, dst, message }, members)
}

#[test]
fn members_that_are_made_up_have_their_bound() {
    let mut swim = alone(0);
    let now = Instant::from_micros(1);
    for number in 0..1_000 {
        let made_up = (0..40).map(|other| {
            let state = if number % 2 == 0 { State::Alive } else { State::Down };
            let of = 10 + number * 40 + other;
            Member::new(Identity::new(incarnation(of), address(1)), 0, state)
        });
        let gossip = say(Message::Gossip, &made_up.collect::<Vec<_>>());
        assert!(swim.handle_gossip(now, (incarnation(1), address(1)), &gossip));
        while swim.poll_event().is_some() {}
        while swim.poll_transmit().is_some() {}
    }
    for load in swim.loads() {
        assert!(load.used <= load.limit, "{load:?}");
    }
    // They are forgotten, and then others are believed again.
    let mut now = now;
    for _ in 0..13_000 {
        now += Duration::from_millis(100);
        swim.handle_timeout(now);
        while swim.poll_event().is_some() {}
        while swim.poll_transmit().is_some() {}
    }
    assert!(swim.loads()[0].used < MAX_MEMBERS, "{:?}", swim.loads());
}

#[test]
fn who_is_called_down_without_end_answers_now_and_then() {
    let mut swim = alone(0);
    let mut now = Instant::from_micros(1);
    let mut sent = 0;
    swim.handle_alive(now, incarnation(1), address(1));
    for _ in 0..10_000 {
        now += Duration::from_micros(100);
        let mut down = Vec::new();
        for generation in swim.own().generation.saturating_sub(1)..=swim.own().generation {
            let identity = Identity { generation, ..swim.own() };
            down.push(Member::new(identity, 0, State::Down));
        }
        let header = Header {
            src: Identity::new(incarnation(1), address(1)),
            src_incarnation: 0,
            dst: swim.own(),
            message: Message::TurnUndead,
        };
        for gossip in [
            codec::encode(&header, &[]),
            codec::encode(&Header { message: Message::Gossip, ..header.clone() }, &down),
        ] {
            swim.handle_gossip(now, (incarnation(1), address(1)), &gossip);
        }
        swim.handle_timeout(now);
        sent += std::iter::from_fn(|| swim.poll_transmit()).count();
    }
    assert!(swim.own().generation <= 10, "once in 100 ms: {:?}", swim.own());
    assert!(sent < 200, "{sent} messages in a second");
}

#[test]
fn many_things_said_of_one_in_one_message_count_as_one() {
    let mut few = Few::new(5);
    few.pass(Duration::from_secs(3));
    let own = few.members[0].own();
    let suspected = (0..40).map(|number| Member::new(own, number, State::Suspect));
    let gossip = say(Message::Gossip, &suspected.collect::<Vec<_>>());
    assert!(few.members[0].handle_gossip(few.now, (incarnation(1), address(1)), &gossip));
    let said = std::iter::from_fn(|| few.members[0].poll_transmit()).count();
    assert_eq!(said, INTERMEDIARIES);
}

#[test]
fn what_is_no_gossip_is_refused() {
    let check = |gossip: &[u8], expected: bool| {
        let mut swim = alone(0);
        let taken = swim.handle_gossip(Instant::default(), (incarnation(1), address(1)), gossip);
        assert_eq!(taken, expected, "{gossip:?}");
    };
    let member = Member::alive(Identity::new(incarnation(2), address(2)));
    let target = *member.id();
    for message in [
        Message::Ping(1),
        Message::Ack(2),
        Message::PingReq { target, probe_number: 3 },
        Message::IndirectPing { origin: target, probe_number: 4 },
        Message::IndirectAck { target, probe_number: 5 },
        Message::ForwardedAck { origin: target, probe_number: 6 },
        Message::Feed,
        Message::Gossip,
    ] {
        let whole = say(message, std::slice::from_ref(&member));
        check(&whole, true);
        // Without the count and the member it says something too.
        let header = whole.len() - 2 - 3 - 16 - 4 - 7;
        for cut in (0..whole.len()).filter(|&cut| cut != header && cut != header + 2) {
            check(&whole[..cut], false);
        }
        check(&[&whole[..], &[0]].concat(), false);
        check(&[&whole[..], &[0; 4]].concat(), false);
    }
    let mut unknown = say(Message::Feed, &[]);
    unknown[26] = 77;
    check(&unknown, false);
}
