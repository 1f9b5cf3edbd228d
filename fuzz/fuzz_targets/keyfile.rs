//! The text of a key file.
#![no_main]

/// What the module of that name in the server has for its text.
#[path = "../../crates/server/src/keyfile"]
mod keyfile {
    mod text;

    use proto::keyring::FARM_KEY_BYTES;
    use zeroize::Zeroizing;

    type Secret = Zeroizing<[u8; FARM_KEY_BYTES]>;

    #[derive(Debug, PartialEq)]
    pub(crate) struct KeyFile {
        seals: Secret,
        other: Option<(Role, Secret)>,
        placement: Option<Secret>,
    }

    #[derive(Debug, PartialEq)]
    enum Role {
        Next,
        Old,
    }

    pub(crate) fn read(bytes: &[u8]) {
        if let Ok(keys) = text::parse(bytes) {
            let written = text::print(&keys);
            assert!(written.len() <= text::MAX_BYTES && text::DIGITS > 0);
            assert_eq!(text::parse(&written), Ok(keys));
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keyfile::read(bytes));
