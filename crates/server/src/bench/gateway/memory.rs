//! How much memory many sessions take, each with a time when it ends.

use std::path::Path;

use super::super::report::{Better, Figure, Report, progress};
use super::load::{Keys, Load, Work};
use super::servers::{Engine, Server};
use super::speech::Operation;
use super::{CONNECTIONS, Options, VALUE_BYTES};

/// The least that a server may be given: what a node asks for at least.
const LEAST_BYTES: u64 = 8 << 20;

/// The number of sessions that the goals are for.
const GOAL_SESSIONS: u32 = 1_000_000;
/// The sizes of a session, and what so many of them may take, in megabytes.
const SIZES: [(usize, f64); 2] = [(VALUE_BYTES, 300.0), (1024, 1_120.0)];

/// Measures each engine with each size.
pub(super) fn measure(
    options: &Options,
    directory: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let engines = Engine::ALL.into_iter().filter(|&engine| engine != Engine::Floor);
    for engine in engines {
        for (value_bytes, goal) in SIZES {
            progress(&format!("{} sessions at {}", options.sessions, engine.name()));
            let memory = u64::from(options.sessions) * allowance(engine, value_bytes as u64);
            let memory = memory.max(LEAST_BYTES);
            let Some(server) = Server::alone(engine, directory, memory)? else {
                report.miss(engine.name());
                break;
            };
            let keys = Keys::Each(options.sessions);
            let work = Work { operation: Operation::Set, pipeline: 16, value_bytes, keys };
            let mut load = Load::connect(server.address, engine.protocol(), CONNECTIONS)?;
            load.work(&work)?;
            // A session that is not there any more ends the bench.
            load.work(&Work { operation: Operation::Get, ..work })?;
            let megabytes = server.resident_bytes()? as f64 / 1e6;
            let name = format!("memory_{}_{value_bytes}b", engine.name());
            let figure = Figure::median(name, &mut [megabytes], "MB", Better::Lower);
            let is_goal = engine == Engine::Segue && options.sessions == GOAL_SESSIONS;
            report.add(if is_goal { figure.with_goal(goal) } else { figure });
        }
    }
    Ok(())
}

/// What a server is given for each session. A node has its index at once for
/// all that it is given, so that it is its operator who knows: here a key, 64
/// bytes beside, and a sixteenth more, as its parts do not fill up evenly. The
/// others have more than enough, and use what they need.
const fn allowance(engine: Engine, value_bytes: u64) -> u64 {
    match engine {
        Engine::Segue => (value_bytes + 32 + 64) * 17 / 16,
        Engine::Redis | Engine::Valkey | Engine::Memcached | Engine::Floor => value_bytes + 1024,
    }
}
