//! The commands of Redis and Valkey, over one connection or those of a
//! Cluster. Which of two versions stays is decided by the engine itself, in
//! one step; when to connect and what to send is decided elsewhere.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use proto::upstream::{DELETED, MARK, MAX_VALUE_BYTES, Name, RANK};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, RedisResult, RetryMethod,
    ServerErrorKind, TlsCertificates, Value,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::address::{Host, UpstreamAddress};
use super::queue::Write;
use super::session::{ANSWER, CONNECT, Found, Stored};

/// How often the client library itself goes after a slot that has moved.
const REDIRECTS: u32 = 4;
/// How long it waits before: its own least is more than a second, and a write
/// that somebody waits for has no longer.
const RETRY_MILLIS: std::ops::Range<u64> = 10..100;

/// Stores a value unless a later one is there, which it compares byte by byte:
/// the order of Lua's strings is that of the engine's locale. What does not
/// begin as ours does is overwritten.
///
/// A tombstone is kept for as long as what it takes the place of would have
/// been: who deleted that may not have known. That is a time left, not an
/// instant (`PEXPIRETIME` came after Redis 6.2), so what this script takes is
/// added to it. A user who may not ask for that time (`PTTL`) keeps it for as
/// long as it says.
///
/// There is a command for that in some engines (`SET … IFEQ`), but none that
/// all of them have; a script of one key works in all, Cluster included.
static STORE: LazyLock<Script> = LazyLock::new(|| {
    let mark = MARK.len();
    let (first, last, deleted) = (RANK.start + 1, RANK.end, DELETED + 1);
    let text = format!(
        "local new, held = ARGV[1], redis.call('GETRANGE', KEYS[1], 0, {last} - 1)
local function left(key)
  local millis = redis.pcall('PTTL', key)
  return type(millis) == 'number' and millis or 0
end
local function dead(value) return string.byte(value, {deleted}) == 1 end
local before = 0
if #held == {last} and string.sub(held, 1, {mark}) == string.sub(new, 1, {mark}) then
  for at = {first}, {last} do
    local there, here = string.byte(held, at), string.byte(new, at)
    if there > here then return dead(held) and not dead(new) and 2 or 1 end
    if there < here then break end
  end
  if dead(new) then before = left(KEYS[1]) end
end
redis.call('SET', KEYS[1], new, 'PXAT', ARGV[2])
if before > 0 and left(KEYS[1]) < before then redis.call('SET', KEYS[1], new, 'PX', before) end
return 0"
    );
    Script { hash: redis::Script::new(&text).get_hash().to_owned(), text }
});

/// A script, and the hash that engines which have it know it by.
struct Script {
    text: String,
    hash: String,
}

/// The connections to an engine: look-ups have their own, so that none waits
/// behind a megabyte that goes up.
#[derive(Clone)]
pub(super) struct Session {
    reads: Connection,
    writes: Connection,
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Session {
    /// Connects.
    pub(super) async fn open(address: &UpstreamAddress, ca: Option<&Vec<u8>>) -> RedisResult<Self> {
        let (reads, writes) =
            tokio::try_join!(Connection::open((address, ca)), Connection::open((address, ca)))?;
        Ok(Self { reads, writes })
    }

    /// Stores a batch, all of it sent before any answer is waited for, which
    /// takes no longer than `time`. `each` is told what became of each write as
    /// soon as that is known.
    pub(super) async fn store(
        &self,
        batch: Vec<Write>,
        time: Duration,
        mut each: impl FnMut(Write, Stored),
    ) {
        match &self.writes {
            Connection::Single(connection) => {
                let answers = run_all((connection, time), batch, by_hash).await;
                let mut unknown = Vec::new();
                for (write, answer) in answers {
                    if asks_for_text(&answer) {
                        unknown.push(write);
                    } else {
                        each(write, judged(answer));
                    }
                }
                if !unknown.is_empty() {
                    let answers = run_all((connection, time), unknown, by_text).await;
                    answers.into_iter().for_each(|(write, answer)| each(write, judged(answer)));
                }
            }
            // A pipeline of a Cluster would have to be of one slot. The library
            // sends together what is there for one node.
            Connection::Cluster(_) => {
                let mut running = JoinSet::new();
                for write in batch {
                    let connection = self.writes.clone();
                    running.spawn(async move {
                        let mut answer = connection.run(by_hash(&write)).await;
                        if asks_for_text(&answer) {
                            answer = connection.run(by_text(&write)).await;
                        }
                        (write, judged(answer))
                    });
                }
                while let Some(done) = running.join_next().await {
                    let (write, stored) = done.expect("sending a command does not panic");
                    each(write, stored);
                }
            }
        }
    }

    /// Reads what stands under a name; never more than a value of ours can be.
    pub(super) async fn get(&self, name: &Name) -> RedisResult<Found> {
        let mut command = redis::cmd("GETRANGE");
        command.arg(name.as_ref()).arg(0).arg(MAX_VALUE_BYTES);
        match self.reads.run(command).await {
            Ok(Value::BulkString(value)) if value.is_empty() => Ok(Found::Nothing),
            Ok(Value::BulkString(value)) => Ok(Found::Value(value)),
            Ok(_) => Ok(Found::OtherType),
            Err(error) if error.code() == Some("WRONGTYPE") => Ok(Found::OtherType),
            Err(error) => Err(error),
        }
    }

    /// Asks whether the engine is there: of a Cluster whether any node is.
    pub(super) async fn ping(&self) -> RedisResult<()> {
        let ping = redis::cmd("PING");
        match self.reads.clone() {
            Connection::Single(mut connection) => connection.send_packed_command(&ping).await,
            Connection::Cluster(mut connection) => {
                let nodes = MultipleNodeRoutingInfo::AllMasters;
                let any = RoutingInfo::MultiNode((nodes, Some(ResponsePolicy::OneSucceeded)));
                connection.route_command(ping, any).await
            }
        }
        .and_then(Value::extract_error)
        .map(drop)
    }

    /// Whether some of it can be lost while the rest goes on.
    pub(super) const fn has_parts(&self) -> bool {
        matches!(self.writes, Connection::Cluster(_))
    }
}

impl Connection {
    /// Connects. Who looks up or writes has a time of his own; in a Cluster an
    /// answer that does not come is also what tells that a node is lost.
    async fn open((address, ca): (&UpstreamAddress, Option<&Vec<u8>>)) -> RedisResult<Self> {
        let certificates = || TlsCertificates { client_tls: None, root_cert: ca.cloned() };
        let infos = address.hosts.iter().map(|host| info(address, host));
        let mut infos = infos.collect::<RedisResult<Vec<_>>>()?;
        if address.cluster {
            let mut builder = ClusterClient::builder(infos)
                .retries(REDIRECTS)
                .min_retry_wait(RETRY_MILLIS.start)
                .max_retry_wait(RETRY_MILLIS.end)
                .retry_wait_formula(RETRY_MILLIS.start, 2)
                .connection_timeout(CONNECT)
                .response_timeout(ANSWER);
            if address.tls {
                builder = builder.certs(certificates());
            }
            return builder.build()?.get_async_connection().await.map(Self::Cluster);
        }
        let info = infos.pop().expect("an address has a host");
        let client = if address.tls {
            Client::build_with_tls(info, certificates())?
        } else {
            Client::open(info)?
        };
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&settings).await.map(Self::Single)
    }

