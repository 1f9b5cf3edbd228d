//! What a client of Redis sends, and how it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::clients::redis(bytes));
