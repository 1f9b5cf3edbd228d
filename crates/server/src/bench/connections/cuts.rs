//! The link between owner and understudy breaks while both live: one of them
//! goes on.

use std::time::{Duration, Instant};

use ground::farm::{GOING_ON_BYTES, SERVERS};
use ground::load::{HUNG, Near};
use ground::{Farm, FarmError};

use super::super::report::{Report, progress};
use super::exits::Load;
use super::tally::{Tally, report_pauses};
use super::turns::Turns;

/// So many times.
pub(super) fn measure(times: u32, farm: &mut Option<Farm>, report: &mut Report) {
    progress(&format!("the replication link cut, {times} times"));
    let mut tally = Tally::default();
    let mut pauses = Vec::new();
    Turns { times, loss: 0.0 }.take(farm, &mut tally, |farm, tally| once(farm, tally, &mut pauses));
    tally.report("cuts", report);
    report_pauses("cut", &pauses, None, report);
}

/// Which one is the understudy cannot be seen from outside, so the owner is cut
/// off from one server, and then from the other.
fn once(farm: &Farm, tally: &mut Tally, pauses: &mut Vec<Duration>) -> Result<(), FarmError> {
    let connections = farm.begin(&Load::Full.plans(farm))?;
    let owner = farm.until_owner(|_| true)?;
    for other in (0..SERVERS).filter(|&other| other != owner) {
        let at = Instant::now();
        connections.iter().for_each(|near| near.mark(at));
        farm.network.cut([owner, other])?;
        for near in &connections {
            let wanted = near.account().received + GOING_ON_BYTES;
            near.until(HUNG, |account| account.received >= wanted);
            pauses.extend(near.pause());
        }
        farm.network.lose_nothing(owner)?;
        farm.network.lose_nothing(other)?;
    }
    connections.iter().for_each(Near::end);
    connections.iter().for_each(|near| tally.add(&near.outcome(&farm.backend)));
    farm.until_owner(|_| true)?;
    Ok(())
}
