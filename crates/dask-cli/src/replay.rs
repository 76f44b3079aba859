use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use dask_scheduler::record::{Difference, Ending, Recorded, Recording, Replay};
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::Error;

/// Events between two looks at the progress bar.
const REPORT_EVERY: u64 = 1024;

/// Replays what `dask scheduler --record FILE` recorded, and says whether the same follows.
///
/// The state of a scheduler is a function of its events, so a defect that was recorded happens
/// again here. What was wrong is said with exit code 1: another instruction than was recorded, an
/// invariant that does not hold, a panic, a damaged file. A file whose end is missing is replayed
/// as far as it goes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The recording.
    file: PathBuf,
    /// Stop after so many events.
    #[arg(long, value_name = "EVENTS")]
    until: Option<u64>,
    /// Say at the end why the task with this key is where it is.
    #[arg(long, value_name = "KEY")]
    explain: Vec<String>,
    /// Say at the end what happened to the task with this key.
    #[arg(long, value_name = "KEY")]
    story: Vec<String>,
    /// Check all invariants of the state after each event, which is slow with many tasks.
    #[arg(long)]
    validate: bool,
}

/// `dask replay`.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let mut recording = Recording::open(&args.file)?;
    let mut replay = Replay::new(recording.header());
    let bar = progress(recording.byte_len());
    let ended = replay_all(args, &mut recording, &mut replay, &bar);
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    summarize(&mut out, &recording, &replay, args).map_err(Error::Output)?;
    match ended? {
        Some(difference) => {
            write!(out, "\n{difference}").map_err(Error::Output)?;
            Err(Error::Difference { number: difference.number })
        }
        None => writeln!(out, "same instructions").map_err(Error::Output),
    }
}

/// Replays until the end, or as far as asked for, or to the first difference, which it returns.
fn replay_all(
    args: &Args,
    recording: &mut Recording,
    replay: &mut Replay,
    bar: &ProgressBar,
) -> Result<Option<Box<Difference>>, Error> {
    while args.until.is_none_or(|until| replay.events() < until) {
        let Some(recorded) = recording.read()? else {
            break;
        };
        if let Err(difference) = step(replay, recorded)? {
            return Ok(Some(difference));
        }
        if args.validate {
            let number = replay.events();
            let checked = replay.state().check_invariants();
            checked.map_err(|source| Error::Invariant { number, source })?;
        }
        if replay.events().is_multiple_of(REPORT_EVERY) {
            bar.set_position(recording.position());
        }
    }
    Ok(None)
}

/// One event. What panics in the state is what one looks for: its number is said.
fn step(replay: &mut Replay, recorded: Recorded) -> Result<Result<(), Box<Difference>>, Error> {
    let number = replay.events() + 1;
    // After a panic the state is only asked for its stories.
    let stepped = catch_unwind(AssertUnwindSafe(|| replay.step(recorded)));
    stepped.map_err(|_| Error::Panic { number })
}

fn summarize(
    out: &mut impl Write,
    recording: &Recording,
    replay: &Replay,
    args: &Args,
) -> std::io::Result<()> {
    for key in &args.explain {
        writeln!(out, "{key}, explained:")?;
        for line in replay.state().explain(key) {
            writeln!(out, "  {line}")?;
        }
    }
    for key in &args.story {
        let story = replay.state().story(key);
        let nothing = if story.is_empty() { " nothing is remembered" } else { "" };
        writeln!(out, "The story of {key}:{nothing}")?;
        for line in story {
            writeln!(out, "  {line}")?;
        }
    }
    let (events, tasks) = (replay.events(), replay.state().submitted());
    let seconds = replay.span().as_secs_f64();
    writeln!(out, "events: {events}, submitted tasks: {tasks}, time span: {seconds:.3} s")?;
    match recording.ending() {
        Some(Ending::Finished) | None => Ok(()),
        Some(ending) => writeln!(out, "not the whole recording: {ending}"),
    }
}

/// A bar on a terminal, for what takes a while.
fn progress(bytes: u64) -> ProgressBar {
    let template = "{bar:40} {bytes}/{total_bytes} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| {
        // Without its template it still moves.
        ProgressStyle::default_bar()
    });
    let bar = ProgressBar::new(bytes).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
