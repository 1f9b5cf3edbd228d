//! Every message of a control packet, and the parts of pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::decoders::control(bytes));
