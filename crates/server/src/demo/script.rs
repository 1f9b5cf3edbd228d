//! What happens in the demo, in its order. Each step shows a row of the
//! mission and proves it, or ends the demo.

use anyhow::{Context, ensure};
use serde_json::json;

use super::client::{Client, Session, Version};
use super::downloads;
use super::farm::{Farm, list};
use super::hash_table;
use super::node::{Node, Portion};
use super::openssl::OpenSsl;
use super::portions;
use super::shop;
use super::steps::Steps;
use crate::admin::Status;

/// Sessions of the steps that show many, half of each version.
const MANY: usize = 200;

/// The share of packets that a lossy node loses: more than networks do, so
/// that a few hundred packets show the repair.
const LOSS: f64 = 0.1;

/// The clients that began at the first node, each with its one session.
#[derive(Debug)]
struct Clients {
    own: Vec<(Client, Session)>,
    /// None where the command is not installed.
    openssl: Vec<OpenSsl>,
}

/// Plays everything.
///
/// # Errors
///
/// The first step that does not hold.
pub(crate) async fn play(steps: &mut Steps, farm: &mut Farm, nodes: usize) -> anyhow::Result<()> {
    show_the_cache(steps).await?;
    start(steps, farm, nodes).await?;
    let clients = begin(steps, farm).await?;
    die(steps, farm).await?;
    go_on(steps, farm, &clients).await?;
    show_the_method(steps, farm).await?;
    join_late(steps, farm, &clients).await?;
    go_on_anywhere(steps, farm).await?;
    lose_and_repair(steps, farm).await?;
    portions::play(steps).await?;
    shop::play(steps).await?;
    downloads::play(steps, farm.ground.place()).await
}

async fn show_the_cache(steps: &mut Steps) -> anyhow::Result<()> {
    let work = async { Ok(((), hash_table::look_up()?)) };
    steps
        .step("H1", "a cache memory is a hash table: every record is found by its id", work)
        .await?;
    let work = async { Ok(((), hash_table::hash()?)) };
    steps.step("H2", "its hash is BUZhash: no two of many ids collide", work).await
}

/// The nodes come up and meet.
async fn start(steps: &mut Steps, farm: &mut Farm, nodes: usize) -> anyhow::Result<()> {
    let work = async {
        farm.start_many(nodes, Portion::All).await?;
        farm.acquainted().await?;
        Ok(((), json!({ "nodes": farm.names() })))
    };
    steps.step("S4", &format!("{nodes} nodes start and know one another"), work).await
}

/// Clients begin sessions at the first node; every other node then holds
/// them.
async fn begin(steps: &mut Steps, farm: &Farm) -> anyhow::Result<Clients> {
    let (first, others) = farm.nodes.split_first().context("a farm has nodes")?;
    let mut own = Vec::new();
    for version in Version::ALL {
        let client = Client::new(version, &farm.ground.authority)?;
        let work = async {
            let session = client.visit(first.tls()).await?;
            ensure!(!session.resumed && session.began_at == first.name, "{session:?}");
            let detail = json!({ "cipher": session.cipher });
            Ok((session, detail))
        };
        let step = format!("a client begins a session at {} ({})", first.name, version.name());
        let session = steps.step("S1", &step, work).await?;
        own.push((client, session));
    }
    let openssl = begin_openssl(steps, farm, first).await?;

    let count = (own.len() + openssl.len()) as u64;
    let work = async {
        farm.until(|status| status.cache.by_kind.tls == count).await?;
        Ok(((), json!({ "sessions": count })))
    };
    let names = list(others.iter().map(|node| node.name.as_str()));
    steps.step("S1", &format!("{names} hold their state in caches of their own"), work).await?;

    let traffic = farm.traffic().await?;
    let work = async {
        ensure!(traffic.sent > 0 && traffic.received > traffic.sent, "{traffic:?}");
        Ok(((), json!({ "packets_sent": traffic.sent, "receivers": others.len() })))
    };
    let step = format!("{} sent it by multicast, once for all of them", first.name);
    steps.step("M1", &step, work).await?;
    Ok(Clients { own, openssl })
}

