//! Majorities that die: requests fail with an error, and tokens grow.
//!
//! What only the dead knew is lost, so histories across such a loss are not
//! linearizable, and are not judged. What must hold is that nobody is answered
//! while voters are missing that may come back; that the farm goes on once
//! they are known to have started again; and that no fencing token is given
//! twice, or a smaller one later.

use std::time::Duration;

use proto::rng::Rng;

use super::clients::Clients;
use super::world::{Weather, World};
use crate::linear::register::Asked;

/// Runs a seed: three to five nodes, of which all but a minority die.
///
/// # Errors
///
/// What did not hold.
pub fn run(seed: u64) -> Result<(), String> {
    let mut rng = Rng::from_u64(seed);
    let slots = usize::try_from(3 + rng.below(3)).expect("few");
    let weather = Weather { loss: 10, doubled: 10, late: 0, delay: 2_000, lateness: 2_000 };
    let mut world = World::new(slots, weather, Rng::from_u64(seed ^ 0x1055));
    let mut clients = Clients::new(1, Rng::from_u64(seed));
    (0..slots).for_each(|slot| world.start(slot));
    world.run(Duration::from_secs(6))?;
    let before = acquire(&mut world, &mut clients, 0)?.ok_or("a whole farm gives a lock")?;
    let dead = slots / 2 + 1;
    (1..=dead).for_each(|slot| world.stop(slot, false));
    world.run(Duration::from_millis(100))?;
    if acquire(&mut world, &mut clients, 0)?.is_some() {
        return Err(format!("a lock was given with {dead} of {slots} dead"));
    }
    for slot in 1..=dead {
        world.start(slot);
        world.run(Duration::from_micros(rng.below(500_000)))?;
    }
    world.run(Duration::from_secs(12))?;
    for slot in 0..slots {
        let token = acquire(&mut world, &mut clients, slot)?;
        let token = token.ok_or_else(|| {
            let agree = world.agree(slot);
            format!(
                "the dead are back and node {slot} gets no lock; it goes by {:?}",
                agree.and_then(proto::agree::Agree::roster)
            )
        })?;
        if token <= before {
            return Err(format!("token {token} was given after {before}"));
        }
    }
    Ok(())
}

/// Has a node's client acquire the lock, whose lease ends soon after.
fn acquire(world: &mut World, clients: &mut Clients, slot: usize) -> Result<Option<u64>, String> {
    let before = clients.counts.answered;
    clients.ask(world, slot, 0, Asked::Acquire(100));
    world.run(Duration::from_secs(6))?;
    clients.listen(world);
    Ok((clients.counts.answered > before).then(|| clients.last_token()).flatten())
}
