//! What a member says of others, whatever it is.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::hostile::gossip(bytes));