/// The same with OpenSSL's client, where it is installed.
async fn begin_openssl(
    steps: &mut Steps,
    farm: &Farm,
    first: &Node,
) -> anyhow::Result<Vec<OpenSsl>> {
    if !OpenSsl::is_installed().await {
        steps.say("    (openssl is not installed: no foreign client takes part)")?;
        return Ok(Vec::new());
    }
    let mut clients = Vec::new();
    for version in Version::ALL {
        let client = OpenSsl::new(version, &farm.ground);
        let work = async {
            ensure!(!client.visit(first.tls()).await?, "there was no session to resume");
            Ok(((), json!({})))
        };
        let step = format!("openssl s_client begins one too ({})", version.name());
        steps.step("S1", &step, work).await?;
        clients.push(client);
    }
    Ok(clients)
}

/// The first node dies without a word.
async fn die(steps: &mut Steps, farm: &mut Farm) -> anyhow::Result<()> {
    let first = farm.nodes.remove(0);
    let step = format!("{} is killed (SIGKILL)", first.name);
    let work = async {
        first.kill().await?;
        Ok(((), json!({})))
    };
    steps.step("S2", &step, work).await
}

/// The clients go on at the second node, then at all others.
async fn go_on(steps: &mut Steps, farm: &Farm, clients: &Clients) -> anyhow::Result<()> {
    let (second, others) = farm.nodes.split_first().context("nodes are left")?;
    for (client, begun) in &clients.own {
        let work = async {
            let session = resume(client, begun, second).await?;
            Ok((session, json!({ "began_at": begun.began_at })))
        };
        let version = client.version().name();
        let step = format!("{} goes on with the session ({version})", second.name);
        let session = steps.step("S2", &step, work).await?;
        know_it(steps, begun, &session).await?;
    }
    for client in &clients.openssl {
        let work = async {
            ensure!(client.visit(second.tls()).await?, "openssl says \"New\", not \"Reused\"");
            Ok(((), json!({ "openssl": "Reused" })))
        };
        let version = client.version().name();
        let step = format!("{} goes on with openssl's session ({version})", second.name);
        steps.step("R1", &step, work).await?;
    }
    for node in others {
        for (client, begun) in &clients.own {
            let work = async {
                // Resuming gave the client a new ticket, which is on its way
                // to the node as the client is.
                farm.agreed().await?;
                resume(client, begun, node).await?;
                Ok(((), json!({})))
            };
            let step = format!("so does {} ({})", node.name, client.version().name());
            steps.step("S4", &step, work).await?;
        }
    }
    Ok(())
}

/// The method in one step: conduct a session from a first server, cache its
/// state with a second one, resume it from there.
async fn show_the_method(steps: &mut Steps, farm: &Farm) -> anyhow::Result<()> {
    let [first, second, ..] = farm.nodes.as_slice() else { anyhow::bail!("two nodes are left") };
    let client = Client::new(Version::Tls13, &farm.ground.authority)?;
    let work = async {
        let begun = client.visit(first.tls()).await?;
        farm.agreed().await?;
        let session = resume(&client, &begun, second).await?;
        Ok(((), json!({ "began_at": session.began_at, "resumed_at": session.node })))
    };
    let step = format!("begun at {}, cached at {}, gone on with there", first.name, second.name);
    steps.step("R1", &step, work).await
}

/// What the second node knows of the session, it has from its cache: the
/// handshake that resumes says none of it.
async fn know_it(steps: &mut Steps, begun: &Session, session: &Session) -> anyhow::Result<()> {
    let work = async {
        let facts = |session: &Session| {
            (session.tls.clone(), session.cipher.clone(), session.server_name.clone())
        };
        ensure!(facts(begun) == facts(session), "{begun:?} became {session:?}");
        let detail = json!({ "version": session.tls, "cipher": session.cipher });
        Ok(((), detail))
    };
    let step = format!("{} has the session's secret, version and cipher suite", session.node);
    steps.step("C1", &step, work).await
}

/// A node that was not there when the sessions began gets them from those
/// that were, and goes on with them.
async fn join_late(steps: &mut Steps, farm: &mut Farm, clients: &Clients) -> anyhow::Result<()> {
    let givers = farm.names();
    let work = async {
        let held = farm.nodes[0].status().await?.cache.by_kind.tls;
        let node = farm.start_keeping(Portion::All).await?;
        let has = node.status().await?.cache.by_kind.tls;
        ensure!(has >= held, "{} was ready with {has} of {held} sessions", node.name);
        Ok(((), json!({ "node": node.name, "sessions": has })))
    };
    let step = format!("a new node joins and gets the sessions from {givers}");
    steps.step("S4", &step, work).await?;

    let node = farm.nodes.last().context("one has just joined")?;
    for (client, begun) in &clients.own {
        let work = async {
            resume(client, begun, node).await?;
            Ok(((), json!({ "began_at": begun.began_at })))
        };
        let step = format!("{} goes on with them ({})", node.name, client.version().name());
        steps.step("S4", &step, work).await?;
    }
    Ok(())
}

