//! A node in a process of its own, which is told what to ask: a line for each
//! operation, a line for each answer.
//!
//! The process is the test program itself, which runs [`serve`] as its only
//! test: a member is the library and nothing else.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use segue::{Config, FARM_KEY_BYTES, FarmKey, Key, Keyring, Kind, Lease, Node, Transport};
use segue::{OneAnswerError, Wall};
use sim::linear::register::{Answer, Asked};

use ground::Network;

/// Where a member is told which machine it is on.
const MACHINE: &str = "SEGUE_TEST_MEMBER_MACHINE";
/// Where it is told how many there are.
const MACHINES: &str = "SEGUE_TEST_MEMBER_MACHINES";
/// What its answers begin with, among what the test program prints.
const MARK: &str = "answer: ";
/// Where members take unicast packets, each on its own machine.
const PORT: u16 = 7700;

/// What came of an operation.
pub(super) enum Outcome {
    Answered(Answer),
    /// It failed for certain.
    Failed,
    Unknown,
}

/// A member, as who runs it sees it. It ends with this.
pub(super) struct Member {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Member {
    /// Starts a member on a machine.
    pub(super) fn start(network: &Network, machine: u8, machines: u8) -> Self {
        let program = std::env::current_exe().expect("a test has a program");
        let mut process = network
            .on(machine, || {
                Command::new(program)
                    .args(["--exact", "one_answer::member::serve", "--nocapture"])
                    .env(MACHINE, machine.to_string())
                    .env(MACHINES, machines.to_string())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
            })
            .expect("the test program starts");
        let orders = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, orders, answers }
    }

    /// How many voters the member's roster has, and its number.
    pub(super) fn voters(&mut self) -> Option<(u64, u64)> {
        let answer = self.order("voters")?;
        let (voters, roster) = answer.split_once(' ')?;
        Some((voters.parse().ok()?, roster.parse().ok()?))
    }

    /// Has the member ask for something.
    pub(super) fn ask(&mut self, key: usize, asked: Asked) -> Outcome {
        let order = match asked {
            Asked::Get => "get 0 0".to_owned(),
            Asked::Put(number) => format!("put {number} 0"),
            Asked::PutUntil(number, until) => format!("put {number} {until}"),
            Asked::PutAbsent(number) => format!("put_absent {number} 0"),
            Asked::PutAbsentUntil(number, until) => format!("put_absent {number} {until}"),
            Asked::Exchange(old, new) => format!("exchange {old} {new}"),
            Asked::Increment(by) => format!("increment {by} 0"),
            Asked::Take => "take 0 0".to_owned(),
            Asked::Delete => panic!("the library has no such operation"),
            Asked::Acquire(lease) => format!("acquire {lease} 0"),
            Asked::Renew(token, lease) => format!("renew {token} {lease}"),
            Asked::Release(token) => format!("release {token} 0"),
        };
        // Who is killed answers nothing.
        self.order(&format!("{key} {order}")).map_or(Outcome::Unknown, |answer| read(&answer))
    }

    /// Ends the member at once.
    pub(super) fn kill(&mut self) {
        self.process.kill().expect("it was not waited for");
        self.process.wait().expect("it was killed");
    }

