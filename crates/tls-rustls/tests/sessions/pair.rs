//! A rustls client and a node's side of TLS, connected through memory, and a
//! farm that is a map.

use std::collections::HashMap;
use std::sync::Arc;

use proto::time::Wall;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::client::{ClientSessionMemoryCache, Resumption, Tls12Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, HandshakeKind, RootCertStore,
    ServerConnection, SideData, SupportedProtocolVersion,
};
use tls_rustls::{
    Config, Hello, HelloReader, Identity, Incarnation, Miss, SessionId, Settled, Terminator,
    refuse_early_data,
};

/// When everything happens, unless a test says otherwise.
pub(crate) const NOW: Wall = Wall::from_millis(1_700_000_000_000);

/// Of every node, unless a test says otherwise.
const INCARNATION: Incarnation = Incarnation(1);

/// A certificate of its own making, and its key.
#[derive(Clone)]
pub(crate) struct Credentials {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Credentials {
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names).self_signed(&key).unwrap();
        Self { certificate: certificate.der().clone(), key: key.serialize_der() }
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone().into())
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity { chain: vec![self.certificate.clone()], key: self.key() }
    }

    pub(crate) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

/// A certificate authority for clients.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = params(&[]);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn sign(&self, name: &str) -> Credentials {
        let key = KeyPair::generate().unwrap();
        let certificate = params(&[name]).signed_by(&key, &self.0).unwrap();
        Credentials { certificate: certificate.der().clone(), key: key.serialize_der() }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A node called `name` with these certificates, `change`d from the defaults.
pub(crate) fn node(
    name: &str,
    servers: &[&Credentials],
    change: impl FnOnce(&mut Config),
) -> Terminator {
    let identities = servers.iter().map(|server| server.identity()).collect();
    let mut config = Config::new(name.to_owned(), INCARNATION, identities);
    change(&mut config);
    Terminator::new(config).unwrap()
}

/// A client that remembers its sessions, and trusts these servers.
pub(crate) fn client(
    version: &'static SupportedProtocolVersion,
    servers: &[&Credentials],
    own: Option<&Credentials>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for server in servers {
        roots.add(server.certificate.clone()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        Some(own) => {
            config.with_client_auth_cert(vec![own.certificate.clone()], own.key()).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(32)))
        .tls12_resumption(Tls12Resumption::SessionIdOnly);
    Arc::new(config)
}

/// The farm: what every node of it would find.
#[derive(Default)]
pub(crate) struct Farm {
    pub(crate) records: HashMap<SessionId, Vec<u8>>,
    /// Why records that were found did not resume.
    pub(crate) misses: Vec<Miss>,
}

/// A handshake that both sides finished.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) settled: Settled,
    pub(crate) server: ServerConnection,
    pub(crate) client: ClientConnection,
}

/// A handshake of `client` with `node`, which serves as the front would.
pub(crate) fn handshake(
    client: &Arc<ClientConfig>,
    server_name: &str,
    node: &Terminator,
    farm: &mut Farm,
    now: Wall,
) -> Result<Done, rustls::Error> {
    let client = first_flight(client, server_name);
    answer(client, node, farm, now)
}

/// A client's connection and its ClientHello.
pub(crate) fn first_flight(
    client: &Arc<ClientConfig>,
    server_name: &str,
) -> (ClientConnection, Vec<u8>) {
    let name = server_name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    (client, bytes)
}

/// What a node makes of a client's first flight.
pub(crate) fn answer(
    (mut client, bytes): (ClientConnection, Vec<u8>),
    node: &Terminator,
    farm: &mut Farm,
    now: Wall,
) -> Result<Done, rustls::Error> {
    let mut reader = HelloReader::default();
    reader.buffer().extend_from_slice(&bytes);
    let hello = reader.poll().unwrap().expect("a client sends its hello at once");
    let attempt = node.attempt(node.scope(&hello), farm.find(node, &hello, now));
    let mut server = ServerConnection::new(attempt.config()).unwrap();
    refuse_early_data(&mut server);
    deliver(&reader.into_bytes(), &mut server)?;
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        let flight = flight(&mut server);
        deliver(&flight, &mut client)?;
        let flight = self::flight(&mut client);
        deliver(&flight, &mut server)?;
    }
    let settled = attempt.settle(server.handshake_kind().unwrap(), now);
    for session in &settled.sessions {
        farm.records.insert(session.id, session.record.to_vec());
    }
    let resumed = client.handshake_kind() == Some(HandshakeKind::Resumed);
    assert_eq!(resumed, settled.resumed, "both sides see the same");
    Ok(Done { settled, server, client })
}

impl Farm {
    /// What the farm has of a hello's candidates, as a node judges it.
    pub(crate) fn find(
        &mut self,
        node: &Terminator,
        hello: &Hello,
        now: Wall,
    ) -> Option<tls_rustls::Resumable> {
        for &id in hello.candidates() {
            let Some(record) = self.records.get(&id) else { continue };
            match node.recognise(node.scope(hello), id, record, now) {
                Ok(resumable) => return Some(resumable),
                Err(miss) => self.misses.push(miss),
            }
        }
        None
    }
}

pub(crate) fn flight<S: SideData>(from: &mut ConnectionCommon<S>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    bytes
}

pub(crate) fn deliver<S: SideData>(
    mut bytes: &[u8],
    to: &mut ConnectionCommon<S>,
) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}
