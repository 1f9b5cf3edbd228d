//! Values that clients of the gateways keep, and what two of them make.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::decoders::web(bytes));
