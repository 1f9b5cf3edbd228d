//! A fragment of a frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::decoders::fragment(bytes));
