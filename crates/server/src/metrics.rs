//! A node's figures for Prometheus, in OpenMetrics' text form.
//!
//! Base units; counters end in `_total`
//! (<https://prometheus.io/docs/practices/naming/>).

mod above;
mod connections;
mod gateways;

use std::collections::BTreeMap;
use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use segue::{By, MemberState};

use crate::admin::Status;
use crate::front::Figures;

/// What [`text`] gives (OpenMetrics 1.0).
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A node's figures at one moment.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) status: Status,
    pub(crate) front: Figures,
    pub(crate) lag: segue::Histogram,
    pub(crate) lookup: segue::Histogram,
}

/// The figures as a scrape reads them.
pub(crate) fn text(metrics: Metrics) -> String {
    let mut registry = Registry::with_prefix("segue");
    registry.register_collector(Box::new(metrics));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .expect("writing to a string does not fail");
    text
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        self.node(&mut page)?;
        self.portion(&mut page)?;
        self.cache(&mut page)?;
        self.upstreams(&mut page)?;
        self.multicast(&mut page)?;
        self.links(&mut page)?;
        self.one_answer(&mut page)?;
        self.clients(&mut page)?;
        self.connections(&mut page)?;
        self.gateways(&mut page)?;
        let help = "How long a write took to be at another node, by its confirmation";
        page.histogram("replication_lag_seconds", help, &self.lag)?;
        let help = "How long a look-up at other nodes took, whatever came of it";
        page.histogram("lookup_seconds", help, &self.lookup)
    }
}

impl Metrics {
    fn node(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let node = &self.status.node;
        let facts = [
            ("name", node.name.as_str()),
            ("incarnation", node.incarnation.as_str()),
            ("version", node.version.as_str()),
        ];
        page.info("node", "This node", &facts)?;
        page.gauge("ready", "Whether the node takes new clients", u64::from(node.ready))?;
        let states = [MemberState::Alive, MemberState::Dead, MemberState::Left];
        let members = states.map(MemberState::name).map(|state| {
            let count = self.status.members.iter().filter(|member| member.state == state).count();
            (state, count as u64)
        });
        page.gauges("members", "Other nodes of the farm that this one knows", "state", &members)?;
        let help = "Live members with the name of another live one, or of this node";
        page.gauge("members_same_name", help, node.same_name)?;
        let help = "Nodes heard that place records by another secret, and are no members";
        page.gauge("nodes_placed_elsewhere", help, node.placed_elsewhere)?;
        let alive = MemberState::Alive.name();
        let reached = [By::Multicast, By::Unicast].map(By::name).map(|by| {
            let alive = self.status.members.iter().filter(|member| member.state == alive);
            (by, alive.filter(|member| member.by == by).count() as u64)
        });
        let help = "Live members by how what is for all of them goes to each";
        page.gauges("members_reached", help, "by", &reached)?;
        // By name, as one that has started anew is known twice for a while.
        let mut overflowed: BTreeMap<&str, u64> = BTreeMap::new();
        for member in &self.status.members {
            *overflowed.entry(&member.name).or_default() += u64::from(member.overflowed);
        }
        let overflowed: Vec<_> = overflowed.into_iter().collect();
        let help = "Packets that a member's sockets dropped, since it read too slowly";
        page.counters("member_overflowed_packets", help, "member", &overflowed)
    }

    fn portion(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let portion = &self.status.portion;
        let slots = [
            ("kept", portion.slots as u64),
            ("moving", portion.moving as u64),
            ("lingering", portion.lingering as u64),
        ];
        page.gauges(
            "portion_slots",
            "Slots, of 65536, by what the node has of them",
            "state",
            &slots,
        )?;
        let replicas = portion.replicas as u64;
        page.gauge("portion_replicas", "Holders of each record; 0: all nodes", replicas)?;
        page.counter(
            "portion_moved_records",
            "Records that came because their slots moved here",
            portion.moved_records,
        )?;
        page.counter("portion_moved_bytes", "Bytes of these", portion.moved_bytes)?;
        page.gauge("near_records", "Records held beside the portion", portion.near_records)?;
        page.gauge("near_bytes", "Memory that these use", portion.near_bytes)
    }

    fn cache(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let cache = &self.status.cache;
        page.gauges("cache_records", "Records in the cache", "kind", &cache.by_kind.pairs())?;
        page.gauge("cache_bytes", "Memory that the cache uses", cache.bytes)?;
        page.gauge("cache_capacity_bytes", "Memory that it may use", cache.capacity_bytes)?;
        let lookups = [
            ("hit_local", cache.hits_local),
            ("hit_near", cache.hits_near),
            ("hit_remote", cache.hits_remote),
            ("hit_upstream", cache.hits_upstream),
            ("miss", cache.misses),
        ];
        page.counters("cache_lookups", "Look-ups by what came of them", "result", &lookups)?;
        let lookups = &self.status.lookups;
        let asked =
            [("first", lookups.queries), ("hedged", lookups.hedged), ("again", lookups.repeated)];
        page.counters("lookup_questions", "Questions to other nodes", "kind", &asked)?;
        let in_vain = [
            ("known_absent", lookups.known_absent),
            ("unanswered", lookups.unanswered),
            ("refused", lookups.refused),
        ];
        let help = "Misses that not every holder was asked for, or answered in time";
        page.counters("lookup_misses", help, "cause", &in_vain)?;
        page.counter("cache_evicted_records", "Records dropped for room", cache.evicted)?;
        page.counter("cache_expired_records", "Records that ended", cache.expired)
    }

