//! The node that holds the records, and the one that asks for them.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use segue::{
    Ack, Config, Deadlines, FARM_KEY_BYTES, FarmKey, Keep, Keyring, MemberState, Node, Portion,
    Transport,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::process::{say, told, until_unwanted};
use super::{PATIENCE, Process, RECORD_BYTES, Role, key};

/// Memory for the records and everything beside them.
const MEMORY_BYTES: usize = 64 << 20;

/// What the holder is told.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    farm_key: [u8; FARM_KEY_BYTES],
    records: usize,
}

/// Serves as one of the other processes until standard input ends.
///
/// # Errors
///
/// When it cannot.
pub(crate) fn serve(role: Role) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match role {
        Role::Node => {
            let task: Task = told()?;
            let _node = runtime.block_on(hold(&task))?;
            until_unwanted()
        }
        #[cfg(feature = "bench-peers")]
        Role::Quic => {
            let _server = runtime.block_on(async { super::quic::serve() })?;
            until_unwanted()
        }
    }
}

/// A node that holds nothing, beside one that holds so many records.
pub(super) async fn asker(records: usize) -> anyhow::Result<(Node, Process)> {
    let mut farm_key = [0; FARM_KEY_BYTES];
    getrandom::fill(&mut farm_key).context("the farm key")?;
    let task = Task { farm_key, records };
    let (process, address): (_, SocketAddr) = Process::start(Role::Node, &task).await?;
    let config = Config {
        portion: Portion { keep: Keep::Nothing, ..Portion::default() },
        peers: vec![address],
        ..config("asker", &task)?
    };
    let node = Node::start(config)?;
    node.ready().await;
    let limit = Instant::now() + PATIENCE;
    let met = || node.status().members.iter().any(|member| member.state == MemberState::Alive);
    while !met() {
        ensure!(Instant::now() < limit, "the nodes do not meet");
        // A node's status is made anew every few ten milliseconds.
        sleep(std::time::Duration::from_millis(10)).await;
    }
    Ok((node, process))
}

async fn hold(task: &Task) -> anyhow::Result<Node> {
    let node = Node::start(config("holder", task)?)?;
    node.ready().await;
    let cache = node.cache();
    let deadlines = Deadlines::at(cache.now() + PATIENCE * 60);
    for number in 0..task.records {
        cache.put(&key(number)?, &[7; RECORD_BYTES], deadlines, Ack::Local).await?;
    }
    say(&node.status().address)?;
    Ok(node)
}

fn config(name: &str, task: &Task) -> anyhow::Result<Config> {
    let keys = Keyring::new(vec![FarmKey::new(task.farm_key)])?;
    let transport = Transport::Unicast;
    Ok(Config { transport, memory_bytes: MEMORY_BYTES, ..Config::new(name, keys) })
}
