//! The ground that the demo's farm stands on: a directory of its own with a
//! farm key, a certificate authority and the nodes' certificate, gone when
//! the demo is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::keyfile;

/// What the directories of demos begin with.
const PREFIX: &str = "segue-demo-";

/// The name that the nodes' certificate is for.
pub(crate) const SERVER_NAME: &str = "shop.segue.example";

/// A directory with what every node of a farm needs.
#[derive(Debug)]
pub(crate) struct Ground {
    directory: TempDir,
    /// The authority that clients trust.
    pub(crate) authority: CertificateDer<'static>,
    /// Held locked for as long as the demo runs, so that no other demo takes
    /// the directory for one that was left behind. The kernel unlocks it
    /// however the demo ends.
    _lock: File,
}

impl Ground {
    /// A fresh directory with key and certificate. Sweeps the directories
    /// that demos left behind which were killed.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let (directory, lock) = claim(&std::env::temp_dir()).context("temporary directory")?;
        let ground = |name: &str| directory.path().join(name);
        keyfile::create(&ground("farm.key"))?;
        let (authority, certificate, key) = certificate()?;
        fs::write(ground("ca.pem"), authority.pem())?;
        fs::write(ground("cert.pem"), certificate)?;
        fs::write(ground("key.pem"), key)?;
        let authority = authority.der().clone();
        Ok(Self { directory, authority, _lock: lock })
    }

    /// The directory itself.
    pub(crate) fn place(&self) -> &Path {
        self.directory.path()
    }

    /// A file or directory of this name in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Makes and locks a directory of our own in `place`, after sweeping it.
fn claim(place: &Path) -> io::Result<(TempDir, File)> {
    sweep(place)?;
    loop {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
        let lock = File::open(directory.path())?;
        lock.lock()?;
        // Between its making and its locking another demo may have swept it.
        if directory.path().try_exists()? {
            return Ok((directory, lock));
        }
    }
}

/// Removes the directories of demos that are no more.
fn sweep(place: &Path) -> io::Result<()> {
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Never through a link: what it leads to is not a demo's.
        if !ours || !entry.file_type()?.is_dir() {
            continue;
        }
        // One that cannot be opened, locked or removed is another user's, or
        // lives: not ours to judge.
        let Ok(directory) = File::open(entry.path()) else { continue };
        if directory.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// An authority, and a certificate that it issued with its key, both PEM.
fn certificate() -> Result<(CertifiedIssuer<'static, KeyPair>, String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Segue demo authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, SERVER_NAME);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;
    Ok((authority, certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_what_was_left_behind_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let (live, _lock) = claim(place.path()).unwrap();
        let dead = place.path().join(format!("{PREFIX}dead"));
        let other = place.path().join("other");
        fs::create_dir(&dead).unwrap();
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, place.path().join(format!("{PREFIX}link"))).unwrap();

        let (second, _second_lock) = claim(place.path()).unwrap();

        assert!(live.path().exists() && second.path().exists() && other.exists());
        assert!(!dead.exists());
    }
}
