//! The command line: what can be asked, and which module answers.
//!
//! Nothing is decided here beyond the form of options.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hyper::Uri;

use crate::bench::gateway::Options as GatewayBench;
use crate::bench::lookup::Role as LookupRole;
use crate::bench::tls::PeerOptions;
use crate::config::Sources;
use crate::token_file::TokenFile;

/// Any server of the farm goes on with a client's session.
#[derive(Debug, Parser)]
#[command(
    name = "segue",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Start with `segue demo`: it shows the whole system on this machine."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `segue` can be asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one node in the foreground
    #[command(after_help = SERVE_EXAMPLES)]
    Serve {
        #[command(flatten)]
        given: Configuration,
        /// Let the admin page kill nodes, as in a demo
        #[arg(long, hide = true)]
        drill: bool,
    },
    /// Show the whole system on this machine, with real processes and clients
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Measure this build, beside other software on the same work
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Bench),
    /// A server that `bench tls` compares with
    #[command(hide = true)]
    BenchPeer(PeerOptions),
    /// A process of `bench multicast`
    #[command(hide = true)]
    BenchMember,
    /// Another process of `bench lookup`
    #[command(hide = true)]
    BenchHolder {
        /// What it is
        role: LookupRole,
    },
    /// A server without a cache, which `bench gateway` compares with
    #[command(hide = true)]
    BenchFloor,
    /// Takes the virtual address away when the node that started it was killed
    #[command(hide = true)]
    Guard {
        /// The queue of its packets
        queue: Option<u16>,
    },
    /// Make a farm key, or take the next step of a rotation of keys
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen {
        /// The file to write, which must not exist unless it is to be rotated
        #[arg(long, value_name = "FILE", default_value = "farm.key")]
        out: PathBuf,
        /// Install the next key in the file, or switch to it, or retire the
        /// old one, whichever is next
        #[arg(long)]
        rotate: bool,
        /// Rotate the file that this configuration names
        #[arg(long, value_name = "FILE", requires = "rotate", conflicts_with = "out")]
        config: Option<PathBuf>,
    },
    /// Validate a configuration without opening a socket
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Configuration),
    /// Show a node, its members, its portion and its cache
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Status),
    /// Watch a node, its members, its cache and its clients in the terminal
    #[command(after_help = TOP_EXAMPLES)]
    Top(Top),
    /// Have a node hand over its live connections, leave the farm, and exit
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain(Drain),
    /// Look at the sessions that a node holds, and end them at every node
    #[command(after_help = SESSIONS_EXAMPLES)]
    Sessions(SessionsOptions),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  segue completions bash > /etc/bash_completion.d/segue")]
    Completions {
        /// The shell that the script is for
        shell: Shell,
    },
    /// Print the manual page of the program or of its configuration
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// Print that of segue.toml, with every key
        #[arg(long)]
        configuration: bool,
        /// Print it as docs/configuration.md
        #[arg(long, requires = "configuration")]
        markdown: bool,
    },
}

