//! What came of many connections, counted.

use std::time::Duration;

use ground::load::Outcome;

use super::super::report::{Better, Figure, Report, progress};
use super::millis;

/// How many connections ended how.
#[derive(Debug, Default)]
pub(super) struct Tally {
    right: u32,
    wrong: u32,
    hung: u32,
    reset: u32,
    /// Trials that could not be made, since the farm did not come together.
    pub(super) farms_failed: u32,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let (count, said) = match outcome {
            Outcome::Right => (&mut self.right, None),
            Outcome::Wrong(why) => (&mut self.wrong, Some(why)),
            Outcome::Hung(why) => (&mut self.hung, Some(why)),
            Outcome::Reset(why) => (&mut self.reset, Some(why)),
        };
        *count += 1;
        if let Some(why) = said {
            progress(&format!("a connection did not come right: {outcome:?}: {why}"));
        }
    }

    pub(super) fn report(&self, name: &str, report: &mut Report) {
        let right = &mut [f64::from(self.right)];
        report.add(Figure::median(format!("{name}_right"), right, "connections", Better::Higher));
        for (what, count) in [
            ("wrong", self.wrong),
            ("hung", self.hung),
            ("reset", self.reset),
            ("farms_failed", self.farms_failed),
        ] {
            let figure = Figure::median(
                format!("{name}_{what}"),
                &mut [f64::from(count)],
                "connections",
                Better::Lower,
            );
            report.add(figure.with_goal(0.0));
        }
    }
}

/// Tells pauses' p50 and p99, with goals in milliseconds where there are any.
pub(super) fn report_pauses(
    name: &str,
    pauses: &[Duration],
    goals: Option<[f64; 2]>,
    report: &mut Report,
) {
    let mut pauses: Vec<_> = pauses.iter().copied().map(millis).collect();
    pauses.sort_unstable_by(f64::total_cmp);
    let Some(last) = pauses.len().checked_sub(1) else { return };
    for (index, (quantile, of_hundred)) in
        [("p50", 50), ("p99", 99), ("max", 100)].into_iter().enumerate()
    {
        let value = pauses[last * of_hundred / 100];
        let name = format!("pause_{name}_{quantile}");
        let mut figure = Figure::median(name, &mut [value], "ms", Better::Lower);
        figure.runs = pauses.len();
        let goal = goals.and_then(|goals| goals.get(index).copied());
        report.add(match goal {
            Some(goal) => figure.with_goal(goal),
            None => figure,
        });
    }
}
