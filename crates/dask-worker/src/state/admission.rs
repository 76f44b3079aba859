//! What starts now, and what goes to disk to make room for it.

use dask_proto::id::TaskId;
use dask_proto::message::WorkerToScheduler;

use super::WorkerState;
use super::instruction::{Instruction, Instructions};
use super::memory::UnderWay;
use super::transition::Next;

impl WorkerState {
    /// Starts what may start, at the end of every event.
    pub(super) fn start(&mut self, out: &mut Instructions) {
        self.memory.reconsider(self.now);
        let waits_for_memory = self.readmit(out) && !self.start_ready(out);
        // A task that waits for memory is not kept waiting by what is fetched for others.
        if !waits_for_memory {
            self.start_fetches(out);
        }
        self.spill(out);
        let under_way = self.under_way();
        self.memory.schedule_measure(self.now, under_way);
    }

    /// The memory of the process was measured.
    pub(super) fn measured(&mut self, resident: u64, out: &mut Instructions) {
        let under_way = self.under_way();
        if let Some(status) = self.memory.measured(resident, under_way) {
            out.tell(WorkerToScheduler::Status(status));
        }
        if self.memory.is_trim_due(self.now) {
            out.act(Instruction::Trim);
        }
    }

    /// A result cannot be read back from disk.
    pub(super) fn lost(&mut self, task: TaskId, out: &mut Instructions) {
        if self.stage(task) == super::Stage::Memory {
            out.tell(WorkerToScheduler::Lost { tasks: vec![task] });
            self.work.push_back((task, Next::Released));
        }
    }

    pub(super) fn under_way(&self) -> UnderWay {
        let is_idle = self.resources.handed() == 0 && self.gather.flights().is_empty();
        UnderWay { flying: self.gather.flying(), is_idle }
    }

    /// Starts tasks; `false` when one waits for memory.
    fn start_ready(&mut self, out: &mut Instructions) -> bool {
        while let Some(task) = self.resources.first() {
            let entry = self.tasks.get(&task);
            let compute = entry.and_then(|entry| entry.state.compute());
            let cost = compute.map_or(0, |compute| self.resources.cost(compute.function));
            if !self.resources.has_room(cost) {
                return true;
            }
            if let Some(compute) = compute.filter(|_| self.memory.is_limited()) {
                let need = self.memory.need(compute);
                let under_way = self.under_way();
                if !self.memory.admits(need, under_way, self.now) {
                    self.memory.wait(compute);
                    return false;
                }
            }
            self.work.push_back((task, Next::Executing));
            self.run_transitions(out);
        }
        true
    }

    fn start_fetches(&mut self, out: &mut Instructions) {
        loop {
            let size = |task| self.tasks.get(&task).map_or(0, |entry| entry.nbytes);
            let under_way = self.under_way();
            let room = self.memory.room(under_way.flying);
            let Some(plan) = self.gather.pick(room, size) else {
                return;
            };
            if !self.memory.admits(plan.bytes, under_way, self.now) {
                return;
            }
            self.memory.departed();
            let (flight, address) = self.gather.depart(self.now, &plan);
            let tasks = plan.tasks;
            for &task in &tasks {
                self.work.push_back((task, Next::Flight(flight)));
            }
            out.act(Instruction::Fetch { flight, address, tasks });
            self.run_transitions(out);
        }
    }

    fn spill(&mut self, out: &mut Instructions) {
        let flying = self.gather.flying();
        while let Some(task) = self.memory.next_spill(self.now, flying) {
            out.act(Instruction::Spill { task });
        }
    }
}
