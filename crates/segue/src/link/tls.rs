//! What a link's connection is made with: the TLS of the farm ([`farm_tls`])
//! over QUIC, and how much either end may send.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};

use crate::farm_tls;

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
    let mut endpoint = EndpointConfig::default();
    // What is not marked as QUIC is a packet of the farm's.
    endpoint.grease_quic_bit(false);
    let tls = QuicClientConfig::try_from(farm_tls::client(PROTOCOL)?).map_err(io::Error::other)?;
    let mut client = quinn::ClientConfig::new(Arc::new(tls));
    client.transport_config(Arc::new(transport(0, LINK_BYTES)));
    let tls = QuicServerConfig::try_from(farm_tls::server(PROTOCOL)?).map_err(io::Error::other)?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
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
