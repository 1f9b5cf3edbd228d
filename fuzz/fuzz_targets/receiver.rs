//! What may happen to the receiving side of a stream, in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::receiving::run(bytes));
