//! Each checker finds what it is there for, once that is broken on purpose.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

use std::sync::Arc;
use std::time::Duration;

use proto::holdings::Holdings;
use proto::nak::acks::Ack;
use proto::record::{Body, Deadlines, Key, Kind, Record};
use proto::table::{self, Table};
use proto::time::Wall;
use sim::farm::running::Written;
use sim::farm::{Farm, Layout};
use sim::holes::Holes;
use sim::keys;
use sim::model::{Holding, Model};
use sim::weather::Weather;

/// A farm of three that have met.
fn farm() -> Farm {
    let mut farm = Farm::new(Layout::of(3, Weather::calm(Duration::from_micros(50))), 1);
    farm.run(Duration::from_secs(2)).unwrap();
    farm
}

/// Writes at node 0, and lets it come to the others.
fn write(farm: &mut Farm, ack: Ack, body: Body<'_>) -> Written {
    let key = Key::new(Kind::Tls, b"session").expect("short");
    let written = farm.write(0, ack, |version, wall| {
        let deadlines = Deadlines::at(wall + Duration::from_secs(3_600));
        Record { key, version, deadlines, body }
    });
    farm.run(Duration::from_millis(10)).unwrap();
    written.expect("there is room")
}

/// Takes everything from a node's table, and puts these records there.
fn put_in_place(farm: &mut Farm, number: usize, records: &[Holding]) {
    let placement_secret = keys::ring(0).placement_secret();
    let config = table::Config { capacity_bytes: 1 << 20, placement_secret, own_secret: [1; 32] };
    let table = Table::new(config);
    for record in records {
        table.apply(&record.as_record(), Wall::from_millis(1));
    }
    farm.nodes[number].as_mut().unwrap().holdings = Arc::new(Holdings::new(table));
}

#[test]
fn a_watermark_that_passes_a_hole() {
    let (mut farm, mut holes) = (farm(), Holes::default());
    let Written { holding, packet, .. } = write(&mut farm, Ack::Local, Body::Value(b"1"));
    holes.wrote(packet, holding);
    put_in_place(&mut farm, 2, &[]);
    let found = holes.check(&farm).unwrap_err();
    assert!(found.starts_with("node 2 has all of"), "{found}");
}

#[test]
fn a_watermark_that_passes_what_is_there() {
    let (mut farm, mut holes) = (farm(), Holes::default());
    for value in [&b"1"[..], b"2"] {
        let Written { holding, packet, .. } = write(&mut farm, Ack::Local, Body::Value(value));
        holes.wrote(packet, holding);
    }
    assert_eq!(holes.check(&farm), Ok(()), "what took its place counts");
}

#[test]
fn what_was_deleted_and_is_back() {
    let (mut farm, mut model) = (farm(), Model::default());
    let before = write(&mut farm, Ack::Local, Body::Value(b"1")).holding;
    write(&mut farm, Ack::Local, Body::Deleted);
    assert_eq!(model.check_deleted(&farm), Ok(()));
    put_in_place(&mut farm, 1, &[before]);
    let found = model.check_deleted(&farm).unwrap_err();
    assert!(found.contains("at node 1 revived"), "{found}");
}

#[test]
fn replicas_that_differ() {
    let mut farm = farm();
    let Written { write: number, holding, .. } = write(&mut farm, Ack::Local, Body::Value(b"1"));
    let model = || {
        let mut model = Model::default();
        model.wrote(0, number, Ack::Local, holding.clone());
        model
    };
    assert_eq!(model().check_end(&farm, true), Ok(()));
    put_in_place(&mut farm, 2, &[]);
    let found = model().check_end(&farm, true).unwrap_err();
    assert!(found.ends_with("node 2 holds nothing of that key"), "{found}");
    // All alike, and wrong.
    (0..2).for_each(|number| put_in_place(&mut farm, number, &[]));
    let found = model().check_end(&farm, true).unwrap_err();
    assert!(found.contains("was lost"), "{found}");
}

#[test]
fn an_acknowledgement_that_is_not_true() {
    for ack in [Ack::One, Ack::All] {
        let (mut farm, mut model) = (farm(), Model::default());
        let Written { write: number, holding, .. } = write(&mut farm, ack, Body::Value(b"1"));
        model.wrote(0, number, ack, holding);
        (1..3).for_each(|number| put_in_place(&mut farm, number, &[]));
        let found = model.check_events(&mut farm).unwrap_err();
        assert!(found.contains("was confirmed by"), "{found}");
    }
}
