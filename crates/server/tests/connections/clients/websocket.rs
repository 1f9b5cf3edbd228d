//! A WebSocket, over TLS: messages that come back as they are.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use ground::SERVER_NAME;
use ground::farm::{BACKEND, CLIENTS};
use ground::load::{Amount, Security};
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConnection, StreamOwned};
use tungstenite::Message;

use super::content::{BLOCK_BYTES, Content};
use super::process::PATIENCE;
use super::{Trial, before, behind, check};

/// How many messages go both ways.
const MESSAGES: u64 = 100;

/// Sends back what comes, until the process ends.
fn serve_echo(at: SocketAddr) {
    let listener = TcpListener::bind(at).expect("the address is free");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut socket = tungstenite::accept(stream).expect("a client shakes hands");
                while let Ok(message) = socket.read() {
                    if message.is_binary() && socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// A client's connection, with TLS.
fn connect(trial: &Trial<'_>) -> StreamOwned<ClientConnection, TcpStream> {
    let suite = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
    let plan = trial.farm.tls(suite, Amount::Nothing, Amount::Nothing);
    let Security::Tls(config) = plan.security else { unreachable!("it was asked for TLS") };
    let name = ServerName::try_from(SERVER_NAME).expect("it is a name");
    let tls = ClientConnection::new(Arc::clone(&config), name).expect("the name is usable");
    let stream = trial.farm.network.on(CLIENTS, || TcpStream::connect(plan.to));
    let stream = stream.expect("a node has the address");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    StreamOwned::new(tls, stream)
}

#[test]
fn a_websocket_echoes() {
    let echo = behind(8010);
    let Some(mut bed) = before(echo, &[]) else { return };
    bed.farm.network.on(BACKEND, || serve_echo(echo));
    check(&mut bed.farm, |trial| {
        let request = format!("ws://{SERVER_NAME}/");
        let (mut socket, _) = tungstenite::client(request, connect(trial)).unwrap();
        for (at, block) in (0..).zip(Content::of(MESSAGES * BLOCK_BYTES)) {
            let message = Message::binary(block);
            socket.send(message.clone()).unwrap();
            if at == MESSAGES / 2 {
                trial.kill(1);
            }
            assert!(socket.read().unwrap() == message, "the {at}. message came back wrong");
        }
        socket.close(None).unwrap();
        // Whoever closes reads until the other one has, too.
        while socket.read().is_ok() {}
    });
}
