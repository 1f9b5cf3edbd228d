//! A value that a client of memcached works on, whichever key it names.

use proto::gateway::Need;
use proto::gateway::memcached::values::{self, Access};
use proto::gateway::memcached::{Command, Request, Writer};
use proto::record::{Body, Hlc, Key, Kind, Record, Version, Writer as By};
use proto::time::Wall;
use proto::web::{Change, Draft, Stamp, State, payload};

/// How long a client thinks between two requests: some values end meanwhile.
const THINKING_MS: u64 = 700;

pub(super) struct Memory {
    state: State<'static>,
    now_ms: u64,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { state: State::nothing(), now_ms: 1_700_000_000_000 }
    }

    /// Does what a request says, and answers it.
    ///
    /// # Panics
    ///
    /// When what becomes of the value is not what its bytes say.
    pub(super) fn run(&mut self, request: &Request<'_>, out: &mut Vec<u8>) {
        let Some(need) = values::need(&request.command) else { return };
        self.now_ms += THINKING_MS;
        let now = Wall::from_millis(self.now_ms);
        let version = Version { time: Hlc::at(now), writer: By(1) };
        let stamp = if need == Need::OneAnswer { Stamp::Agreed } else { Stamp::Plain(version) };
        let mut draft = Draft::new(self.state.clone(), stamp, now);
        let writer = &mut Writer::new(out, request.answer);
        match &request.command {
            Command::Get { keys, touch } => {
                for key in *keys {
                    values::get(&mut draft, key, *touch, writer);
                }
            }
            Command::Fetch(asked) => {
                values::fetch(&mut draft, asked, Access::default(), writer);
            }
            Command::Store(given) => values::store(&mut draft, given, writer),
            Command::Delete(asked) => values::delete(&mut draft, asked, writer),
            Command::Arithmetic(asked) => values::count(&mut draft, asked, writer),
            Command::Touch { expiry, .. } => values::touch(&mut draft, *expiry, writer),
            Command::Inspect { key } => {
                values::inspect(&draft, key.0, Access::default(), writer);
            }
            Command::TooLarge { .. } => {
                draft.delete();
            }
            Command::FlushAll { .. }
            | Command::Stats { .. }
            | Command::Verbosity
            | Command::Version
            | Command::Noop
            | Command::Quit => {}
        }
        let changed = draft.change() != Change::None;
        let mut state = draft.into_state();
        if changed {
            state.version = version;
            self.state = read_again(&state);
            assert_eq!(self.state, state, "a value's bytes say what it is");
        }
    }
}

fn read_again(state: &State<'_>) -> State<'static> {
    let mut bytes = Vec::new();
    payload::encode(state, &mut bytes);
    let key = Key::new(Kind::Web, b"k").expect("it is short");
    let (version, deadlines) = (state.version, state.ends.deadlines);
    State::of(&Record { key, version, deadlines, body: Body::Value(&bytes) }).into_owned()
}
