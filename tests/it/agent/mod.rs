//! Programs that travel: host agents that know no user code, and clients that bring theirs. All
//! are processes of their own.

mod fault;
mod raw;
mod token;
mod travel;

use std::path::{Path, PathBuf};

use dask_client::Client;

use crate::child::{FIXTURE, Program};

/// A scheduler that stops no program, and an agent that has joined it.
struct Site {
    alice: Program,
    _scheduler: Program,
    address: String,
    place: Place,
}

impl Site {
    /// With these options of the agent.
    async fn start(options: &[&str]) -> Self {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        let alice = place.agent(&address, "alice", options).await;
        Self { alice, _scheduler, address, place }
    }

    /// With an agent that runs one build and no other, and the file of that.
    async fn installed() -> (Self, PathBuf) {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        let installed = place.build(1);
        let has = format!("has={}", installed.display());
        let alice = place.agent(&address, "alice", &["no-code", &has]).await;
        (Self { alice, _scheduler, address, place }, installed)
    }

    /// A client of the fixture that has connected.
    async fn client(&self) -> Program {
        fixture_at(&self.address).await
    }
}

/// Directories of a test, gone with it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The cache of the agent with this name.
    fn cache(&self, agent: &str) -> PathBuf {
        self.0.path().join(format!("cache-{agent}"))
    }

    /// Another build of the fixture: the same functions, in another file.
    fn build(&self, number: u8) -> PathBuf {
        let path = self.0.path().join(format!("build-{number}"));
        let mut bytes = std::fs::read(FIXTURE).unwrap();
        // Behind its end, where nobody looks.
        bytes.push(number);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::metadata(FIXTURE).unwrap().permissions()).unwrap();
        path
    }

    /// An agent that has joined.
    async fn agent(&self, scheduler: &str, name: &str, options: &[&str]) -> Program {
        let cache = self.cache(name);
        let arguments = [&["agent", scheduler, name, cache.to_str().unwrap()], options].concat();
        let mut agent = Program::start(&arguments, &[]);
        agent.says("Agent at: ").await;
        agent
    }

    /// What lies in the cache of an agent.
    fn cached(&self, agent: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.cache(agent)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        // What agents lock is no program.
        names.filter(|name| name != ".lock").collect()
    }
}

/// The start of the SHA-256 of a program.
fn short(path: &Path) -> String {
    dask_program::identify(path).unwrap().0.short()
}

/// A client of this program that has connected.
async fn traveller(program: &Path, scheduler: &str) -> Program {
    let mut traveller = Program::of(program, &["traveller", scheduler]);
    traveller.says("connected").await;
    traveller
}

/// A client of the fixture that has connected.
async fn fixture_at(scheduler: &str) -> Program {
    traveller(Path::new(FIXTURE), scheduler).await
}

/// A scheduler that stops programs soon, and its address.
async fn scheduler(grace_ms: u32) -> (Program, String) {
    let arguments = ["scheduler-at", "tcp://127.0.0.1:0", &grace_ms.to_string()];
    let mut scheduler = Program::start(&arguments, &[]);
    let address = scheduler.says("Scheduler at: ").await;
    (scheduler, address)
}

/// A client that only looks.
async fn observe(scheduler: &str) -> Client {
    let builder = Client::builder().address(scheduler).set_as_default(false).send_program(false);
    builder.connect().await.unwrap()
}

/// Long enough that no program is stopped.
const LONG: u32 = 60_000;
