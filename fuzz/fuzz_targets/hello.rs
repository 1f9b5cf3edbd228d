//! A TLS client's first bytes, as they come: the first byte of the input says
//! how many of them at a time.
#![no_main]

use tls_rustls::hello::{HelloReader, MAX_HELLO_BYTES};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let mut reader = HelloReader::default();
    for piece in bytes.chunks(usize::from(step) * 16 + 1) {
        reader.buffer().extend_from_slice(piece);
        match reader.poll() {
            Ok(None) => assert!(reader.buffer().len() < MAX_HELLO_BYTES, "it reads on forever"),
            Ok(Some(_)) | Err(_) => break,
        }
    }
});
