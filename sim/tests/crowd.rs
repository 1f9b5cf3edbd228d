//! What a farm of fifty measures. One of three hundred is measured with every
//! change as well, by `.ci/run`; one of a thousand by hand.

use sim::crowd;

/// Its figures; `cargo run --release -p sim -- farm 50` prints them.
const EXPECTED: &str = include_str!("../farm-50.txt");

#[test]
fn a_farm_of_fifty_measures_what_it_did() {
    let measured = crowd::measure(50).map(|report| report.to_string());
    assert_eq!(measured.as_deref(), Ok(EXPECTED), "if these are better, put them there");
}

#[test]
fn few_ask_for_what_many_lost() {
    let report = crowd::measure(30).expect("all records come to everybody");
    for row in report.rows {
        // Counted for 100 of the lost packets.
        assert!(row.naks.is_none_or(|naks| naks < 1_000), "{row}");
        assert_eq!(row.unrecovered, 0, "{row}");
    }
}
