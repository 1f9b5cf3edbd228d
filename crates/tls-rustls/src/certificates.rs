//! The server's certificates: which one a client is shown, and what marks the
//! sessions that begin under it.
//!
//! Chosen by server name, as clients ask for it (SNI): an exact name first,
//! then a wildcard of its domain (RFC 6125, section 6.4.3: it stands for one
//! whole label), else the first certificate that was configured. Several
//! certificates for one name, say RSA beside ECDSA, are tried in the order of
//! configuration against what the client can verify.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A certificate chain, the server's own certificate first, and its key.
#[derive(Debug)]
pub struct Identity {
    /// The chain as it is sent.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the first certificate.
    pub key: PrivateKeyDer<'static>,
}

/// Why certificates cannot be used. Positions count from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// There is none at all.
    #[error("no certificate is configured")]
    None,
    /// The key is unusable, or not that of the certificate.
    #[error("the key of certificate {position}: {source}")]
    Key {
        /// Which one.
        position: usize,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The certificate is no X.509 version 3 certificate.
    #[error("certificate {position}: {source}")]
    Certificate {
        /// Which one.
        position: usize,
        /// What webpki says.
        source: webpki::Error,
    },
}

/// A hash of everything that a session's certificate scope depends on: the
/// certificates that its server name may be shown, and the client CA.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", &self.0[..4])
    }
}

/// All certificates of a server, by name.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// By exact name in lower case, or by `*.domain`.
    by_name: HashMap<String, Arc<Choice>>,
    /// For clients that name no server, or one that is not here.
    default: Arc<Choice>,
}

/// The certificates that one name may be shown.
#[derive(Debug)]
struct Choice {
    keys: Vec<Arc<CertifiedKey>>,
    fingerprint: Fingerprint,
}

impl Certificates {
    /// Sorts `identities` by the names in their certificates. `client_ca`
    /// goes into every fingerprint.
    pub(crate) fn new(
        identities: Vec<Identity>,
        client_ca: &[CertificateDer<'_>],
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let mut first = None;
        let mut keys_by_name: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        for (position, Identity { chain, key }) in identities.into_iter().enumerate() {
            let key = CertifiedKey::from_der(chain, key, provider)
                .map_err(|source| CertificateError::Key { position, source })?;
            let key = Arc::new(key);
            let names =
                names(&key).map_err(|source| CertificateError::Certificate { position, source })?;
            first.get_or_insert_with(|| (Arc::clone(&key), names.first().cloned()));
            for name in names {
                keys_by_name.entry(name).or_default().push(Arc::clone(&key));
            }
        }
        let (first, first_name) = first.ok_or(CertificateError::None)?;
        let by_name: HashMap<String, Arc<Choice>> = keys_by_name
            .into_iter()
            .map(|(name, keys)| (name, Arc::new(Choice::new(keys, client_ca))))
            .collect();
        let default = first_name
            .and_then(|name| by_name.get(&name).cloned())
            .unwrap_or_else(|| Arc::new(Choice::new(vec![first], client_ca)));
        Ok(Self { by_name, default })
    }

    /// What marks the sessions of a server name, given in lower case.
    pub(crate) fn fingerprint(&self, server_name: Option<&str>) -> Fingerprint {
        self.choice(server_name).fingerprint
    }

    fn choice(&self, server_name: Option<&str>) -> &Choice {
        let exact = |name: &str| self.by_name.get(name);
        let wildcard = |name: &str| {
            let (_, domain) = name.split_once('.')?;
            self.by_name.get(&format!("*.{domain}"))
        };
        server_name.and_then(|name| exact(name).or_else(|| wildcard(name))).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    /// Never `None`: a client that can verify none of them is refused by
    /// rustls, with an alert that says so.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = &self.choice(hello.server_name()).keys;
        let fits =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        keys.iter().find(fits).or_else(|| keys.first()).cloned()
    }
}

impl Choice {
    fn new(keys: Vec<Arc<CertifiedKey>>, client_ca: &[CertificateDer<'_>]) -> Self {
        let mut hash = digest::Context::new(&SHA256);
        for key in &keys {
            update_with_certificates(&mut hash, &key.cert);
        }
        update_with_certificates(&mut hash, client_ca);
        let fingerprint = hash.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes");
        Self { keys, fingerprint: Fingerprint(fingerprint) }
    }
}

/// Hashes a list with its length and theirs, so that no two lists of lists
/// hash alike.
fn update_with_certificates(hash: &mut digest::Context, certificates: &[CertificateDer<'_>]) {
    hash.update(&certificates.len().to_be_bytes());
    for certificate in certificates {
        hash.update(&certificate.len().to_be_bytes());
        hash.update(certificate);
    }
}

/// The DNS names that a certificate is for, in lower case.
fn names(key: &CertifiedKey) -> Result<Vec<String>, webpki::Error> {
    // A chain is never empty here: rustls has compared its key with ours.
    let Some(certificate) = key.cert.first() else { return Ok(Vec::new()) };
    let certificate = webpki::EndEntityCert::try_from(certificate)?;
    Ok(certificate.valid_dns_names().map(str::to_ascii_lowercase).collect())
}
