//! Farm keys on disk, in a file that nobody but its owner can read.
//!
//! A farm begins with one key: 64 hexadecimal digits and a newline. A file
//! that a rotation has been through says what each of its keys is for:
//!
//! ```text
//! seals 0123...
//! next 4567...
//! placement 89ab...
//! ```
//!
//! A rotation has three steps, each a state of the file: a key is installed
//! (`next`: it opens), switched to (it `seals`, and the one before it is `old`
//! and opens), and what is old is retired. Nodes of which each is at one of
//! two neighbouring steps open all of each other's packets. `placement` is the
//! secret that places records: it stays when the key that it was derived from
//! goes.
//!
//! How a key is used is [`proto::keyring`]'s business; when the steps are
//! taken is the operator's.

mod text;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use proto::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use zeroize::Zeroizing;

use text::{DIGITS, MAX_BYTES, TextError};

/// The widest permissions of a key file: its owner reads and writes.
const MODE: u32 = 0o600;

/// 256 secret bits of a key file.
type Secret = Zeroizing<[u8; FARM_KEY_BYTES]>;

/// What a key file holds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyFile {
    seals: Secret,
    other: Option<(Role, Secret)>,
    placement: Option<Secret>,
}

/// What the key beside the one that seals is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It is to seal next.
    Next,
    /// It has sealed.
    Old,
}

/// A step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A new key opens.
    Installed,
    /// It seals.
    Switched,
    /// The old key is gone.
    Retired,
}

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
    /// It says something else.
    #[error(transparent)]
    Text(#[from] TextError),
}

impl KeyFileError {
    /// What makes the file good.
    pub(crate) fn remedy(&self, path: &Path) -> String {
        match self {
            Self::Wide { .. } => format!("run `chmod 600 {}`", path.display()),
            Self::Unreadable(_) | Self::Length { .. } | Self::Text(_) => {
                "`segue keygen` makes a farm key; copy one file to all nodes".to_owned()
            }
        }
    }
}

impl KeyFile {
    /// The keys, the one that seals first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = FarmKey> + '_ {
        let other = self.other.iter().map(|(_, secret)| secret);
        std::iter::once(&self.seals).chain(other).map(|secret| FarmKey::new(**secret))
    }

    /// The secret that places records, if the file names it.
    pub(crate) fn placement(&self) -> Option<Zeroizing<[u8; 32]>> {
        self.placement.clone()
    }

    /// The file after the next step of a rotation.
    fn rotated(self) -> io::Result<(Self, Step)> {
        let sealing = FarmKey::new(*self.seals);
        // The first key that a farm has is the one that places its records.
        let placement = Some(self.placement.unwrap_or_else(|| sealing.placement_secret()));
        let (seals, other, step) = match self.other {
            None => {
                let next = draw(Some(sealing.id().wrapping_add(1)))?;
                (self.seals, Some((Role::Next, next)), Step::Installed)
            }
            Some((Role::Next, next)) => (next, Some((Role::Old, self.seals)), Step::Switched),
            Some((Role::Old, _)) => (self.seals, None, Step::Retired),
        };
        Ok((Self { seals, other, placement }, step))
    }
}

/// A ring's keys in words: `17 seals, 16 opens too`.
pub(crate) struct Keys<'a>(pub(crate) &'a Keyring);

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seals", self.0.sealing().id())?;
        self.0.ids().skip(1).try_for_each(|id| write!(f, ", {id} opens too"))
    }
}

/// The keys of a file.
///
/// # Errors
///
/// [`KeyFileError`] when the file is none of keys, or others can read it.
pub(crate) fn read(path: &Path) -> Result<KeyFile, KeyFileError> {
    let file = File::open(path)?;
    // Of the opened file, so that nobody can change it between look and use.
    let metadata = file.metadata()?;
    let mode = metadata.mode() & 0o7777;
    if mode & !MODE != 0 {
        return Err(KeyFileError::Wide { mode });
    }
    // One byte more than a file may have, in one allocation that is zeroized.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 2));
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return Err(KeyFileError::Length { bytes: metadata.len() });
    }
    if !bytes.contains(&b' ') && bytes.strip_suffix(b"\n").unwrap_or(&bytes).len() != DIGITS {
        return Err(KeyFileError::Length { bytes: metadata.len() });
    }
    Ok(text::parse(&bytes)?)
}

/// Writes a fresh random key to a new file.
///
/// # Errors
///
/// `AlreadyExists` when there is a file of that name: a farm's key is never
/// overwritten. Otherwise what the system says of the directory or disk, or
/// of its random numbers.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    let seals = draw(None)?;
    write_new(path, &KeyFile { seals, other: None, placement: None }).map(drop)
}

/// Takes the next step of a rotation in a file, which is replaced as a whole
/// and keeps its owner. Gives what it holds then.
///
/// # Errors
///
/// [`KeyFileError`] when it is no key file, or cannot be replaced.
pub(crate) fn rotate(path: &Path) -> Result<(KeyFile, Step), KeyFileError> {
    // A link goes on leading to the file.
    let path = path.canonicalize()?;
    let (keys, step) = read(&path)?.rotated()?;
    let owner = path.metadata()?;
    let beside = path.with_extension("new");
    let replace = || {
        let file = write_new(&beside, &keys)?;
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (owner.uid(), owner.gid()) {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        std::fs::rename(&beside, &path)
    };
    replace().map_err(|error| {
        // One that another rotation is writing is not ours to remove.
        if error.kind() != ErrorKind::AlreadyExists {
            let _ = std::fs::remove_file(&beside);
            return error;
        }
        let found = format!("{} is in the way, perhaps of a rotation", beside.display());
        io::Error::new(ErrorKind::AlreadyExists, format!("{found} that was broken off: remove it"))
    })?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok((keys, step))
}

fn write_new(path: &Path, keys: &KeyFile) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(&text::print(keys))?;
    file.sync_all()?;
    Ok(file)
}

/// A fresh random key; of that id, if one is wanted. Ids that take turns come
/// back after 256 rotations only, so a key on its way out is never mistaken
/// for the next one.
fn draw(id: Option<u8>) -> io::Result<Secret> {
    loop {
        let mut secret = Zeroizing::new([0; FARM_KEY_BYTES]);
        getrandom::fill(&mut *secret).map_err(io::Error::from)?;
        if id.is_none_or(|id| FarmKey::new(*secret).id() == id) {
            return Ok(secret);
        }
    }
}
