//! What a farm's nodes prove themselves by, and what its clients believe.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::FarmError;
use crate::SERVER_NAME;

/// A directory in that place with the farm's key and the nodes' certificate.
pub(super) fn prepare(
    program: &Path,
    place: Option<&Path>,
) -> Result<(TempDir, CertificateDer<'static>), FarmError> {
    let mut directory = tempfile::Builder::new();
    directory.prefix("segue-ground-");
    let directory = place.map_or_else(|| directory.tempdir(), |place| directory.tempdir_in(place));
    let directory = directory.map_err(FarmError::because("a directory"))?;
    let key = directory.path().join("farm.key");
    let made = Command::new(program).arg("keygen").arg("--out").arg(key).output();
    let made = made.map_err(FarmError::because("segue keygen"))?;
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr).into_owned();
        return Err(FarmError::Failed { what: "segue keygen".to_owned(), why });
    }
    let certificate = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()]);
    let certificate = certificate.map_err(|error| FarmError::Failed {
        what: "a certificate".to_owned(),
        why: error.to_string(),
    })?;
    for (name, pem) in
        [("cert.pem", certificate.cert.pem()), ("key.pem", certificate.signing_key.serialize_pem())]
    {
        fs::write(directory.path().join(name), pem).map_err(FarmError::because(name))?;
    }
    Ok((directory, certificate.cert.der().clone()))
}

/// How a client speaks TLS 1.3 that trusts this certificate and knows one cipher
/// suite.
pub(super) fn client(certificate: &CertificateDer<'static>, suite: CipherSuite) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("it was made here");
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|one| one.suite() == suite);
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("it is a suite of TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
