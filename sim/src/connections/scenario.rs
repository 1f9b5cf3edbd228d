//! A seed's runs, and one fault at each step of a short one.

use proto::rng::Rng;

use super::fault::{Fault, Tamper};
use super::world::{Report, Setup, World};

/// What a seed does: up to three faults, anywhere in a run of up to three
/// clients, with loss and a register that may not answer.
///
/// # Errors
///
/// When something does not hold.
pub fn run(seed: u64) -> Result<Report, String> {
    run_tampered(seed, Tamper::Nothing)
}

/// The same, with a rule broken on purpose.
///
/// # Errors
///
/// When something does not hold.
pub fn run_tampered(seed: u64, tamper: Tamper) -> Result<Report, String> {
    let mut rng = Rng::from_u64(seed ^ 0x00c0_ffee);
    let clients = 1 + rng.below(3);
    let says = (0..clients).map(|_| (rng.below(9_000), rng.below(9_000))).collect();
    // What a run without faults takes, about.
    let steps = 300 * clients;
    let faults: Vec<_> =
        (0..1 + rng.below(3)).map(|_| (1 + rng.below(2 * steps), some_fault(&mut rng))).collect();
    let (loss, prompt) = (rng.below(4), rng.chance(1, 2));
    let loses_none = faults.len() == 1 && prompt;
    let report = World::new(Setup { seed, says, loss, prompt, faults, tamper }).run()?;
    if loses_none && report.lost > 0 {
        return Err(format!("{report}: one fault loses none, where the register answers"));
    }
    Ok(report)
}

fn some_fault(rng: &mut Rng) -> Fault {
    let slot = usize::from(rng.chance(1, 2));
    // From what nobody notices to what decides everything, evenly in doublings.
    let doublings = 1 + rng.below(9);
    let millis = 1 + rng.below(1 << doublings);
    match rng.below(5) {
        0 => Fault::Process(slot),
        1 => Fault::Host(slot),
        2 => Fault::Pause(slot, millis),
        3 => Fault::Cut(millis),
        _ => Fault::Drain(slot),
    }
}

/// A short exchange, without loss, in which that goes wrong at that step, if
/// anything.
///
/// # Errors
///
/// When something does not hold, or a connection is lost: one fault never loses
/// one.
pub fn short(fault: Option<(u64, Fault)>) -> Result<Report, String> {
    let faults = fault.into_iter().collect();
    let says = vec![(900, 1_300)];
    let tamper = Tamper::Nothing;
    let setup = Setup { seed: 7, says, loss: 0, prompt: true, faults, tamper };
    let report = World::new(setup).run()?;
    if report.lost > 0 { Err(format!("lost by {fault:?}")) } else { Ok(report) }
}