/// Where a configuration comes from.
#[derive(Debug, Args)]
pub(crate) struct Configuration {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Override a key of the file, or of the defaults
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

impl From<Configuration> for Sources {
    fn from(given: Configuration) -> Self {
        Self::of_process(given.config, given.set)
    }
}

/// Options of `segue demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many nodes the farm has
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u8).range(3..=16))]
    pub(crate) nodes: u8,
    /// Leave the farm running until interrupted
    #[arg(long)]
    pub(crate) keep_running: bool,
    /// Print one line of JSON a step
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `segue bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure: everything unless given
    #[command(subcommand)]
    pub(crate) subject: Option<Subject>,
    /// Print one JSON object a bench
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Subject {
    /// The hash and the table of a node's cache memory
    Table,
    /// How much the multicast carries, how late, and what repair costs
    Multicast(MulticastBench),
    /// What a TLS connection costs: in full and resumed, here and elsewhere
    Tls,
    /// How long a record takes to be found that another node has
    Lookup,
    /// What a session store costs, beside Redis, Valkey and memcached
    Gateway(GatewayBench),
    /// Connections that go on at another server, and what that costs
    Connections(ConnectionsBench),
}

/// Options of `segue bench multicast`. With a loss or a rate it measures that
/// alone.
#[derive(Debug, Args)]
pub(crate) struct MulticastBench {
    /// How many nodes receive
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) receivers: u8,
    /// The share of packets that each receiver loses, from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) loss: Option<f64>,
    /// The size of a record's payload, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    pub(crate) size: usize,
    /// Measure this alone
    #[arg(long, value_name = "PART", conflicts_with_all = ["loss", "rate"])]
    pub(crate) only: Option<MulticastPart>,
    /// Records a second, or `max`
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<Rate>,
}

impl Default for MulticastBench {
    /// As without options.
    fn default() -> Self {
        Self { receivers: 3, loss: None, size: 200, only: None, rate: None }
    }
}

/// Options of `segue bench connections`.
#[derive(Debug, Args)]
pub(crate) struct ConnectionsBench {
    /// How often a server goes away: by turns its process and its host, without
    /// loss and with
    #[arg(long, value_name = "COUNT", default_value_t = 24)]
    pub(crate) take_overs: u32,
    /// How often a server hands over by plan
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    pub(crate) planned: u32,
    /// How often the link between two servers is cut
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub(crate) cuts: u32,
    /// How many connections rest
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) idle: u32,
    /// Measure only this; can be given several times
    #[arg(long, value_name = "PART")]
    pub(crate) only: Vec<ConnectionsPart>,
}

/// A part of `segue bench connections` that can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConnectionsPart {
    /// Servers that go away under load, by their process or their host
    TakeOvers,
    /// Servers that hand over by plan
    Planned,
    /// Links between servers that break
    Cuts,
    /// Throughput, latency and processor time, beside the same without the hold
    Costs,
    /// What connections cost that rest
    Idle,
}

/// A part of `segue bench multicast` that can be measured alone.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MulticastPart {
    /// How eight nodes fare that write at once
    Many,
    /// What a receiver that stands still costs the others
    Stalled,
    /// What nodes tell each other while nothing is written
    Idle,
    /// What a forged packet costs
    Forged,
}

/// Records a second; none: as many as possible.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate(pub(crate) Option<f64>);

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self(None));
        }
        let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
        rate.map(|rate| Self(Some(rate))).ok_or("expected records a second as 5000, or max")
    }
}

/// A share of a whole.
fn share(text: &str) -> Result<f64, &'static str> {
    let share = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or("expected a share from 0 to below 1, as 0.05")
}

/// Options of `segue status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The node's admin address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9700", value_parser = http_url)]
    pub(crate) admin: Uri,
    /// Print the node's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) token: TokenFile,
}

/// Options of `segue top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// The node's admin address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9700", value_parser = http_url)]
    pub(crate) admin: Uri,
    #[command(flatten)]
    pub(crate) token: TokenFile,
}

/// Options of `segue drain`.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// The node's admin address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9700", value_parser = http_url)]
    pub(crate) admin: Uri,
    /// The node that live connections go to: the one that follows unless given
    #[arg(long, value_name = "NODE")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) token: TokenFile,
}

/// Options of `segue sessions`.
#[derive(Debug, Args)]
pub(crate) struct SessionsOptions {
    #[command(subcommand)]
    pub(crate) work: SessionsWork,
    /// Those of a user
    #[arg(long, value_name = "USER", global = true)]
    pub(crate) user: Option<String>,
    /// Those of a kind: tls, auth, conn, purchase or web
    #[arg(long, value_name = "KIND", global = true)]
    pub(crate) kind: Option<String>,
    /// The node's admin address
    #[arg(long, value_name = "URL", global = true, default_value = "http://127.0.0.1:9700", value_parser = http_url)]
    pub(crate) admin: Uri,
    #[command(flatten)]
    pub(crate) token: TokenFile,
}

/// What is done about sessions. They are named by keyed hashes of their ids.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsWork {
    /// List them
    List,
    /// Show one
    Show {
        /// Its name in the list
        id: String,
    },
    /// End one, or all of a user's
    End {
        /// Its name in the list
        id: Option<String>,
    },
}

