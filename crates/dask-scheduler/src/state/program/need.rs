use dask_proto::message::SchedulerToAgent;
use dask_proto::program::ProgramId;

use crate::state::SchedulerState;

impl SchedulerState {
    /// Stops the programs that have had no client for a while and that nobody needs.
    pub(in crate::state) fn stop_unneeded_programs(&mut self) {
        while let Some((at, program)) = self.programs.looks.first().copied() {
            if at > self.now {
                return;
            }
            self.programs.looks.remove(&(at, program));
            let has_clients = |entry: &super::ProgramEntry| !entry.clients.is_empty();
            if self.programs.programs.get(&program).is_none_or(has_clients) {
                continue;
            }
            let again = self.now + self.config.program_grace;
            if again > self.now && self.is_needed(program) {
                self.programs.looks.insert((again, program));
            } else {
                self.stop_program(program);
            }
        }
    }

    /// Whether results or tasks are wanted that only workers of a program have or can compute. One
    /// look at all tasks, at most once in a while.
    fn is_needed(&self, program: ProgramId) -> bool {
        let Some(entry) = self.programs.programs.get(&program) else {
            return false;
        };
        let mut workers = entry.workers.iter().filter_map(|worker| self.workers.get(*worker));
        let is_busy = workers.any(|worker| !worker.has.is_empty() || !worker.processing.is_empty());
        is_busy
            || self.tasks.iter().any(|(_, task)| {
                let function = task.function();
                function.is_some_and(|f| self.functions.get(f).program == Some(program))
            })
    }

    fn stop_program(&mut self, program: ProgramId) {
        let Some(entry) = self.programs.programs.remove(&program) else {
            return;
        };
        for agent in entry.copies.into_keys() {
            self.out.tell_agent(agent, SchedulerToAgent::Stop { program });
        }
    }
}
