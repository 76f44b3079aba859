//! The threads of a worker, and what it does with the instructions of its state.

use dask_proto::id::RunId;
use dask_proto::limits::INLINE_RESULT_BYTES;
use dask_proto::message::Compute;
use dask_proto::{TaskError, TaskErrorKind};
use dask_worker::state::{Instruction, Outcome, RunEnded};

use crate::book::{self, Mishap};
use crate::call::{Caller, Question};
use crate::link::Up;
use crate::process::{Job, News, Process, RunKey, payload, value_of};
use crate::sim::{Happening, PeerId, Sim};

impl Sim {
    /// Carries out all that a worker's state asked for.
    pub(crate) fn carry_out(&mut self, peer: PeerId, process: &mut Process) {
        for instruction in process.pending.drain() {
            self.note(|| format!("{peer} shall {instruction:?}"));
            match instruction {
                Instruction::Store { task, value } => {
                    process.store.insert(task, value_of(&value));
                }
                Instruction::Drop { task } => {
                    process.store.remove(&task);
                    process.disk.remove(task);
                }
                Instruction::Spill { task } => self.write_to_disk(peer, process, task),
                Instruction::Trim => {}
                Instruction::Execute(compute) => self.queue_job(peer, process, &compute),
                Instruction::Cancel { task, run } => {
                    if let Some(cancelled) = process.running.get_mut(&(task, run)) {
                        *cancelled = true;
                    }
                    self.stop_waiting(peer, process, (task, run));
                }
                Instruction::Rejoin { task, run } => {
                    assert!(process.seceded.remove(&(task, run)), "{peer} has it in its pool");
                    process.idle = process.idle.checked_sub(1).expect("a thread is free for it");
                    self.stop_waiting(peer, process, (task, run));
                }
                Instruction::Fetch { flight, address, tasks } => {
                    let caller = Caller::Worker(peer, flight);
                    self.call(caller, &address, Question::Get(tasks));
                }
                Instruction::Disconnect { address } => self.hang_up(peer, &address),
                Instruction::ToScheduler(messages) => self.send_up(peer, Up::Worker(messages)),
                Instruction::Stored { put } => {
                    if let Some(call) = process.puts.remove(&put) {
                        self.reply_stored(call);
                    }
                }
                Instruction::Close { .. } => process.has_ended |= !process.is_lost,
                _ => panic!("the simulation does not know {instruction:?}"),
            }
        }
    }

    fn queue_job(&mut self, peer: PeerId, process: &mut Process, compute: &Compute) {
        let job = process.job(compute);
        let spec = &self.book.specs[job.page];
        assert_eq!(spec.key, compute.key, "a task has the body of another");
        let defined = process.functions.get(&compute.function);
        let expected = book::function(spec.function);
        assert_eq!(defined, Some(&expected), "{peer} calls something else");
        self.restrictions_are_kept(job.page, process.slot);
        let run = (compute.task, compute.run);
        process.running.insert(run, false);
        let place = (compute.priority, compute.task, compute.run);
        process.queue.insert(place, job);
    }

    /// Threads that are idle take what is most urgent.
    pub(crate) fn start_jobs(&mut self, peer: PeerId) {
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        let mut started = Vec::new();
        while process.idle > 0 {
            let Some(((_, task, run), job)) = process.queue.pop_first() else {
                break;
            };
            process.idle -= 1;
            started.push(((task, run), job.page));
            process.active.insert((task, run), job);
        }
        for (run, page) in started {
            self.start_run(peer, run, page);
        }
    }

    fn start_run(&mut self, peer: PeerId, run: RunKey, page: usize) {
        let spec = &self.book.specs[page];
        let (mishap, duration) = (spec.mishap, spec.duration);
        // Sometimes a machine is busy with something else.
        let stretch = if self.dice.chance(5) { 10 } else { 1 };
        let over = self.now + duration * stretch;
        if mishap == Mishap::Secedes {
            let at = self.now + duration * stretch / 2;
            self.schedule(at, Happening::Secede(peer, run));
            if self.dice.chance(50) {
                let at = self.now + duration * stretch * 3 / 4;
                self.schedule(at, Happening::Rejoin(peer, run));
            }
        }
        self.schedule(over, Happening::RunOver(peer, run));
    }

