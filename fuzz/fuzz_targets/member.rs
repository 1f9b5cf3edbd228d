//! Packets of a member that says whatever it likes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sim::hostile::member(bytes);
});