/// Many sessions begin at random nodes and go on at random others.
async fn go_on_anywhere(steps: &mut Steps, farm: &mut Farm) -> anyhow::Result<()> {
    farm.acquainted().await?;
    let before = farm.traffic().await?;
    let work = async {
        let mut begun = Vec::with_capacity(MANY);
        for version in Version::ALL.into_iter().cycle().take(MANY) {
            let client = Client::new(version, &farm.ground.authority)?;
            let [at, next] = farm.two();
            let session = client.visit(farm.nodes[at].tls()).await?;
            begun.push((client, session, next));
        }
        farm.agreed().await?;
        Ok((begun, json!({ "nodes": farm.names() })))
    };
    let step = format!("{MANY} sessions begin at random nodes; every node holds them");
    let begun = steps.step("R3", &step, work).await?;

    let after = farm.traffic().await?;
    let (sent, received) = (after.sent - before.sent, after.received - before.received);
    let work = async {
        let copies = MANY * (farm.nodes.len() - 1);
        ensure!(sent < copies as u64, "{sent} packets for {copies} copies");
        ensure!(received > sent, "{sent} packets sent, {received} received");
        Ok(((), json!({ "packets_sent": sent, "copies_held": copies })))
    };
    steps.step("M1", "each state was sent once for all nodes together", work).await?;

    let work = async {
        for (client, session, next) in &begun {
            resume(client, session, &farm.nodes[*next]).await?;
        }
        Ok(((), json!({ "resumed": begun.len() })))
    };
    let step = format!("all {MANY} go on at random other nodes");
    steps.step("R3", &step, work).await
}

/// A node that loses packets asks for what it misses, and misses nothing.
async fn lose_and_repair(steps: &mut Steps, farm: &mut Farm) -> anyhow::Result<()> {
    let work = async {
        let node = farm.start_losing(LOSS).await?;
        let name = node.name.clone();
        farm.acquainted().await?;
        Ok((name, json!({ "loses": LOSS })))
    };
    let name = steps.step("M2", "a node joins that loses a tenth of all packets", work).await?;

    let [first, .., lossy] = farm.nodes.as_slice() else { unreachable!("one has just joined") };
    let work = async {
        let mut begun = Vec::with_capacity(MANY);
        for version in Version::ALL.into_iter().cycle().take(MANY) {
            let client = Client::new(version, &farm.ground.authority)?;
            let session = client.visit(first.tls()).await?;
            begun.push((client, session));
        }
        farm.agreed().await?;
        Ok((begun, json!({ "sessions": MANY })))
    };
    let step = format!("{MANY} sessions begin at {}; {name} holds every one", first.name);
    let begun = steps.step("M2", &step, work).await?;

    let work = async {
        let repaired = |status: &Status| {
            status.multicast.naks_sent > 0 && status.multicast.repairs_received > 0
        };
        let stats = lossy.until(repaired).await?.multicast;
        ensure!(stats.unrecovered == 0, "past repair: {stats:?}");
        let detail = json!({
            "naks_sent": stats.naks_sent,
            "repairs_received": stats.repairs_received,
            "unrecovered": stats.unrecovered,
        });
        Ok(((), detail))
    };
    let step = format!("{name} asked again for what it had missed (NAK), and got it");
    steps.step("M2", &step, work).await?;

    let work = async {
        for (client, session) in &begun {
            resume(client, session, lossy).await?;
        }
        Ok(((), json!({ "resumed": begun.len() })))
    };
    steps.step("M2", &format!("all {MANY} go on at {name}"), work).await
}

/// Goes on with the session that began as `begun`, at `node`.
pub(super) async fn resume(
    client: &Client,
    begun: &Session,
    node: &Node,
) -> anyhow::Result<Session> {
    let session = client.visit(node.tls()).await?;
    ensure!(session.resumed, "{} made a full handshake", node.name);
    ensure!(session.node == node.name, "{} answered for {}", session.node, node.name);
    ensure!(
        session.began_at == begun.began_at,
        "the session began at {}, not at {}",
        begun.began_at,
        session.began_at
    );
    Ok(session)
}
