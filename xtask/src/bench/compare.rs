//! Ours and other systems, in turn.

use std::process::Command;

use super::Plan;
use super::measure::{Asked, chosen, each, progress};
use super::peer::Venv;
use super::report::{Line, Machine, Series, against_peers};
use super::subject::{Interrupt, Subject};
use super::workload::Workload;
use crate::build::{self, Executables, Profile};
use crate::error::Result;

/// The version of Dask that we compare with.
const DISTRIBUTED: &str = "2026.8.0";
/// The version of Ray that we compare with.
const RAY: &str = "2.49.2";
/// Lets Dask's scheduler send every task that can run to its workers.
const SATURATION_INF: [(&str, &str); 1] =
    [("DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION", "inf")];

/// Runs the same workloads through Dask, in turn with ours, and prints the ratios.
///
/// Makes a Python environment under target/bench-venv and installs `distributed` in it (once, from
/// PyPI). Dask runs as ours does: scheduler, client and two workers of one thread, processes of
/// their own over TCP on the loopback interface. It runs twice, with its default settings and with
/// worker-saturation inf; the ratio is to the better of the two.
///
/// Where Dask would take more than half a minute it is asked for less; the column "size" says how
/// much. Rates are comparable all the same. Ours and the others warm up with an eighth of the work
/// ahead of each run, and who is done with that in a quarter of a second with all of it, which does
/// not count, but where processes are new. One repetition takes about five minutes.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    plan: Plan,
    /// Runs Ray too, where it has the workload.
    #[arg(long)]
    ray: bool,
}

/// `cargo xtask bench compare`.
pub(super) fn run(args: &Args) -> Result<()> {
    let plan = &args.plan;
    let mut chosen = chosen(&plan.only)?;
    chosen.retain(|workload| workload.size.peer.is_some());
    let programs = build::benchmarks(Profile::ReleaseLto)?;
    let venv = Venv::open()?;
    let mut machine = Machine::look();
    let peers = Peer::all(args, &venv, &mut machine)?;
    let interrupt = Interrupt::listen()?;
    let rounds = Rounds { programs: &programs, venv: &venv, peers: &peers, interrupt: &interrupt };
    let progress = progress(chosen.len() * usize::from(plan.repeat) * (1 + peers.len()));
    let (lines, ended) = each(chosen, &progress, |workload| {
        rounds.run(workload, plan.repeat, |who| {
            progress.set_message(format!("{}: {who}", workload.name));
            progress.inc(1);
        })
    });
    println!("{machine}\n\n{}", against_peers(&lines));
    machine.write(plan.json.as_deref(), &lines)?;
    ended
}

/// Another system with its settings.
struct Peer {
    name: &'static str,
    file: &'static str,
    environment: &'static [(&'static str, &'static str)],
    /// The workloads that it has; all where none is named.
    knows: &'static [&'static str],
}

impl Peer {
    fn all(args: &Args, venv: &Venv, machine: &mut Machine) -> Result<Vec<Peer>> {
        machine.peers.push(venv.install("distributed", DISTRIBUTED)?);
        let dask = |name, environment| Peer { name, file: "dask_peer.py", environment, knows: &[] };
        let mut peers = vec![dask("Dask", &[]), dask("Dask, saturation inf", &SATURATION_INF)];
        if args.ray {
            machine.peers.push(venv.install("ray", RAY)?);
            let knows = &["map", "tree", "chain", "many-to-one", "one-to-many", "round-trip"];
            peers.push(Peer { name: "Ray", file: "ray_peer.py", environment: &[], knows });
        }
        Ok(peers)
    }

    fn knows(&self, workload: &Workload) -> bool {
        self.knows.is_empty() || self.knows.contains(&workload.ask)
    }
}

struct Rounds<'a> {
    programs: &'a Executables,
    venv: &'a Venv,
    peers: &'a [Peer],
    interrupt: &'a Interrupt,
}

impl Rounds<'_> {
    /// Each in turn, as often as it is to be repeated; whoever waits for its turn is stopped.
    fn run(
        &self,
        workload: &'static Workload,
        repeat: u16,
        mut begin: impl FnMut(&str),
    ) -> Result<Vec<Line>> {
        let (size, peer_size) = (workload.size.full, workload.size.peer.unwrap_or_default());
        let mut ours = Asked::new(workload.state);
        let known = self.peers.iter().filter(|peer| peer.knows(workload));
        let mut peers: Vec<_> = known.map(|peer| (peer, Asked::new(workload.state))).collect();
        for _ in 0..repeat {
            begin("ours");
            ours.ask(workload.ask, size, || {
                let program = self.programs.get(workload.program.executable())?;
                Subject::start(&mut Command::new(program), self.interrupt)
            })?;
            for (peer, asked) in &mut peers {
                begin(peer.name);
                asked.ask(workload.ask, peer_size, || self.start(peer))?;
            }
        }
        let line = |row: &'static super::workload::Row| {
            let mut series = vec![Series::new("ours", size, ours.series(row.figure)?)];
            for (peer, asked) in &peers {
                series.push(Series::new(peer.name, peer_size, asked.series(row.figure)?));
            }
            Ok(Line { workload, row, series })
        };
        let mut figures: Vec<&str> = Vec::new();
        let rows = workload.rows.iter().filter(|row| {
            let is_new = !figures.contains(&row.figure);
            figures.push(row.figure);
            is_new
        });
        rows.map(line).collect()
    }

    fn start(&self, peer: &Peer) -> Result<Subject> {
        let mut command = self.venv.program(peer.file)?;
        Subject::start(command.envs(peer.environment.iter().copied()), self.interrupt)
    }
}