/// A URL that names a host to speak HTTP with.
fn http_url(text: &str) -> Result<Uri, &'static str> {
    text.parse::<Uri>()
        .ok()
        .filter(|url| url.scheme_str() == Some("http") && url.host().is_some())
        .ok_or("expected a URL as \"http://127.0.0.1:9700\"")
}

/// The whole command line, as completion scripts and manual pages need it.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

const SERVE_EXAMPLES: &str = "\
Examples:
  segue serve                                 one node on loopback, nothing to configure
  segue serve --config segue.toml
  segue serve --config segue.toml --set tls.listen=0.0.0.0:443
  SEGUE_LOG__LEVEL=debug segue serve --config segue.toml

A key is taken from --set, else from the environment (SEGUE_SECTION__KEY), else
from the file, else from the defaults. The line `ready` on standard output says
that the node serves. SIGHUP reads the farm's keys, certificates and the log
level again; SIGTERM lets live connections end and exits with 0. Exit status 2
means a configuration that cannot be used.";

const DEMO_EXAMPLES: &str = "\
Examples:
  segue demo
  segue demo --nodes 8
  segue demo --keep-running                   look at it with `segue status`
  segue demo --json

Exits with 0 only if every step held. It uses loopback only and leaves nothing
behind.";

const BENCH_EXAMPLES: &str = "\
Examples:
  segue bench table
  segue bench tls
  segue bench lookup
  segue bench multicast                       on machines of its own as root, else on loopback
  segue bench multicast --receivers 2 --loss 0.05 --rate 5000
  segue bench multicast --only stalled        what a receiver that stands still costs
  segue bench connections --take-overs 1000   as root
  segue bench connections --only costs        what the hold costs
  segue bench table --json > table.json

A debug build measures the compiler: use --release. Progress goes to standard
error. Exit status 0 when it measured, whatever it found.";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  segue keygen
  segue keygen --out /etc/segue/farm.key
  segue keygen --rotate --out /etc/segue/farm.key
  segue keygen --rotate --config /etc/segue/segue.toml

All nodes of a farm share the key. The file gets mode 0600, and one that exists
is never overwritten.

A rotation takes three calls: the first installs a key, which opens from then
on; the second switches to it; the third retires the one before it. After each,
copy the file to all nodes, in any order, and send each SIGHUP, before the next.
Nothing is lost meanwhile, and nobody without the file reads on. A retired key
opens for another 15 to 30 seconds.";

const CHECK_EXAMPLES: &str = "\
Examples:
  segue check --config segue.toml
  segue check --config segue.toml --set farm.listen=10.0.1.1:7700

Forms, files, permissions, keys and certificates are all looked at. Exit status
0: usable; 2: not, and standard error says why. Every key, with its default and
its bounds: docs/configuration.md, or `segue man --configuration | man -l -`.";

const MAN_EXAMPLES: &str = "\
Examples:
  segue man > /usr/local/share/man/man1/segue.1
  segue man --configuration > /usr/local/share/man/man5/segue.toml.5
  segue man --configuration | man -l -        read it";

const SESSIONS_EXAMPLES: &str = "\
Examples:
  segue sessions list --kind auth
  segue sessions show 1f0c5a9e4b7d2368
  segue sessions end 1f0c5a9e4b7d2368
  segue sessions end --user ada@example.org";

const DRAIN_EXAMPLES: &str = "\
Examples:
  segue drain
  segue drain --to b
  segue drain --admin http://127.0.0.1:9701

Progress goes to standard output. Exit status
0: the node is gone, and every connection that could be carried goes on
elsewhere, or has ended; 1: some could not be moved, and are served until the
node's time is up. SIGTERM does the same, without a choice of the node.";

const TOP_EXAMPLES: &str = "\
Examples:
  segue top
  segue top --admin http://127.0.0.1:9701
  segue top --admin http://10.0.0.11:9700 --token-file /etc/segue/admin.token

Keys: q quits, the arrows and Tab change the view, p holds it, ? says more. A
node that does not answer is asked on, once a second.";

const STATUS_EXAMPLES: &str = "\
Examples:
  segue status
  segue status --admin http://127.0.0.1:9701
  segue status --json";
