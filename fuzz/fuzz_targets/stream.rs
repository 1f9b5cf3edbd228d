//! What comes over the stream between an owner and its understudy.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::decoders::stream(bytes));
