//! What was measured, and what is told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::report::{Better, Figure, Report};
use crate::demo::Version;

/// One sort of handshake at one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Case {
    /// In full, at a node of a farm.
    Full,
    /// There as well, a session that began there.
    Resumed,
    /// There as well, a session that began at another node.
    ResumedElsewhere,
    /// At tokio and rustls with nothing else; sessions of TLS 1.3 by ticket.
    FullBare,
    ResumedBare,
    /// At nginx.
    FullNginx,
    ResumedNginx,
    /// At a front whose cache holds a thousand sessions.
    HoldingFew,
    /// At a front whose cache holds a million.
    HoldingMany,
}

impl Case {
    /// As it stands in the names of figures.
    const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::ResumedElsewhere => "resumed_elsewhere",
            Self::FullBare => "full_bare",
            Self::ResumedBare => "resumed_bare",
            Self::FullNginx => "full_nginx",
            Self::ResumedNginx => "resumed_nginx",
            Self::HoldingFew => "resumed_holding_1k",
            Self::HoldingMany => "resumed_holding_1m",
        }
    }
}

/// A ratio of two cases that is told, and what it should be at most.
struct Ratio {
    version: Version,
    name: &'static str,
    of: Case,
    to: Case,
    goal: f64,
}

const fn ratio(version: Version, name: &'static str, of: Case, to: Case, goal: f64) -> Ratio {
    Ratio { version, name, of, to, goal }
}

const RATIOS: [Ratio; 10] = {
    use Case::{
        Full, FullBare, HoldingFew, HoldingMany, Resumed, ResumedBare, ResumedElsewhere,
        ResumedNginx,
    };
    use Version::{Tls12, Tls13};
    [
        ratio(Tls12, "full_vs_bare", Full, FullBare, 1.15),
        ratio(Tls13, "full_vs_bare", Full, FullBare, 1.15),
        ratio(Tls12, "resumed_elsewhere_vs_here", ResumedElsewhere, Resumed, 1.05),
        ratio(Tls13, "resumed_elsewhere_vs_here", ResumedElsewhere, Resumed, 1.05),
        ratio(Tls12, "resumed_vs_full", Resumed, Full, 0.55),
        ratio(Tls12, "resumed_vs_nginx", Resumed, ResumedNginx, 0.6),
        ratio(Tls13, "resumed_vs_bare_ticket", Resumed, ResumedBare, 1.05),
        ratio(Tls12, "resumed_1m_vs_1k", HoldingMany, HoldingFew, 1.05),
        ratio(Tls13, "resumed_1m_vs_1k", HoldingMany, HoldingFew, 1.05),
        ratio(Tls13, "resumed_vs_full", Resumed, Full, 1.0),
    ]
};

/// Costs by case, in the order of the rounds: microseconds a connection.
#[derive(Debug, Default)]
pub(super) struct Costs(BTreeMap<(&'static str, Case), Vec<f64>>);

impl Costs {
    pub(super) fn add(&mut self, version: Version, case: Case, cost: Duration) {
        self.0.entry((prefix(version), case)).or_default().push(cost.as_secs_f64() * 1e6);
    }

    /// Tells everything that was measured.
    pub(super) fn report(&self, report: &mut Report) {
        for (&(prefix, case), costs) in &self.0 {
            let name = format!("{prefix}_{}", case.name());
            report.add(Figure::median(name, &mut costs.clone(), "us", Better::Lower));
        }
        for Ratio { version, name, of, to, goal } in RATIOS {
            let prefix = prefix(version);
            let (Some(of), Some(to)) = (self.0.get(&(prefix, of)), self.0.get(&(prefix, to)))
            else {
                continue;
            };
            let mut ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
            let name = format!("{prefix}_{name}");
            report.add(Figure::median(name, &mut ratios, "ratio", Better::Lower).with_goal(goal));
        }
    }
}

/// A version as it stands in the names of figures.
const fn prefix(version: Version) -> &'static str {
    match version {
        Version::Tls12 => "tls12",
        Version::Tls13 => "tls13",
    }
}
