//! `[[writes.prefix]]`: what holds for the keys of gateways' clients that begin
//! alike.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;
use super::fault::{Fault, quoted};
use super::judge::Judge;
use super::sections::{Sections, Wait};
use super::units::Time;

/// The longest time for which a delete may win over writes that come after it:
/// the longest life of a session by default.
pub(super) const LONGEST_GUARD: Duration = Duration::from_secs(24 * 60 * 60);
/// The most prefixes: each is looked at on each write.
pub(super) const MOST_PREFIXES: usize = 64;

/// What holds for keys of the gateways' clients that begin alike; of several that
/// fit, the longest counts.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prefix {
    /// What the keys begin with.
    #[schemars(example = &"sess:")]
    pub(crate) prefix: String,
    /// What a write of one of them waits for. Not given: as `writes.web` says.
    #[schemars(example = &"one")]
    pub(crate) web: Option<Wait>,
    /// For how long a delete wins over plain writes that come after it, so that a
    /// late request brings no session back. Not given: not at all.
    #[schemars(extend("bounds" = bounds::guard()), example = &"30s")]
    pub(crate) guard: Option<Time>,
}

impl Judge<'_> {
    /// Whether what is said of prefixes can be done.
    pub(super) fn prefixes(&mut self, sections: &Sections) {
        let given = &sections.writes.prefix;
        if given.len() > MOST_PREFIXES {
            let expected = format!("{MOST_PREFIXES} at the most");
            self.fault("writes.prefix", Fault::mismatch(given.len(), expected));
        }
        for (at, one) in given.iter().enumerate() {
            let key = |name: &str| format!("writes.prefix[{at}].{name}");
            if given.iter().take(at).any(|other| other.prefix == one.prefix) {
                let found = format!("{} twice", quoted(&one.prefix));
                self.fault(&key("prefix"), Fault::mismatch(found, "each prefix once"));
            }
            if one.web == Some(Wait::Tier) && sections.upstream.is_empty() {
                let fault = Fault::mismatch("\"tier\" without [[upstream]]", "a tier above")
                    .remedy("add [[upstream]] with redis = \"redis://HOST:PORT\"");
                self.fault(&key("web"), fault);
            }
            if let Some(Time(guard)) = one.guard
                && guard > LONGEST_GUARD
            {
                let found = humantime::format_duration(guard);
                self.fault(&key("guard"), Fault::mismatch(found, "24h at the most"));
            }
        }
    }
}
