//! What the demo shows of portions and tiers: farms whose nodes keep a part of
//! the sessions each, and nodes that keep what others keep.

use anyhow::{Context, ensure};
use serde_json::json;

use super::client::{Client, Session, Version};
use super::farm::Farm;
use super::node::{Node, Portion};
use super::script::resume;
use super::steps::Steps;

/// Sessions of each farm, half of each version: with fewer, a node might by
/// chance keep none, or all (2^-40).
const SESSIONS: usize = 40;

/// A client, and the session that it began.
type Begun = (Client, Session);

/// Plays what is about portions.
///
/// # Errors
///
/// The first step that does not hold.
pub(crate) async fn play(steps: &mut Steps) -> anyhow::Result<()> {
    keep_apart(steps).await?;
    keep_the_same(steps).await?;
    overlap(steps).await?;
    build_tiers(steps).await
}

/// Two nodes, one holder for each session.
async fn keep_apart(steps: &mut Steps) -> anyhow::Result<()> {
    let work = async {
        let farm = farm(2, 1).await?;
        begin(&farm, &farm.nodes[0]).await?;
        let kept = farm.kept(SESSIONS).await?;
        ensure!(kept.iter().all(|&kept| kept > 0), "one keeps everything: {kept:?}");
        farm.stop().await?;
        Ok(((), json!({ "sessions": SESSIONS, "kept": kept })))
    };
    steps
        .step("Q1", "disjoint portions: either of two nodes keeps what the other does not", work)
        .await
}

/// Two nodes, two holders for each session.
async fn keep_the_same(steps: &mut Steps) -> anyhow::Result<()> {
    let work = async {
        let farm = farm(2, 2).await?;
        begin(&farm, &farm.nodes[0]).await?;
        let kept = farm.kept(2 * SESSIONS).await?;
        ensure!(kept == [SESSIONS; 2], "{kept:?}");
        farm.stop().await?;
        Ok(((), json!({ "sessions": SESSIONS, "kept": kept })))
    };
    steps.step("Q1", "equal portions: two nodes keep every session, both of them", work).await
}

/// Three nodes, two holders for each session. One dies, and no session with
/// it: who lacks one gets it from who has it.
async fn overlap(steps: &mut Steps) -> anyhow::Result<()> {
    let work = async {
        let farm = farm(3, 2).await?;
        let begun = begin(&farm, &farm.nodes[0]).await?;
        let kept = farm.kept(2 * SESSIONS).await?;
        let is_part = |&kept: &usize| 0 < kept && kept < SESSIONS;
        ensure!(kept.iter().all(is_part), "{kept:?}");
        Ok(((farm, begun), json!({ "sessions": SESSIONS, "kept": kept })))
    };
    let step = "overlapping portions: each session at two nodes of three";
    let (mut farm, begun) = steps.step("Q1", step, work).await?;

    let step = "the first dies; the third goes on with all, and asks the second for those it lacks";
    let work = async {
        farm.nodes.remove(0).kill().await?;
        let third = farm.nodes.last().context("two are left")?;
        let found = go_on(&begun, third).await?;
        ensure!(found > 0, "{} lacked no session", third.name);
        Ok(((), json!({ "resumed": begun.len(), "found_elsewhere": found })))
    };
    steps.step("S3", step, work).await?;
    farm.stop().await
}

/// Two nodes with disjoint portions, a third that keeps what they keep, a
/// fourth that keeps what the third does.
async fn build_tiers(steps: &mut Steps) -> anyhow::Result<()> {
    let mut farm = farm(2, 1).await?;
    let work = async {
        farm.start_keeping(Portion::Of(&["a", "b"])).await?;
        farm.start_keeping(Portion::Of(&["c"])).await?;
        farm.acquainted().await?;
        let begun = begin(&farm, &farm.nodes[0]).await?;
        let kept = farm.kept(3 * SESSIONS).await?;
        ensure!(kept[2..] == [SESSIONS; 2], "{kept:?}");
        Ok((begun, json!({ "sessions": SESSIONS, "kept": kept })))
    };
    let step = "c keeps what a and b keep; d keeps what c keeps";
    let begun = steps.step("Q2", step, work).await?;

    let step = "a, where they began, dies; b obtains from c what only a had, and goes on";
    let work = async {
        farm.nodes.remove(0).kill().await?;
        let found = go_on(&begun, &farm.nodes[0]).await?;
        ensure!(found > 0, "b lacked no session");
        Ok(((), json!({ "resumed": begun.len(), "found_elsewhere": found })))
    };
    steps.step("R2", step, work).await?;

    for (row, dies, goes_on) in [("Q2", "b", "c"), ("Q3", "c", "d")] {
        let work = async {
            farm.nodes.remove(0).kill().await?;
            go_on(&begun, &farm.nodes[0]).await?;
            Ok(((), json!({ "resumed": begun.len() })))
        };
        let step = format!("{dies} dies too; {goes_on} goes on with every session");
        steps.step(row, &step, work).await?;
    }
    farm.stop().await
}

/// A farm of `nodes` that share the sessions, so many of them for each.
async fn farm(nodes: usize, replicas: usize) -> anyhow::Result<Farm> {
    let mut farm = Farm::new()?;
    farm.start_many(nodes, Portion::Share { replicas }).await?;
    farm.acquainted().await?;
    Ok(farm)
}

/// Begins sessions at a node.
async fn begin(farm: &Farm, node: &Node) -> anyhow::Result<Vec<Begun>> {
    let mut begun = Vec::with_capacity(SESSIONS);
    for version in Version::ALL.into_iter().cycle().take(SESSIONS) {
        let client = Client::new(version, &farm.ground.authority)?;
        let session = client.visit(node.tls()).await?;
        begun.push((client, session));
    }
    Ok(begun)
}

/// Goes on with all sessions at a node. Gives how many it had to get from
/// another one.
async fn go_on(begun: &[Begun], node: &Node) -> anyhow::Result<u64> {
    let before = node.status().await?.cache.hits_remote;
    for (client, session) in begun {
        resume(client, session, node).await?;
    }
    Ok(node.status().await?.cache.hits_remote - before)
}
