//! What a client of memcached sends, and how it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::clients::memcached(bytes));
