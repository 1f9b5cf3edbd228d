//! Every decoder that reads a peer's bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::hostile::decode(bytes));