    async fn run(&self, command: Cmd) -> RedisResult<Value> {
        match self.clone() {
            Self::Single(mut connection) => connection.req_packed_command(&command).await,
            Self::Cluster(mut connection) => connection.req_packed_command(&command).await,
        }
        .and_then(Value::extract_error)
    }
}

/// Sends a command for each write in one go. Without an answer in time the
/// connection is of no more use: what is left of the batch stands in its way.
async fn run_all(
    (connection, time): (&MultiplexedConnection, Duration),
    batch: Vec<Write>,
    command: impl Fn(&Write) -> Cmd,
) -> Vec<(Write, RedisResult<Value>)> {
    let mut pipeline = Pipeline::with_capacity(batch.len());
    for write in &batch {
        pipeline.add_command(command(write));
    }
    let mut connection = connection.clone();
    let sent = connection.send_packed_commands(&pipeline, 0, batch.len());
    let late = || Err(io::Error::from(io::ErrorKind::TimedOut).into());
    match timeout(time, sent).await.unwrap_or_else(|_| late()) {
        Ok(values) => {
            let answers = values.into_iter().map(Value::extract_error);
            batch.into_iter().zip(answers).collect()
        }
        Err(error) => batch.into_iter().map(|write| (write, Err(error.clone()))).collect(),
    }
}

fn by_hash(write: &Write) -> Cmd {
    command("EVALSHA", &STORE.hash, write)
}

/// Engines keep a script that they were once given, until they start anew.
fn by_text(write: &Write) -> Cmd {
    command("EVAL", &STORE.text, write)
}

fn asks_for_text(answer: &RedisResult<Value>) -> bool {
    let kind = answer.as_ref().err().map(RedisError::kind);
    kind == Some(ErrorKind::Server(ServerErrorKind::NoScript))
}

fn command(name: &str, script: &str, write: &Write) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(1).arg(write.label.name.as_ref());
    command.arg(&*write.value).arg(write.label.expires.as_millis());
    command
}

fn judged(answer: RedisResult<Value>) -> Stored {
    match answer {
        Ok(Value::Int(0)) => Stored::Written,
        Ok(Value::Int(1)) => Stored::Superseded,
        Ok(Value::Int(2)) => Stored::Deleted,
        Ok(other) => Stored::Refused(format!("an answer of another kind: {other:?}")),
        Err(error) if will_refuse_again(&error) => Stored::Refused(error.to_string()),
        Err(error) => Stored::Unanswered(error.to_string()),
    }
}

/// Whether the engine has understood, and sending it again would not help.
fn will_refuse_again(error: &RedisError) -> bool {
    let by_server = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
    by_server && matches!(error.retry_method(), RetryMethod::NoRetry)
}

fn info(address: &UpstreamAddress, host: &Host) -> RedisResult<ConnectionInfo> {
    let Host { name, port } = host.clone();
    let place = if address.tls {
        ConnectionAddr::TcpTls { host: name, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(name, port)
    };
    // An engine older than 7.2 does not know the command that tells the
    // library's name, so that no user there can be allowed it.
    let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    let mut settings = settings.set_db(address.database.into());
    if let Some(user) = &address.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &address.password {
        settings = settings.set_password(password.as_str());
    }
    Ok(place.into_connection_info()?.set_redis_settings(settings))
}
