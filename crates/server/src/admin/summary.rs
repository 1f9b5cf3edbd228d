//! A status in words, section by section: for the page and for the terminal.

use bytesize::ByteSize;

use super::status::{Cache, Connections, Links, Member, Portion, Status, Upstream};

/// A few rows under one title.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// Names and what is to be said of them.
    pub(crate) rows: Vec<(String, String)>,
}

/// One sentence on the node as a whole.
pub(crate) fn headline(status: &Status) -> String {
    let alive = status.members.iter().filter(|member| member.state == "alive").count();
    let company = match alive {
        0 => "alone".to_owned(),
        1 => "with 1 other node".to_owned(),
        more => format!("with {more} other nodes"),
    };
    let state = if status.node.ready { "is ready" } else { "is not ready" };
    format!("Node {} {state}, {company}", status.node.name)
}

/// Everything else.
pub(crate) fn sections(status: &Status) -> Vec<Section> {
    let mut sections = vec![node(status)];
    if !status.members.is_empty() {
        let rows = status.members.iter().map(|it| (it.name.clone(), member(it))).collect();
        sections.push(Section { title: "Members", rows });
    }
    sections.extend([portion(&status.portion), cache(&status.cache)]);
    if !status.upstreams.is_empty() {
        let rows = status.upstreams.iter().map(|it| (it.address.clone(), upstream(it))).collect();
        sections.push(Section { title: "Upstreams", rows });
    }
    sections.extend([questions(status), multicast(status), links(&status.links)]);
    sections.extend([one_answer(status), clients(status)]);
    if status.connections.carried {
        sections.push(connections(&status.connections));
    }
    sections
}

fn node(status: &Status) -> Section {
    let rows = [
        ("incarnation", status.node.incarnation.clone()),
        ("version", status.node.version.clone()),
        ("farm keys", keys(&status.node.keys)),
    ];
    let mut section = section("Node", rows);
    if status.node.placed_elsewhere > 0 {
        let told = format!(
            "{} nodes that have a farm key and place records by another secret: see the log",
            status.node.placed_elsewhere
        );
        section.rows.push(("no members".to_owned(), told));
    }
    section
}

/// Which key seals, and which ones open.
fn keys(ids: &[u8]) -> String {
    let mut ids = ids.iter();
    let seals = ids.next().map(|id| format!("{id} seals")).unwrap_or_default();
    ids.fold(seals, |text, id| format!("{text}, {id} opens too"))
}

fn member(member: &Member) -> String {
    let Member { address, state, portion, by, .. } = member;
    let lag = member.lag_ms.map(|lag| format!(", lag {lag:.1} ms")).unwrap_or_default();
    let catching_up = if member.catching_up { ", catching up" } else { "" };
    let overflowed = match member.overflowed {
        0 => String::new(),
        packets => format!(", too slow for {packets} packets"),
    };
    format!("{state} at {address}, keeps {portion}, reached by {by}{lag}{catching_up}{overflowed}")
}

fn portion(portion: &Portion) -> Section {
    let Portion { share, moving, lingering, replicas, .. } = portion;
    let of = match replicas {
        0 => "everything".to_owned(),
        1 => "one holder each".to_owned(),
        more => format!("{more} holders each"),
    };
    let mut rows =
        vec![("keeps".to_owned(), format!("{:.1} % of the records, {of}", share * 100.0))];
    if *moving + *lingering > 0 {
        let moves = format!("{moving} slots to come, {lingering} to go");
        rows.push(("moving".to_owned(), moves));
    }
    let troubles = portion.troubles.iter().map(|trouble| ("wrong".to_owned(), trouble.clone()));
    rows.extend(troubles);
    Section { title: "Portion", rows }
}

fn cache(cache: &Cache) -> Section {
    let kinds: Vec<_> = cache
        .by_kind
        .pairs()
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let records = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    let bytes = |bytes| ByteSize(bytes).display().iec().to_string();
    let (looked, shares) = lookups(cache);
    let rows = [
        ("records", records),
        ("memory", format!("{} of {}", bytes(cache.bytes), bytes(cache.capacity_bytes))),
        ("look-ups", format!("{looked}: {shares}")),
        ("dropped", format!("{} for room, {} at their end", cache.evicted, cache.expired)),
    ];
    section("Cache", rows)
}

/// How many there were, and what share of them was answered by whom.
pub(crate) fn lookups(cache: &Cache) -> (u64, String) {
    let results = [
        ("here", cache.hits_local),
        ("near", cache.hits_near),
        ("at other nodes", cache.hits_remote),
        ("upstream", cache.hits_upstream),
        ("missed", cache.misses),
    ];
    let all: u64 = results.iter().map(|(_, count)| count).sum();
    let share = |&(result, count): &(&str, u64)| {
        format!("{:.1} % {result}", count as f64 * 100.0 / all.max(1) as f64)
    };
    let shares: Vec<_> = results.iter().map(share).collect();
    (all, shares.join(", "))
}

fn upstream(upstream: &Upstream) -> String {
    let Upstream { state, written, queued, hits, misses, .. } = upstream;
    let latency = upstream.latency_ms.map(|ms| format!(", {ms:.1} ms")).unwrap_or_default();
    let mut text = format!(
        "{state}{latency}, {written} written, {queued} waiting, {hits} found, {misses} not"
    );
    let troubles = [
        ("dropped", upstream.dropped),
        ("refused", upstream.refused),
        ("sent again", upstream.repeated),
        ("given up", upstream.given_up),
        ("rejected", upstream.rejected),
        ("timeouts", upstream.timeouts + upstream.failed),
    ];
    for (name, count) in troubles.into_iter().filter(|&(_, count)| count > 0) {
        text.push_str(&format!(", {count} {name}"));
    }
    match &upstream.error {
        Some(error) if state == "down" => format!("{text} ({error})"),
        Some(_) | None => text,
    }
}

