//! Ours and the limit, in turn.

use std::process::Command;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Plan;
use super::report::{Line, Machine, Series};
use super::subject::{Figures, Interrupt, Subject};
use super::workload::{NULL, Row, Size, State, WORKLOADS, Workload};
use crate::build::{self, Executables, Profile};
use crate::error::{Error, Result};

/// How much is asked for, of programs built how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Full,
    Quick,
}

impl Scale {
    fn profile(self) -> Profile {
        match self {
            Scale::Full => Profile::ReleaseLto,
            Scale::Quick => Profile::Debug,
        }
    }

    fn of(self, size: Size) -> u64 {
        match self {
            Scale::Full => size.full,
            Scale::Quick => size.quick,
        }
    }
}

/// Measures what the plan says and prints the table.
pub(super) fn run(plan: &Plan, scale: Scale) -> Result<()> {
    let chosen = chosen(&plan.only)?;
    let programs = build::benchmarks(scale.profile())?;
    let interrupt = Interrupt::listen()?;
    let machine = Machine::look();
    let progress = progress(chosen.len() * usize::from(plan.repeat));
    let (lines, ended) = each(chosen, &progress, |workload| {
        let mut turns = Turns { workload, scale, programs: &programs, interrupt: &interrupt };
        turns.run(plan.repeat, &progress)
    });
    if scale == Scale::Quick {
        ended?;
        println!("Every benchmark works: {} workloads, too small for figures.", lines.len());
        return Ok(());
    }
    println!("{machine}\n\n{}", super::report::against_limit(&lines));
    machine.write(plan.json.as_deref(), &lines)?;
    ended
}

/// Measures one workload after the other and says each figure as soon as it is there.
///
/// What was measured before an error, such as Ctrl-C, is not lost.
pub(super) fn each(
    chosen: Vec<&'static Workload>,
    progress: &ProgressBar,
    mut run: impl FnMut(&'static Workload) -> Result<Vec<Line>>,
) -> (Vec<Line>, Result<()>) {
    let mut lines = Vec::new();
    let mut measure = |workload| {
        let measured = run(workload)?;
        progress.suspend(|| measured.iter().for_each(|line| eprintln!("{line}")));
        lines.extend(measured);
        Ok(())
    };
    let ended = chosen.into_iter().try_for_each(&mut measure);
    progress.finish_and_clear();
    (lines, ended)
}

/// The workloads that were asked for by part of their names; all without any.
pub(super) fn chosen(only: &[String]) -> Result<Vec<&'static Workload>> {
    let is_meant =
        |workload: &&Workload| only.is_empty() || only.iter().any(|n| workload.name.contains(n));
    let chosen: Vec<&Workload> = WORKLOADS.iter().filter(is_meant).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        return Err(Error::NoWorkload { names: names.join(", ") });
    }
    Ok(chosen)
}

/// A bar on the terminal; nothing where there is none.
pub(super) fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed:>4} [{bar:30}] {pos}/{len} {msg}");
    let style = style.expect("the template is a constant that was tried");
    ProgressBar::new(steps as u64).with_style(style.progress_chars("=> "))
}

/// One workload, ours and its limit.
struct Turns<'a> {
    workload: &'static Workload,
    scale: Scale,
    programs: &'a Executables,
    interrupt: &'a Interrupt,
}

impl Turns<'_> {
    fn run(&mut self, repeat: u16, progress: &ProgressBar) -> Result<Vec<Line>> {
        let workload = self.workload;
        let size = self.scale.of(workload.size);
        let mut ours = Asked::new(workload.state);
        let mut limit = Asked::new(workload.state);
        for _ in 0..repeat {
            progress.set_message(workload.name);
            ours.ask(workload.ask, size, || self.start(workload.program.executable()))?;
            if let Some(question) = &workload.limit {
                let size = self.scale.of(question.size);
                limit.ask(question.ask, size, || self.start(NULL))?;
            }
            progress.inc(1);
        }
        workload.rows.iter().map(|row| self.line(row, &ours, &limit)).collect()
    }

    fn line(&self, row: &'static Row, ours: &Asked, limit: &Asked) -> Result<Line> {
        let size = self.scale.of(self.workload.size);
        let mut series = vec![Series::new("ours", size, ours.series(row.figure)?)];
        if let (Some((figure, name)), Some(question)) = (row.limit, &self.workload.limit) {
            let size = self.scale.of(question.size);
            series.push(Series::new(name, size, limit.series(figure)?));
        }
        Ok(Line { workload: self.workload, row, series })
    }

    fn start(&self, executable: &str) -> Result<Subject> {
        Subject::start(&mut Command::new(self.programs.get(executable)?), self.interrupt)
    }
}

/// The part of the work that is done ahead of each measurement. While others had their turn, the
/// caches became theirs, and the system may have taken away what it took to be idle memory: that
/// would show where the work is done in a twentieth of a second.
const WARM_UP: u64 = 8;

/// Whoever is done with that so soon does all of the work ahead of it, for it is that short work
/// that shows where its memory comes from; a run of seconds does not.
const SOON: Duration = Duration::from_millis(250);

/// A program that is asked several times, and what it answered.
pub(super) struct Asked {
    state: State,
    subject: Option<Subject>,
    answers: Vec<Figures>,
}

impl Asked {
    pub(super) fn new(state: State) -> Asked {
        Asked { state, subject: None, answers: Vec::new() }
    }

    /// Asks the program, which is started at first, or each time where its state shall be fresh.
    /// Until it is asked again it is stopped; so it is asked for less first, which does not count.
    pub(super) fn ask(
        &mut self,
        ask: &str,
        size: u64,
        start: impl FnOnce() -> Result<Subject>,
    ) -> Result<()> {
        let subject = match &mut self.subject {
            Some(subject) => subject,
            none => none.insert(start()?),
        };
        if self.state == State::Kept {
            let start = Instant::now();
            subject.ask(ask, (size / WARM_UP).max(1))?;
            if start.elapsed() < SOON {
                subject.ask(ask, size)?;
            }
        }
        self.answers.push(subject.ask(ask, size)?);
        match self.state {
            State::Fresh => self.subject = None,
            State::Kept => subject.pause(),
        }
        Ok(())
    }

    /// One figure of each answer.
    pub(super) fn series(&self, figure: &'static str) -> Result<Vec<f64>> {
        let figures = self.answers.iter().map(|answer| answer.get(figure).copied());
        figures.collect::<Option<_>>().ok_or(Error::NoFigure { figure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_chosen_by_a_part_of_their_names() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            chosen(&only).unwrap().iter().map(|workload| workload.name).collect()
        };
        assert_eq!(names(&["map"]), ["map-100k", "map-1m", "map-growth"]);
        assert_eq!(names(&["tree", "chain"]), ["tree", "chain"]);
        assert_eq!(names(&[]).len(), WORKLOADS.len());
    }

    #[test]
    fn a_name_that_fits_nothing_gets_the_list() {
        let error = chosen(&["?".to_owned()]).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("map-1m, map-growth, tree")));
    }
}
