//! Something that is done many times with one farm, or with another one where that
//! has failed.

use ground::farm::Listeners;
use ground::{Farm, FarmError};

use super::super::report::progress;
use super::tally::Tally;

/// How often in a row a farm may fail: then the rest is left undone.
const FAILURES: u32 = 3;

/// What is done, and how often.
pub(super) struct Turns {
    pub(super) times: u32,
    /// How much the farm loses of what is sent.
    pub(super) loss: f64,
}

impl Turns {
    /// Has `once` do it with `farm`.
    pub(super) fn take(
        &self,
        farm: &mut Option<Farm>,
        tally: &mut Tally,
        mut once: impl FnMut(&mut Farm, &mut Tally) -> Result<(), FarmError>,
    ) {
        let (mut done, mut in_a_row) = (0, 0);
        while done < self.times && in_a_row < FAILURES {
            match self.farm(farm).and_then(|farm| once(farm, tally)) {
                Ok(()) => (done, in_a_row) = (done + 1, 0),
                Err(why) => {
                    progress(&format!("another farm is made: {}", super::brief(&why)));
                    *farm = None;
                    tally.farms_failed += 1;
                    in_a_row += 1;
                }
            }
        }
        if done < self.times {
            progress(&format!("{done} of {} times only", self.times));
        }
    }

    fn farm<'a>(&self, farm: &'a mut Option<Farm>) -> Result<&'a mut Farm, FarmError> {
        match farm {
            Some(farm) => Ok(farm),
            None => Ok(farm.insert(super::farm(Listeners::TakenOver, self.loss)?)),
        }
    }
}
