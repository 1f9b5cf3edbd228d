//! The messages of those who agree, and the machine that reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sim::decoders::agree(bytes);
    sim::hostile::agreeing(bytes);
});
