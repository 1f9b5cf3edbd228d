//! What a forged packet costs who gets it, at the rate of a flood.
//!
//! One machine sends packets that look well but for their tag to the nodes on
//! the others. In the name of strangers each makes a node derive a key of its
//! own, which is the most that one without the farm key can cause.

use anyhow::ensure;
use segue::FarmKey;

use super::super::report::{Better, Figure, Report, progress};
use super::orders::{Forgery, Order, Role, Work};
use super::process::Process;
use super::{Stage, meet, write};

/// How long each flood lasts.
const SECONDS: f64 = 2.0;

/// Numbers that are ahead of a member's last by so many are still wanted: they
/// lie within the window, and were not received.
const AHEAD: u64 = 10_000;

impl Stage {
    pub(super) fn measure_forged(&self, report: &mut Report) -> anyhow::Result<()> {
        let node = self.role()?;
        let role = |member| if member == 0 { Role::Plain } else { Role::Node(node.clone()) };
        let mut members = self.members(role)?;
        let (forger, nodes) = members.split_at_mut(1);
        meet(nodes)?;
        write(nodes, Work { seconds: 0.1, bytes: self.bytes, rate: None })?;
        let key_id = FarmKey::new(node.key).id();
        let member = nodes[0].ask(&Order::Look)?.figures()?;
        for (name, key_id, sender) in [
            ("another_farm", key_id.wrapping_add(1), None),
            ("a_stranger", key_id, None),
            ("a_member", key_id, Some(member.incarnation)),
        ] {
            let after = member.packets + AHEAD;
            progress(&format!("a flood of packets forged in the name of {name}"));
            let forgery = Forgery { seconds: SECONDS, key_id, sender, after };
            let mut costs = flood(&mut forger[0], nodes, forgery)?;
            let name = format!("forged_of_{name}");
            report.add(Figure::median(name, &mut costs, "us/packet", Better::Lower));
        }
        Ok(())
    }
}

/// Processor time of each node for a packet that it refused, in microseconds;
/// none of a node to which too few came to tell.
fn flood(
    forger: &mut Process,
    nodes: &mut [Process],
    forgery: Forgery,
) -> anyhow::Result<Vec<f64>> {
    let mut look = || -> anyhow::Result<Vec<_>> {
        nodes.iter_mut().map(|node| node.ask(&Order::Look)?.figures()).collect()
    };
    let before = look()?;
    let (sent, _) = forger.ask(&Order::Forge(forgery))?.done()?;
    let after = look()?;
    let mut costs = Vec::new();
    for (before, after) in before.iter().zip(&after) {
        ensure!(before.holds == after.holds, "forged packets changed what a node holds");
        let refused = (after.forged - before.forged) as f64;
        progress(&format!("{refused} of {sent} packets were refused"));
        if refused > sent / 1_000.0 {
            costs.push((after.processor - before.processor) * 1e6 / refused);
        }
    }
    ensure!(!costs.is_empty(), "no forged packet came through");
    Ok(costs)
}
