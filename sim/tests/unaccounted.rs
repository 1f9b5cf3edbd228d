//! Records that are somewhere, and that no stream accounts for.

use std::time::Duration;

use proto::nak::acks::Ack;
use proto::record::{Body, Deadlines, Key, Kind, Record};
use sim::farm::{Farm, Layout};
use sim::weather::Weather;

/// More than fit three pages.
const RECORDS: usize = 400;
/// Time to compare twice and to fetch every range, a few a second.
const REST: Duration = Duration::from_secs(120);

fn farm(compares: bool) -> Farm {
    let layout = Layout::of(4, Weather::calm(Duration::from_micros(50)));
    Farm::new(Layout { compares, ..layout }, 1)
}

/// Writes [`RECORDS`] records at node 3.
fn write(farm: &mut Farm) -> Result<(), String> {
    let mut number = 0_u64;
    while number < RECORDS as u64 {
        let key = Key::new(Kind::Tls, &number.to_be_bytes()).expect("eight bytes");
        let written = farm.write(3, Ack::Local, |version, wall| {
            let deadlines = Deadlines::at(wall + Duration::from_secs(3_600));
            Record { key, version, deadlines, body: Body::Value(&[7; 250]) }
        });
        number += u64::from(written.is_some());
        farm.run(Duration::from_millis(1))?;
    }
    Ok(())
}

/// Lets node 0 take in a part of what dead node 3 had left with node 2, which
/// dies before it has given the rest. Nodes 0 and 1 remain. Gives how many
/// records node 0 has then.
fn leave_a_part(farm: &mut Farm) -> Result<usize, String> {
    farm.run(Duration::from_secs(2))?;
    farm.network.part(vec![0, 0, 1, 1]);
    write(farm)?;
    farm.crash(3);
    farm.run(Duration::from_secs(2))?;
    farm.network.part(vec![0, 1, 0, 1]);
    for _ in 0..100_000 {
        if !farm.held(0).is_empty() {
            break;
        }
        farm.run(Duration::from_micros(100))?;
    }
    farm.crash(2);
    farm.network.heal();
    let part = farm.held(0).len();
    assert!(0 < part && part < RECORDS, "{part} of {RECORDS}");
    Ok(part)
}

#[test]
fn comparing_brings_them_to_everyone() {
    let mut farm = farm(true);
    let part = leave_a_part(&mut farm).unwrap();
    farm.run(REST).unwrap();
    assert_eq!(farm.held(1).len(), part);
    assert!(farm.held(0) == farm.held(1));
}

#[test]
fn nothing_else_does() {
    let mut farm = farm(false);
    leave_a_part(&mut farm).unwrap();
    farm.run(REST).unwrap();
    assert!(farm.held(1).is_empty(), "the streams do it: comparing can be left out");
}