fn one_answer(status: &Status) -> Section {
    let stats = &status.one_answer;
    let voters = stats.unfounded.as_ref().map_or_else(
        || format!("{} of {} alive", stats.voters_alive, stats.voters),
        |why| format!("none: {why}"),
    );
    let rows = [
        ("voters", voters),
        ("keys", stats.registers.to_string()),
        (
            "operations",
            format!(
                "{} answered, {} failed, {} unknown",
                stats.answered, stats.failed, stats.unknown
            ),
        ),
        ("may be lost", format!("{} times", stats.may_be_lost)),
    ];
    section("One answer", rows)
}

fn multicast(status: &Status) -> Section {
    let stats = &status.multicast;
    let rejected = &stats.rejected;
    let paused = if stats.comparing { "" } else { " (not comparing)" };
    let rows = [
        ("packets", format!("{} sent, {} received", stats.sent_packets, stats.received_packets)),
        ("naks", format!("{} sent, {} suppressed", stats.naks_sent, stats.naks_suppressed)),
        ("repairs", format!("{} sent, {} received", stats.repairs_sent, stats.repairs_received)),
        ("unrecovered", stats.unrecovered.to_string()),
        ("stalled", format!("{} members", stats.stalled)),
        ("too slow for", format!("{} packets", stats.overflowed)),
        ("clocks ahead", stats.clocks_ahead.to_string()),
        ("gossip", format!("{} sent", ByteSize(stats.gossip_bytes).display().iec())),
        ("digests", format!("{} sent", ByteSize(stats.digest_bytes).display().iec())),
        ("ranges fetched", format!("{}{paused}", stats.ranges_fetched)),
        (
            "rejected",
            format!(
                "{} forged, {} replayed, {} malformed",
                rejected.forged, rejected.replayed, rejected.malformed
            ),
        ),
    ];
    section("Multicast", rows)
}

fn links(links: &Links) -> Section {
    let bytes = |bytes| ByteSize(bytes).display().iec().to_string();
    let Links { live, made, refused, turned_away, dropped, .. } = links;
    let rows = [
        ("standing", format!("{live}, of {made} made")),
        ("not made", format!("{refused} refused, {turned_away} turned away")),
        (
            "traffic",
            format!("{} sent, {} received", bytes(links.sent_bytes), bytes(links.received_bytes)),
        ),
        ("dropped", format!("{dropped} datagrams")),
    ];
    section("Links", rows)
}

fn questions(status: &Status) -> Section {
    let lookups = &status.lookups;
    let asked = [
        ("keys asked for", lookups.queries.to_string()),
        ("asked further", format!("{} hedged, {} again", lookups.hedged, lookups.repeated)),
        (
            "in vain",
            format!(
                "{} known to be absent, {} not answered in time, {} refused",
                lookups.known_absent, lookups.unanswered, lookups.refused
            ),
        ),
    ];
    section("Look-ups at other nodes", asked)
}

fn clients(status: &Status) -> Section {
    let tls = &status.tls;
    let rows = [
        ("connections", status.connections.live.to_string()),
        ("full handshakes", tls.handshakes_full.to_string()),
        (
            "resumed",
            format!("{} begun here, {} begun elsewhere", tls.resumed_local, tls.resumed_remote),
        ),
        (
            "early data",
            format!("{} accepted, {} refused", tls.early_data_accepted, tls.early_data_refused),
        ),
        (
            "claims",
            format!(
                "{} of {} remembered, {} refused",
                tls.claims, tls.claims_capacity, tls.claims_refused
            ),
        ),
    ];
    section("Clients", rows)
}

/// Connections that go on at other nodes.
fn connections(connections: &Connections) -> Section {
    let understudy = connections.understudy.clone().unwrap_or_else(|| "nobody".to_owned());
    let pause =
        connections.last_pause_ms.map(|ms| format!(", {ms:.1} ms the last")).unwrap_or_default();
    let Connections { handed_over, taken_over, lost, left, alone, doubts, .. } = connections;
    let link = connections.link.as_deref().unwrap_or("not known");
    let rows = [
        ("address", if connections.address { "here" } else { "elsewhere" }.to_owned()),
        ("interface", link.to_owned()),
        ("followed by", understudy),
        ("carried", format!("{} protected, {} plain", connections.protected, connections.plain)),
        ("of others", format!("{} followed", connections.followed)),
        ("moved", format!("{handed_over} handed over, {taken_over} taken over{pause}")),
        ("lost", format!("{lost}, and {} segments of unknown ones", connections.strays)),
        ("in doubt", format!("{doubts} times")),
        ("became plain", format!("{left} one by one, {alone} times all")),
        (
            "not held",
            format!(
                "{} connections, {} packets dropped, {} overruns",
                connections.unheld, connections.refused, connections.overruns
            ),
        ),
    ];
    section("Live connections", rows)
}

fn section<const N: usize>(title: &'static str, rows: [(&str, String); N]) -> Section {
    let rows = rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Section { title, rows }
}
