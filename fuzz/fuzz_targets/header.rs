//! A packet's header.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::decoders::header(bytes));