    /// A task leaves its thread to others and goes on.
    pub(crate) fn secede(&mut self, peer: PeerId, run: RunKey) {
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        if process.active.contains_key(&run) && process.seceded.insert(run) {
            process.idle += 1;
            self.tell_process(peer, News::Seceded(run));
            self.start_jobs(peer);
        }
    }

    /// A task outside of the pool waits to come back.
    pub(crate) fn rejoin(&mut self, peer: PeerId, run: RunKey) {
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        let is_wanted = process.running.get(&run) == Some(&false);
        if process.seceded.contains(&run) && is_wanted && !process.is_frozen {
            process.returning.insert(run, false);
            self.tell_process(peer, News::Rejoining(run));
        }
    }

    /// It is back, or was cancelled: if it was to have ended meanwhile, it does now.
    fn stop_waiting(&mut self, peer: PeerId, process: &mut Process, run: RunKey) {
        if process.returning.remove(&run) == Some(true) {
            self.schedule(self.now, Happening::RunOver(peer, run));
        }
    }

    /// A run has come to its end.
    pub(crate) fn run_over(&mut self, peer: PeerId, run: RunKey) {
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        if process.is_frozen {
            process.late_runs.push(run);
            return;
        }
        if let Some(is_overdue) = process.returning.get_mut(&run) {
            *is_overdue = true;
            return;
        }
        let Some(job) = process.active.remove(&run) else {
            return;
        };
        if !process.seceded.remove(&run) {
            process.idle += 1;
        }
        let is_cancelled = process.running.get(&run).copied().unwrap_or(true);
        let mishap = self.book.specs[job.page].mishap;
        match mishap {
            // What it said before still arrives, as from the buffers of its system.
            Mishap::Kills if !is_cancelled => return self.end_process(peer),
            Mishap::Dies if !is_cancelled => {
                self.killers.insert(job.page);
                return self.die(peer, run);
            }
            _ => {}
        }
        let lost = self.read_inputs(peer, &job.on_disk);
        // One that was cancelled was not begun, or goes on without noticing.
        let outcome = if is_cancelled && self.dice.chance(50) {
            Outcome::Skipped
        } else if !lost.is_empty() {
            Outcome::InputsLost(lost)
        } else if self.dice.chance(1) {
            Outcome::Rescheduled
        } else {
            self.outcome(&job, run.1)
        };
        let duration = self.book.specs[job.page].duration.as_nanos();
        let ended = RunEnded {
            task: run.0,
            run: run.1,
            duration_ns: u64::try_from(duration).unwrap_or(u64::MAX).max(1),
            outcome,
        };
        if !is_cancelled && matches!(ended.outcome, Outcome::Done { .. }) {
            self.ledger.completed(peer, run);
        }
        if let Some(process) = self.processes.get_mut(&peer) {
            process.ended.push(ended);
        }
        self.start_jobs(peer);
        self.wake_soon(peer);
    }

    fn outcome(&mut self, job: &Job, run: RunId) -> Outcome {
        let spec = &mut self.book.specs[job.page];
        let fails = match spec.mishap {
            Mishap::AlwaysFails => true,
            Mishap::Fails(0) => false,
            Mishap::Fails(n) => {
                spec.mishap = Mishap::Fails(n - 1);
                true
            }
            _ => false,
        };
        if fails {
            self.failed.insert(job.page);
            let message = format!("{run} failed");
            let error = TaskError::new(TaskErrorKind::Returned, spec.key.clone(), message);
            return Outcome::Failed(Box::new(error));
        }
        let inputs = job
            .inputs
            .iter()
            .map(|input| input.unwrap_or_else(|| panic!("{} ran without a dependency", spec.key)));
        let value = book::value(spec.content, inputs);
        assert_eq!(
            value,
            self.book.value(job.page),
            "task {} came to another value",
            self.book.specs[job.page].key
        );
        let nbytes = self.book.specs[job.page].nbytes;
        Outcome::Done {
            value: payload(value),
            nbytes,
            inline: (nbytes <= INLINE_RESULT_BYTES).then(|| payload(value)),
        }
    }
}
