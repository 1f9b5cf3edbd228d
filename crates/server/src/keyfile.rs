//! Farm keys on disk: 64 hexadecimal digits and a newline, in a file that
//! nobody but its owner can read.
//!
//! How a key is used is [`proto::keyring`]'s business.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use proto::keyring::{FARM_KEY_BYTES, FarmKey};
use zeroize::Zeroizing;

/// The widest permissions of a key file: its owner reads and writes.
const MODE: u32 = 0o600;

/// The digits of a key.
const DIGITS: usize = 2 * FARM_KEY_BYTES;

/// Why a file gives no farm key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Others than its owner may use it.
    #[error("found permissions {mode:04o}, expected {MODE:04o} or narrower")]
    Wide {
        /// The permission bits that it has.
        mode: u32,
    },
    /// It is too short or too long.
    #[error("found {bytes} bytes, expected {DIGITS} hexadecimal digits and a newline")]
    Length {
        /// Its length, in bytes.
        bytes: u64,
    },
    /// It holds something else than digits.
    #[error("found no hexadecimal digit at byte {at}, expected {DIGITS} of them and a newline")]
    Digit {
        /// Where, from 0.
        at: usize,
    },
}

impl KeyFileError {
    /// What makes the file good.
    pub(crate) fn remedy(&self, path: &Path) -> String {
        match self {
            Self::Wide { .. } => format!("run `chmod 600 {}`", path.display()),
            Self::Unreadable(_) | Self::Length { .. } | Self::Digit { .. } => {
                "`segue keygen` makes a farm key; copy one file to all nodes".to_owned()
            }
        }
    }
}

/// The key of a file.
///
/// # Errors
///
/// [`KeyFileError`] when the file is none of a key, or others can read it.
pub(crate) fn read(path: &Path) -> Result<FarmKey, KeyFileError> {
    let file = File::open(path)?;
    // Of the opened file, so that nobody can change it between look and use.
    let metadata = file.metadata()?;
    let mode = metadata.mode() & 0o7777;
    if mode & !MODE != 0 {
        return Err(KeyFileError::Wide { mode });
    }
    // One byte more than a key has, in one allocation that is zeroized.
    let mut text = Zeroizing::new(Vec::with_capacity(DIGITS + 2));
    file.take(DIGITS as u64 + 2).read_to_end(&mut text)?;
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    if digits.len() != DIGITS {
        return Err(KeyFileError::Length { bytes: metadata.len() });
    }
    let mut key = Zeroizing::new([0; FARM_KEY_BYTES]);
    for (at, &digit) in digits.iter().enumerate() {
        let value = char::from(digit).to_digit(16).ok_or(KeyFileError::Digit { at })?;
        key[at / 2] = key[at / 2] << 4 | u8::try_from(value).expect("a digit is below 16");
    }
    Ok(FarmKey::new(*key))
}

/// Writes a fresh random key to a new file.
///
/// # Errors
///
/// `AlreadyExists` when there is a file of that name: a farm's key is never
/// overwritten. Otherwise what the system says of the directory or disk, or
/// of its random numbers.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    let mut key = Zeroizing::new([0; FARM_KEY_BYTES]);
    getrandom::fill(&mut *key).map_err(io::Error::from)?;
    let mut text = Zeroizing::new(Vec::with_capacity(DIGITS + 1));
    for byte in &*key {
        write!(text, "{byte:02x}")?;
    }
    text.push(b'\n');
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(&text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    /// The message for a file of this content and mode; none for a good one.
    fn fault(content: &[u8], mode: u32) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("farm.key");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        read(&path).err().map(|error| error.to_string())
    }

    #[track_caller]
    fn check(content: &[u8], mode: u32, expected: Option<&str>) {
        assert_eq!(fault(content, mode).as_deref(), expected);
    }

    #[test]
    fn a_key_is_64_digits_that_only_its_owner_reads() {
        let digits = "0123456789abcdefABCDEF0123456789".repeat(2);
        let line = format!("{digits}\n");
        check(line.as_bytes(), 0o600, None);
        check(digits.as_bytes(), 0o400, None);
        check(line.as_bytes(), 0o640, Some("found permissions 0640, expected 0600 or narrower"));
        let length =
            |bytes| format!("found {bytes} bytes, expected 64 hexadecimal digits and a newline");
        check(b"", 0o600, Some(&length(0)));
        check(&line.as_bytes()[1..], 0o600, Some(&length(64)));
        check(format!("{line}{line}").as_bytes(), 0o600, Some(&length(130)));
        check(
            line.replace('c', "x").as_bytes(),
            0o600,
            Some("found no hexadecimal digit at byte 12, expected 64 of them and a newline"),
        );
    }

    #[test]
    fn a_created_key_is_readable_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("farm.key");
        create(&path).unwrap();
        let key = read(&path).unwrap();
        assert_eq!(create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(read(&path).unwrap() == key);
    }
}
