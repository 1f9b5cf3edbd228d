//! The TLS below a link: TLS 1.3 with a certificate that is made at each start
//! and that nobody looks at.
//!
//! Both ends prove the farm's key over a secret of the connection. Whoever could
//! put a certificate of his own between them would have two connections with two
//! secrets, and a proof for neither. So who signed a certificate does not
//! matter, only that the handshake is signed with its key.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

/// The protocol that is agreed on: another one is no link.
const PROTOCOL: &[u8] = b"segue/1";
/// A link that hears nothing for so long has ended: three keep-alives may be
/// lost. Whoever waits for an answer gives up long before.
const IDLE: Duration = Duration::from_secs(4);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// What an end may have sent of a stream before it was read: the path from
/// one coast to the other (60 ms) at 200 Mbit/s, and any record.
pub(super) const STREAM_BYTES: u32 = 1_536 << 10;
/// The same of all streams of a link.
pub(crate) const LINK_BYTES: u32 = 2 * STREAM_BYTES;
/// What an end may send before it has proven itself: a claim and an
/// introduction.
pub(super) const UNPROVEN_BYTES: u32 = 256;
/// The streams that one end may have open at a time: asks of that many clients
/// at once, 100,000 a second on a path of ten milliseconds.
pub(super) const STREAMS: u32 = 1_024;
/// The connections whose first packet is here and that nobody has looked at
/// yet: they are looked at at once.
const INCOMING: usize = 64;
/// What comes of them meanwhile, in bytes.
const INCOMING_BYTES: u64 = 4 << 10;

/// What an endpoint is made with.
pub(super) struct Configs {
    pub(super) endpoint: EndpointConfig,
    pub(super) server: quinn::ServerConfig,
    pub(super) client: quinn::ClientConfig,
}

/// The configurations of both ends.
pub(super) fn configs() -> io::Result<Configs> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut endpoint = EndpointConfig::default();
    // What is not marked as QUIC is a packet of the farm's.
    endpoint.grease_quic_bit(false);
    let client_tls = client(Arc::clone(&provider))?;
    let mut client = quinn::ClientConfig::new(Arc::new(client_tls));
    client.transport_config(Arc::new(transport(0, LINK_BYTES)));
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(server(provider)?));
    server
        .transport_config(Arc::new(transport(1, UNPROVEN_BYTES)))
        // A node's address is its own; a link that moves is made anew.
        .migration(false)
        .max_incoming(INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES * INCOMING as u64);
    Ok(Configs { endpoint, server, client })
}

/// What holds for both ends. The other end may open that many `streams`, and
/// send so many `bytes` that were not read.
fn transport(streams: u32, bytes: u32) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(STREAM_BYTES.into())
        .receive_window(bytes.into())
        .send_window(LINK_BYTES.into())
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE).expect("four seconds fit")))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .datagram_receive_buffer_size(None);
    transport
}

fn server(provider: Arc<CryptoProvider>) -> io::Result<QuicServerConfig> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["segue".to_owned()]).map_err(io::Error::other)?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // No resumption, and so no early data: it could be replayed.
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map_err(io::Error::other)
}

fn client(provider: Arc<CryptoProvider>) -> io::Result<QuicClientConfig> {
    let anybody = Arc::new(Anybody(Arc::clone(&provider)));
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(anybody)
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    QuicClientConfig::try_from(config).map_err(io::Error::other)
}

/// Takes every certificate, and the signature of its key only.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("links are TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
