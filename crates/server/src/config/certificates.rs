//! Certificates and private keys, from PEM files.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::fault::Fault;

/// The certificates of a PEM file.
///
/// # Errors
///
/// A fault that names the file when it cannot be read, is no PEM or has no
/// certificate.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let expected = "a PEM file of certificates";
    let list: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(path, &error, expected))?;
    if list.is_empty() {
        return Err(unusable(path, &pem::Error::NoItemsFound, expected));
    }
    Ok(list)
}

/// The text of a PEM file of certificates, for who reads it himself.
///
/// # Errors
///
/// Those of [`certificates`].
pub(crate) fn pem(path: &Path) -> Result<Vec<u8>, Fault> {
    certificates(path)?;
    std::fs::read(path)
        .map_err(|error| unusable(path, &pem::Error::Io(error), "a PEM file of certificates"))
}

/// The private key of a PEM file, in PKCS#8, PKCS#1 or SEC1.
///
/// # Errors
///
/// A fault that names the file when it cannot be read, is no PEM or has no
/// private key.
pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| unusable(path, &error, "a PEM file with a private key"))
}

fn unusable(path: &Path, error: &pem::Error, expected: &str) -> Fault {
    let path = path.display();
    if let pem::Error::Io(error) = error {
        return Fault::other(format!("{path}: cannot be read: {error}"));
    }
    if let pem::Error::NoItemsFound = error {
        return Fault::other(format!("{path}: found none, expected {expected}"));
    }
    Fault::other(format!("{path}: found {error}, expected {expected}"))
}
