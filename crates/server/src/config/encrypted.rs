//! What listeners of the gateways show to clients that speak TLS.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;

use super::certificates;
use super::fault::Fault;
use super::judge::Judge;
use super::sections::Certificate;
use crate::gateway::Encryption;

/// The files of a listener's certificate, with their keys.
pub(super) fn paths<'a>(
    place: &str,
    certificate: &'a mut Option<Certificate>,
) -> impl Iterator<Item = (String, &'a mut PathBuf)> {
    let files = certificate.as_mut().map(|Certificate { cert, key }| {
        [(format!("{place}.certificate.cert"), cert), (format!("{place}.certificate.key"), key)]
    });
    files.into_iter().flatten()
}

impl Judge<'_> {
    /// TLS for clients of a listener: they keep their connections, so nothing
    /// is resumed.
    pub(super) fn encryption(
        &mut self,
        place: &str,
        given: Option<&Certificate>,
    ) -> Option<Encryption> {
        let Certificate { cert, key } = given?;
        let place = format!("{place}.certificate");
        let chain = certificates::certificates(cert)
            .map_err(|fault| self.fault(&format!("{place}.cert"), fault))
            .ok()?;
        let key = certificates::key(key)
            .map_err(|fault| self.fault(&format!("{place}.key"), fault))
            .ok()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let made = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        match made {
            Ok(mut config) => {
                config.send_tls13_tickets = 0;
                config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
                Some(Encryption::new(config))
            }
            Err(error) => {
                let expected = "a certificate and the private key that goes with it";
                self.fault(&place, Fault::mismatch(error, expected));
                None
            }
        }
    }
}
