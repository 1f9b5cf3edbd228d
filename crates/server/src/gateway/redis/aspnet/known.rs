//! Which scripts of ASP.NET's are known. What they do is done elsewhere.

use proto::gateway::redis::scripts;

/// One of the scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway::redis) struct Known {
    pub(super) form: Form,
    pub(super) step: Step,
}

/// How the provider keeps a session: version 4 as fields, 5 as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Hash,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Moves the end on.
    Touch,
    /// Writes a session that is new.
    Set,
    /// Takes the lock, and reads.
    Lock,
    /// Reads, if nobody has the lock.
    Look,
    /// Gives the lock back.
    Release,
    /// Ends the session.
    Remove,
    /// Writes what has changed, and gives the lock back.
    Update,
}

/// The scripts, by the SHA-1 of their words.
const KNOWN: [(&str, Form, Step); 14] = [
    ("a58b20c063127f61aafbffe09b48041c02915919", Form::Hash, Step::Lock),
    ("8a472113f5a748d31502760074cd0969b4261c73", Form::Hash, Step::Look),
    ("25c7d296bdf0d8a49a9112ac2164daa6df994f6a", Form::Hash, Step::Release),
    ("e5ea1eb44328af5b3979fc475ded268a632cdb2e", Form::Hash, Step::Remove),
    ("7145b60c12fa9a0b38cfdd81168751f9a3a3e07e", Form::Hash, Step::Set),
    ("9eb355ef9e2c260c4d957ba7a8a10b8c6716774a", Form::Hash, Step::Touch),
    ("c68f77a18025185e11233f787b73c24214be5546", Form::Hash, Step::Update),
    ("7a9478bbf8a16a45dea4def464facf035934e575", Form::Text, Step::Lock),
    ("3901ddc2d0f39a89fa4914666e7e24efd3f4962c", Form::Text, Step::Look),
    ("0d713afafa3b4cbae0c63d385422c7fe182b6d5b", Form::Text, Step::Release),
    ("7edea87f7d2a0079d99571b8aaed453d7b094d2f", Form::Text, Step::Remove),
    ("0fe17d6b4e2fe2a1bd1a343db88223d8710295af", Form::Text, Step::Set),
    ("e89001f814f920a8ab9b167ab4534e9e927301a5", Form::Text, Step::Touch),
    ("c63f4c8ea56943e67fe817e428557dc639c82d82", Form::Text, Step::Update),
];

/// The script of this text.
pub(in crate::gateway::redis) fn by_text(text: &[u8]) -> Option<Known> {
    let name = scripts::sha1(&scripts::words(text)?);
    let known = KNOWN.iter().find(|(known, _, _)| *known == name);
    known.map(|&(_, form, step)| Known { form, step })
}

impl Known {
    /// How many keys it has.
    pub(in crate::gateway::redis) const fn keys(self) -> usize {
        match self.step {
            Step::Touch | Step::Set => 2,
            Step::Lock | Step::Look | Step::Release | Step::Remove | Step::Update => 3,
        }
    }
}
