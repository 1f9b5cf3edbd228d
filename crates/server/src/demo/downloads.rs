//! What the demo shows of live connections: downloads that go on when the node
//! that has them is killed.
//!
//! The nodes, the client and the backend are on machines of their own, and every
//! byte is compared. Where there can be no such machines the row is not shown,
//! and it is said why. How connections are carried is not known here.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ground::farm::{Exit, Settings};
use ground::load::{Amount, HUNG, Hash, Near, Outcome, Plan};
use ground::{Farm, Network};
use serde_json::json;
use tokio::sync::oneshot;

use super::steps::{Detail, Steps};

/// The mission's row.
const ROW: &str = "D1";

/// A download: what it is called, and how the client asks for it.
type Download = (&'static str, fn(&Farm) -> Plan);

/// The downloads, which lose their node together.
const DOWNLOADS: [Download; 1] = [("without TLS", plain)];

/// How long a download is: what is left of it when its node is killed takes far
/// longer than killing it.
const BYTES: u64 = 64 << 20;

/// The node is killed once each client has so much.
const KILLED_AFTER: u64 = BYTES / 8;

/// How much has to come after that for a download to count as going on: more than
/// the buffers on the way hold.
const GOING_ON: u64 = 4 << 20;

/// After how much silence a node is taken for gone. Of a killed one the kernel
/// tells at once; a machine that is too busy for nodes to be heard is not to be
/// mistaken for a dead one.
const DETECT: Duration = Duration::from_secs(2);

/// Plays what is about live connections. Files are made in that place.
///
/// # Errors
///
/// The first step that does not hold.
pub(crate) async fn play(steps: &mut Steps, place: &Path) -> anyhow::Result<()> {
    let stage = Stage::new()?;
    if let Some(why) = stage.play(|_| obstacle()).await? {
        return steps.skip(ROW, "live connections go on at another node", &why);
    }
    let work = async {
        let place = place.to_owned();
        let start = move |scene: &mut Option<Scene>| {
            anyhow::Ok(scene.insert(Scene::new(place)?).farm.address())
        };
        let address = stage.play(start).await??;
        Ok((address, json!({ "address": address })))
    };
    let step = "three nodes on machines of their own share an address";
    let address = steps.step(ROW, step, work).await?;

    let work = async {
        let owner = stage.on(Scene::begin).await?;
        Ok((owner, json!({ "at": Farm::name(owner), "bytes": BYTES })))
    };
    let step = format!("a client downloads through {address}");
    let owner = steps.step(ROW, &step, work).await?;

    let work = async {
        let next = stage.on(move |scene| scene.kill(owner)).await?;
        Ok((next, json!({ "address_at": Farm::name(next) })))
    };
    let step = format!("{} is killed meanwhile (SIGKILL)", Farm::name(owner));
    let next = Farm::name(steps.step(ROW, &step, work).await?);

    for (at, (kind, _)) in DOWNLOADS.into_iter().enumerate() {
        let work = async { Ok(((), stage.on(move |scene| scene.judge(at)).await?)) };
        let step = format!("{next} goes on with the same connection ({kind})");
        steps.step(ROW, &step, work).await?;
    }
    // The machines are gone before the demo says that it is over.
    stage.play(|scene| *scene = None).await
}

/// Why it cannot be shown here.
fn obstacle() -> Option<String> {
    let missing = sys::requirements::requirements();
    let missing = missing.first().map(ToString::to_string);
    missing.or_else(|| Network::new(1).err().map(|error| error.to_string()))
}

fn plain(farm: &Farm) -> Plan {
    farm.plain(Amount::Nothing, Amount::Bytes(BYTES))
}

/// What is shown.
#[derive(Debug)]
struct Scene {
    farm: Farm,
    downloads: Vec<Near>,
    /// How long each download stood still, once its node was killed.
    pauses: Vec<Duration>,
}

impl Scene {
    fn new(place: PathBuf) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program")?;
        let settings = Settings { detect: Some(DETECT), place: Some(place), ..Settings::default() };
        let mut farm = Farm::new(program, settings)?;
        farm.start()?;
        Ok(Self { farm, downloads: Vec::new(), pauses: Vec::new() })
    }

    /// Downloads begin, and another node follows; says which one has them.
    fn begin(&mut self) -> anyhow::Result<u8> {
        let plans: Vec<_> = DOWNLOADS.iter().map(|(_, plan)| plan(&self.farm)).collect();
        self.downloads = self.farm.begin(&plans)?;
        for near in &self.downloads {
            near.until(HUNG, |account| account.received >= KILLED_AFTER);
        }
        Ok(self.farm.until_owner(|_| true)?)
    }

    /// The node goes away without a word; says which one has the address then.
    fn kill(&mut self, owner: u8) -> anyhow::Result<u8> {
        let at = Instant::now();
        self.downloads.iter().for_each(|near| near.mark(at));
        self.farm.leave(owner, Exit::Process)?;
        let had: Vec<_> = self.downloads.iter().map(|near| near.account().received).collect();
        ensure!(had.iter().all(|had| had + GOING_ON < BYTES), "it was over by then: {had:?}");
        for (near, had) in self.downloads.iter().zip(had) {
            // Whether it went on is judged later.
            near.until(HUNG, |account| account.received >= had + GOING_ON);
            self.pauses.extend(near.pause());
        }
        Ok(self.farm.until_owner(|other| other != owner)?)
    }

    /// What came of a download.
    fn judge(&self, at: usize) -> anyhow::Result<Detail> {
        let near = &self.downloads[at];
        let outcome = near.outcome(&self.farm.backend);
        ensure!(outcome == Outcome::Right, "{outcome:?}");
        let account = near.account();
        let hash = account.received_hash.context("all of it has come")?;
        ensure!(account.received == BYTES, "{} bytes came", account.received);
        let pause = self.pauses.get(at).context("it was watched")?;
        Ok(json!({
            "bytes": account.received,
            "sha256": hexadecimal(&hash),
            "pause_ms": (pause.as_secs_f64() * 1e4).round() / 10.0,
        }))
    }
}

fn hexadecimal(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The thread that is on the machines: nodes end together with the thread that has
/// started them, and what is done there may take long.
#[derive(Debug)]
struct Stage(mpsc::Sender<Work>);

type Work = Box<dyn FnOnce(&mut Option<Scene>) + Send>;

impl Stage {
    fn new() -> anyhow::Result<Self> {
        let (sender, works) = mpsc::channel::<Work>();
        let run = move || {
            let mut scene = None;
            works.into_iter().for_each(|work| work(&mut scene));
        };
        thread::Builder::new().name("machines".to_owned()).spawn(run).context("a thread")?;
        Ok(Self(sender))
    }

    /// Does something there.
    async fn play<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Option<Scene>) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (done, wait) = oneshot::channel();
        let work = move |scene: &mut Option<Scene>| {
            // Who does not wait any more is being interrupted.
            let _ = done.send(work(scene));
        };
        let _ = self.0.send(Box::new(work));
        wait.await.context("the thread that is on the machines has ended")
    }

    /// Does something with what is shown.
    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Scene) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.play(|scene| work(scene.as_mut().context("the nodes have started")?)).await?
    }
}
