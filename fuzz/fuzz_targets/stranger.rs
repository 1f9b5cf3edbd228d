//! A datagram of somebody without the farm's key.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sim::hostile::stranger(bytes);
});
