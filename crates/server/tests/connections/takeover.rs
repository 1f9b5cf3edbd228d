//! A server goes away under full load in both directions, and another goes on.

use ground::Farm;
use ground::farm::{Exit, Settings};
use ground::load::{Amount, Plan};
use rustls::CipherSuite;

use crate::bed::bed;
use crate::patience::say;

/// How often a server goes away.
const TIMES: u64 = 4;

/// It goes away when a connection has received some of so many bytes more than
/// none: within them are a record's begin and end, and several windows.
const WITHIN_BYTES: u64 = 8 << 20;

fn plain(farm: &Farm) -> Plan {
    farm.plain(Amount::UntilEnd, Amount::UntilEnd)
}

fn tls(farm: &Farm, suite: CipherSuite) -> Plan {
    farm.tls(suite, Amount::UntilEnd, Amount::UntilEnd)
}

fn aes(farm: &Farm) -> Plan {
    tls(farm, CipherSuite::TLS13_AES_256_GCM_SHA384)
}

fn chacha(farm: &Farm) -> Plan {
    tls(farm, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256)
}

/// Servers go away one after the other under connections of these kinds.
fn check(exit: Exit, loss: f64, plans: &[fn(&Farm) -> Plan]) {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let farm = &mut bed.farm;
    if loss > 0.0 {
        farm.network.lose_everywhere(loss).expect("the kernel has the match");
    }
    let plans: Vec<_> = plans.iter().map(|plan| plan(farm)).collect();
    let mut pauses = Vec::new();
    for time in 0..TIMES {
        // Instants all over, the same in each run.
        let after = (time * 2 + 1) * WITHIN_BYTES / (2 * TIMES);
        let trial = farm.try_exit(&plans, exit, after).expect("the farm goes on");
        let failures: Vec<_> = trial.failures().collect();
        assert!(failures.is_empty(), "the {time}. time, after {after} bytes: {failures:?}");
        pauses.extend(trial.pauses);
        farm.restore(trial.server).expect("a server comes back");
    }
    pauses.sort_unstable();
    let (median, longest) = (pauses[pauses.len() / 2], pauses[pauses.len() - 1]);
    say(&format!("{exit:?}, {loss} lost: pauses of {median:.1?}, at most {longest:.1?}"));
}

#[test]
fn plain_connections_survive_their_server() {
    check(Exit::Process, 0.0, &[plain, plain]);
}

#[test]
fn tls_connections_survive_their_server() {
    check(Exit::Process, 0.0, &[aes, chacha]);
}

#[test]
fn connections_survive_their_servers_host() {
    check(Exit::Host, 0.0, &[plain, aes]);
}

#[test]
fn connections_survive_their_server_where_packets_are_lost() {
    check(Exit::Process, 0.01, &[plain, chacha]);
}

#[test]
fn connections_survive_their_servers_host_where_packets_are_lost() {
    check(Exit::Host, 0.01, &[plain, aes]);
}

#[test]
fn connections_move_when_their_server_is_drained() {
    check(Exit::Drained, 0.0, &[plain, aes, chacha]);
}
