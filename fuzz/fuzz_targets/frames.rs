//! The frames of a data packet.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::decoders::frames(bytes));
