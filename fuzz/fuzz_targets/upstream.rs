//! A value that an engine outside of the farm gives.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::decoders::upstream(bytes));