    fn multicast(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let stats = &self.status.multicast;
        let mut counter = |name, help, value| page.counter(name, help, value);
        counter("multicast_sent_packets", "Data packets, each counted once", stats.sent_packets)?;
        counter("multicast_received_packets", "Packets accepted", stats.received_packets)?;
        counter("multicast_sent_naks", "Requests for repair", stats.naks_sent)?;
        counter(
            "multicast_suppressed_naks",
            "Requests for repair not sent, since another node had asked",
            stats.naks_suppressed,
        )?;
        counter("multicast_sent_repairs", "Packets sent again", stats.repairs_sent)?;
        counter(
            "multicast_received_repairs",
            "Missing packets that came when asked for",
            stats.repairs_received,
        )?;
        counter(
            "multicast_unrecovered_packets",
            "Packets past repair, whose keys' current values were fetched instead",
            stats.unrecovered,
        )?;
        counter(
            "multicast_stalled_members",
            "Times that a member stalled, so that nobody waits for it any more",
            stats.stalled,
        )?;
        counter(
            "multicast_overflowed_packets",
            "Packets that the node's own sockets dropped, since it read too slowly",
            stats.overflowed.into(),
        )?;
        counter(
            "multicast_ahead_versions",
            "Versions from clocks more than half a second ahead of this node's",
            stats.clocks_ahead,
        )?;
        counter("gossip_sent_bytes", "Bytes sent to say who is up", stats.gossip_bytes)?;
        counter(
            "gossip_refused_messages",
            "What members said of each other that makes no sense",
            stats.gossip_refused,
        )?;
        counter(
            "multicast_sent_digest_bytes",
            "Bytes of digests, counted once for each node that they were for",
            stats.digest_bytes,
        )?;
        counter(
            "multicast_fetched_ranges",
            "Ranges of keys fetched anew, since their digests differed",
            stats.ranges_fetched,
        )?;
        let rejected = [
            ("forged", stats.rejected.forged),
            ("replayed", stats.rejected.replayed),
            ("malformed", stats.rejected.malformed),
        ];
        page.counters("multicast_rejected_packets", "Packets dropped", "cause", &rejected)?;
        let help = "Whether digests are compared; not for a day after the cache was full";
        page.gauge("multicast_comparing", help, u64::from(stats.comparing))
    }

    fn one_answer(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let stats = &self.status.one_answer;
        let count = |count| u64::try_from(count).unwrap_or(u64::MAX);
        let help = "The number of the roster of voters; 0: none is agreed yet";
        page.gauge("one_answer_roster", help, stats.roster)?;
        page.gauge("one_answer_voters", "Nodes that vote", count(stats.voters))?;
        let help = "Nodes that vote and are heard";
        page.gauge("one_answer_alive_voters", help, count(stats.voters_alive))?;
        page.gauge("one_answer_keys", "Keys that the node votes on", count(stats.registers))?;
        let operations =
            [("answered", stats.answered), ("failed", stats.failed), ("unknown", stats.unknown)];
        let help = "Operations that need one answer, asked at this node";
        page.counters("one_answer_operations", help, "result", &operations)?;
        let help = "Proposals that were in another's way";
        page.counter("one_answer_conflicts", help, stats.conflicts)?;
        let help = "Times that one-answer state may have been lost with its voters";
        page.counter("one_answer_losses", help, stats.may_be_lost)?;
        let help = "Keys given up to a farm that was founded apart from this one";
        page.counter("one_answer_absorbed_keys", help, stats.absorbed)
    }

    fn clients(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let tls = &self.status.tls;
        let handshakes = [
            ("full", tls.handshakes_full),
            ("resumed_local", tls.resumed_local),
            ("resumed_remote", tls.resumed_remote),
        ];
        page.counters("tls_handshakes", "Handshakes that succeeded", "kind", &handshakes)?;
        let failures = &self.front.failures;
        page.counters("tls_failures", "Clients not served to the end", "cause", failures)?;
        let misses = &self.front.misses;
        let help = "Sessions found that must not be resumed";
        page.counters("tls_session_misses", help, "cause", misses)?;
        let help = "Sessions that could not be written to the cache";
        page.counter("tls_unstored_sessions", help, self.front.unstored)?;
        let early_data =
            [("accepted", tls.early_data_accepted), ("refused", tls.early_data_refused)];
        page.counters("tls_early_data", "Offers of early data", "result", &early_data)?;
        let refused = &self.front.early_data_refused;
        let help = "Offers of early data that were refused";
        page.counters("tls_early_data_refused", help, "cause", refused)?;
        let help = "Tickets of this node whose early data was accepted, as it remembers";
        page.gauge("tls_claims", help, tls.claims)?;
        page.gauge("tls_claims_capacity", "How many it can remember", tls.claims_capacity)?;
        let help = "Claims that it refused, as it can remember no further ones";
        page.counter("tls_claims_refused", help, tls.claims_refused)
    }
}

/// A page of metrics, as it is written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        self.0
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// A counter for each value of one label.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            family
                .encode_family(&[(label, *of)])?
                .encode_counter::<NoLabelSet, _, f64>(value, None)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A gauge for each value of one label.
    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            family.encode_family(&[(label, *of)])?.encode_gauge(value)?;
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        histogram: &segue::Histogram,
    ) -> Result<(), Error> {
        let bounds = segue::Histogram::BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(histogram.counts).collect();
        let (sum, count) = (histogram.sum.as_secs_f64(), histogram.counts.iter().sum());
        self.0
            .encode_descriptor(name, help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    /// A time in seconds for each value of one label.
    fn seconds<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'l str, f64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            family.encode_family(&[(label, of)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A time in seconds.
    fn second(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn info(&mut self, name: &str, help: &str, facts: &[(&str, &str)]) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&facts)
    }
}