    fn order(&mut self, order: &str) -> Option<String> {
        writeln!(self.orders, "{order}").ok()?;
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).ok()? == 0 {
                return None;
            }
            // The test program says what it runs on the same line as what the
            // test prints first.
            if let Some((_, answer)) = line.trim_end().split_once(MARK) {
                return Some(answer.to_owned());
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(answer: &str) -> Outcome {
    let mut words = answer.split(' ');
    let what = words.next().unwrap_or_default();
    let mut number = || words.next().and_then(|word| word.parse::<i64>().ok());
    Outcome::Answered(match what {
        "found" => Answer::Found(number()),
        "done" => Answer::Done,
        "unexpected" => Answer::Unexpected,
        "number" => Answer::Number(number().expect("a number was told")),
        "locked" => {
            let mut whole = || number().and_then(|it| u64::try_from(it).ok());
            let (token, until) = (whole(), whole());
            Answer::Locked(token.expect("a token was told"), until.expect("an end was told"))
        }
        "occupied" => Answer::Occupied,
        "not_held" => Answer::NotHeld,
        "unknown" => return Outcome::Unknown,
        "failed" => return Outcome::Failed,
        other => panic!("a member said {other:?}"),
    })
}

/// What a member's process does; nothing where the tests are run.
#[test]
fn serve() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u8>().ok());
    let (Some(machine), Some(machines)) = (number(MACHINE), number(MACHINES)) else { return };
    let address = |machine| SocketAddr::from((Network::address(machine), PORT));
    let keys = Keyring::new(vec![FarmKey::new([3; FARM_KEY_BYTES])]).unwrap();
    let config = Config {
        transport: Transport::Unicast,
        listen: address(machine),
        peers: (0..machines).filter(|&other| other != machine).map(address).collect(),
        memory_bytes: 16 << 20,
        ..Config::new(format!("m{machine}"), keys)
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let node = Node::start(config).unwrap();
    for order in std::io::stdin().lock().lines() {
        let answer = runtime.block_on(obey(&node, &order.unwrap()));
        say(&answer);
    }
}

#[expect(clippy::print_stdout, reason = "how a member answers")]
fn say(answer: &str) {
    println!("{MARK}{answer}");
}

/// Does what a line says.
async fn obey(node: &Node, order: &str) -> String {
    if order == "voters" {
        let stats = node.status().one_answer;
        return format!("{} {}", stats.voters, stats.roster);
    }
    let words: Vec<&str> = order.split(' ').collect();
    let [key, what, one, two] = words[..] else { panic!("the order {order:?}") };
    let numbers = [one, two].map(|word| word.parse::<i64>().expect("a number"));
    match operate(node, key, what, numbers).await {
        Ok(answer) => answer,
        Err(OneAnswerError::Unknown | OneAnswerError::Closed) => "unknown".to_owned(),
        Err(failure) => format!("failed {failure:?}"),
    }
}

async fn operate(
    node: &Node,
    key: &str,
    what: &str,
    [one, two]: [i64; 2],
) -> Result<String, OneAnswerError> {
    let cache = node.cache();
    let key = Key::new(Kind::Web, key.as_bytes()).expect("a short id");
    let deadline = cache.now() + Duration::from_secs(3_600);
    let text = |number: i64| number.to_string().into_bytes();
    let whole = |number: i64| u64::try_from(number).expect("not below 0");
    let done = |done| if done { "done" } else { "unexpected" }.to_owned();
    let found = |value: Option<Vec<u8>>| match value {
        Some(value) => format!("found {}", String::from_utf8_lossy(&value)),
        None => "found nothing".to_owned(),
    };
    let lease = |lease: Option<Lease>, refused: &str| match lease {
        Some(Lease { token, until }) => format!("locked {token} {}", until.as_millis()),
        None => refused.to_owned(),
    };
    let held = Lease { token: whole(one), until: Wall::default() };
    let millis = |number| Duration::from_millis(whole(number));
    let until = if two == 0 { deadline } else { Wall::from_millis(whole(two)) };
    Ok(match what {
        "get" => found(cache.get_agreed(&key).await?.map(|value| value.to_vec())),
        "take" => found(cache.take(&key).await?.map(|value| value.to_vec())),
        "put" => cache.set_agreed(&key, &text(one), until).await.map(|()| done(true))?,
        "put_absent" => done(cache.set_if_absent(&key, &text(one), until).await?),
        "exchange" => done(cache.compare_and_set(&key, &text(one), &text(two), deadline).await?),
        "increment" => format!("number {}", cache.increment(&key, one, deadline).await?),
        "acquire" => lease(cache.lock(&key, "member", millis(one)).await?, "occupied"),
        "renew" => lease(cache.renew(&key, held, millis(two)).await?, "not_held"),
        "release" => if cache.unlock(&key, held).await? { "done" } else { "not_held" }.to_owned(),
        other => panic!("the order {other:?}"),
    })
}
