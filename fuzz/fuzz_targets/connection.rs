//! What owners and understudies of live connections tell each other, and who
//! believes it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sim::decoders::connection(bytes);
    sim::hostile::following(bytes);
});
