//! The ground itself: load over a front that carries nothing comes right, and
//! what does not is found.

use ground::farm::{Listeners, PATIENCE, Settings};
use ground::load::{Amount, Outcome};
use rustls::CipherSuite;

use crate::bed::{bed, check_right};

#[test]
fn load_passes_a_front_and_breaks_with_it() {
    let Some(mut bed) = bed(Settings { listeners: Listeners::Ordinary, ..Settings::default() })
    else {
        return;
    };
    let farm = &mut bed.farm;
    let suites =
        [CipherSuite::TLS13_AES_256_GCM_SHA384, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256];
    for suite in suites {
        let both = [
            (Amount::UntilEnd, Amount::UntilEnd),
            (Amount::Bytes(1_000), Amount::Bytes(3_000_000)),
            (Amount::UntilEnd, Amount::Bytes(1_000_000)),
            (Amount::Turns(64), Amount::Echo),
            (Amount::Nothing, Amount::Nothing),
        ];
        let connections = both.map(|(up, down)| farm.connect(&farm.tls(suite, up, down)).unwrap());
        let wanted = |bytes| move |account: &ground::load::Account| account.received >= bytes;
        assert!(connections[0].until(PATIENCE, wanted(3_000_000)));
        assert!(connections[2].until(PATIENCE, wanted(1_000_000)));
        assert!(connections[3].until(PATIENCE, |account| account.turns.len() > 10));
        assert!(farm.backend.end(connections[4].id(), PATIENCE).is_some());
        check_right(farm, &connections);
    }
    let last = farm.tls(suites[0], Amount::UntilEnd, Amount::UntilEnd);
    let last = farm.connect(&last).unwrap();
    assert!(last.until(PATIENCE, |account| account.received > 0));
    farm.kill(0);
    let outcome = last.outcome(&farm.backend);
    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
}
