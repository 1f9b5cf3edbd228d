//! Which figures of a status are followed, and how they went: rates of what is
//! counted, levels of what is not.

use std::collections::VecDeque;
use std::time::Instant;

use bytesize::ByteSize;

use super::model::View;
use crate::admin::Status;

/// How much of the past is kept: five minutes, as wide as any terminal.
const KEPT: usize = 300;
/// Bars of a plot are whole numbers: this many for one a second, so that a rate
/// below one is seen.
const BARS: f64 = 100.0;

/// How a figure is read. None: this node has no such thing.
enum Read {
    /// Counted since the node's start, shown for a second.
    Count(fn(&Status) -> Option<u64>),
    /// As it is, and how that is written.
    Level(fn(&Status) -> Option<f64>, fn(f64) -> String),
}

/// A figure that is followed.
struct Figure {
    view: View,
    name: &'static str,
    read: Read,
}

/// How a figure went.
#[derive(Debug, Default)]
struct Track {
    /// What was read last.
    last: Option<f64>,
    /// Bars, the latest one last.
    bars: VecDeque<u64>,
    /// What there is to say of it; none where the node has no such thing.
    text: Option<String>,
}

/// How all figures went.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    tracks: Vec<Track>,
    /// When the last status came, and of which start of the node.
    at: Option<(Instant, String)>,
}

/// A figure as it is shown.
pub(super) struct Line<'a> {
    pub(super) name: &'static str,
    pub(super) text: &'a str,
    /// The latest bar last.
    pub(super) bars: &'a VecDeque<u64>,
}

impl Tracks {
    /// Takes in what the node has said.
    pub(super) fn add(&mut self, now: Instant, status: &Status) {
        let start = &status.node.incarnation;
        // Another start of the node counts from the beginning.
        if self.at.as_ref().is_none_or(|(_, known)| known != start) {
            self.tracks = FIGURES.iter().map(|_| Track::default()).collect();
            self.at = None;
        }
        let seconds = self.at.as_ref().map(|(at, _)| now.duration_since(*at).as_secs_f64());
        for (track, figure) in self.tracks.iter_mut().zip(&FIGURES) {
            track.add(figure, status, seconds.filter(|&seconds| seconds > 0.0));
        }
        self.at = Some((now, start.clone()));
    }

    /// The figures of a view that the node has.
    pub(super) fn of(&self, view: View) -> impl Iterator<Item = Line<'_>> {
        let here = self.tracks.iter().zip(&FIGURES).filter(move |(_, it)| it.view == view);
        here.filter_map(|(track, figure)| {
            let text = track.text.as_deref()?;
            Some(Line { name: figure.name, text, bars: &track.bars })
        })
    }
}

impl Track {
    /// Takes in what is read so many seconds after the last time.
    fn add(&mut self, figure: &Figure, status: &Status, seconds: Option<f64>) {
        let bar = match figure.read {
            Read::Count(read) => {
                let count = read(status);
                // A count is far below 2^53, where a float would lose any.
                let value = count.map(|count| count as f64);
                let rate = self.last.zip(value).zip(seconds);
                let rate = rate.map(|((last, value), seconds)| (value - last).max(0.0) / seconds);
                self.last = value;
                self.text = count.map(|count| said(rate, count));
                rate
            }
            Read::Level(read, write) => {
                self.last = read(status);
                self.text = self.last.map(write);
                self.last
            }
        };
        if let Some(bar) = bar {
            if self.bars.len() == KEPT {
                self.bars.pop_front();
            }
            // Saturates, and no figure is negative.
            #[expect(clippy::cast_possible_truncation, reason = "a float's cast saturates")]
            self.bars.push_back((bar * BARS).round() as u64);
        }
    }
}

/// A rate and what it has come to.
fn said(rate: Option<f64>, count: u64) -> String {
    let rate = match rate {
        None => "-".to_owned(),
        Some(rate) if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    };
    format!("{rate:>7}/s {count:>11} in all")
}

fn number(level: f64) -> String {
    format!("{level:>7.0}")
}

fn milliseconds(level: f64) -> String {
    format!("{level:>7.1} ms")
}

fn bytes(level: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a float's cast saturates")]
    let size = ByteSize(level as u64);
    format!("{:>11}", size.display().iec().to_string())
}

const fn count(view: View, name: &'static str, read: fn(&Status) -> Option<u64>) -> Figure {
    Figure { view, name, read: Read::Count(read) }
}

const fn level(
    view: View,
    name: &'static str,
    read: fn(&Status) -> Option<f64>,
    write: fn(f64) -> String,
) -> Figure {
    Figure { view, name, read: Read::Level(read, write) }
}

/// The longest that a live member took last to confirm a write.
fn worst_lag(status: &Status) -> Option<f64> {
    let alive = status.members.iter().filter(|member| member.state == "alive");
    alive.filter_map(|member| member.lag_ms).reduce(f64::max)
}

/// All figures, in the order in which a view shows them.
static FIGURES: [Figure; 28] = [
    level(View::Farm, "worst lag", worst_lag, milliseconds),
    count(View::Farm, "packets sent", |it| Some(it.multicast.sent_packets)),
    count(View::Farm, "received", |it| Some(it.multicast.received_packets)),
    count(View::Farm, "unrecovered", |it| Some(it.multicast.unrecovered)),
    level(View::Cache, "memory", |it| Some(it.cache.bytes as f64), bytes),
    level(View::Cache, "records", |it| Some(it.cache.records as f64), number),
    count(View::Cache, "found here", |it| Some(it.cache.hits_local)),
    count(View::Cache, "found near", |it| Some(it.cache.hits_near)),
    count(View::Cache, "at other nodes", |it| Some(it.cache.hits_remote)),
    count(View::Cache, "upstream", |it| {
        (!it.upstreams.is_empty()).then_some(it.cache.hits_upstream)
    }),
    count(View::Cache, "missed", |it| Some(it.cache.misses)),
    count(View::Cache, "evicted", |it| Some(it.cache.evicted)),
    count(View::Cache, "expired", |it| Some(it.cache.expired)),
    count(View::Multicast, "packets sent", |it| Some(it.multicast.sent_packets)),
    count(View::Multicast, "received", |it| Some(it.multicast.received_packets)),
    count(View::Multicast, "NAKs sent", |it| Some(it.multicast.naks_sent)),
    count(View::Multicast, "NAKs suppressed", |it| Some(it.multicast.naks_suppressed)),
    count(View::Multicast, "repairs sent", |it| Some(it.multicast.repairs_sent)),
    count(View::Multicast, "repairs received", |it| Some(it.multicast.repairs_received)),
    count(View::Multicast, "unrecovered", |it| Some(it.multicast.unrecovered)),
    count(View::Multicast, "rejected", |it| {
        let rejected = &it.multicast.rejected;
        Some(rejected.forged + rejected.replayed + rejected.malformed)
    }),
    count(View::Clients, "TLS in full", |it| Some(it.tls.handshakes_full)),
    count(View::Clients, "resumed here", |it| Some(it.tls.resumed_local)),
    count(View::Clients, "from elsewhere", |it| Some(it.tls.resumed_remote)),
    level(View::Clients, "connections", |it| Some(it.connections.live as f64), number),
    count(View::Clients, "gone on with", |it| {
        let moved = it.connections.handed_over + it.connections.taken_over;
        it.connections.carried.then_some(moved)
    }),
    count(View::Clients, "redis", |it| Some(it.redis.as_ref()?.commands)),
    count(View::Clients, "memcached", |it| Some(it.memcached.as_ref()?.commands)),
];
