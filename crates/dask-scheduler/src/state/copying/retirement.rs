//! Dask's `retire_workers`: workers hand over what only they hold, and leave.
//!
//! A worker that is to leave gets no more tasks. What it was given it finishes; every result that
//! no worker has which stays is copied to one; and once nothing is left to do it is told to close.
//! If a result cannot be copied anywhere the worker goes on as before, as in Dask.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::Address;
use dask_proto::id::WorkerId;
use dask_proto::message::{Answer, RETIRED, WorkerStatus};

use super::errand::{Aim, ErrandId, Item, NotMoved, Progress};
use crate::state::SchedulerState;
use crate::state::client::request::Asked;
use crate::state::instruction::Peer;
use crate::state::table::task::Row;
use crate::state::workers::departure::Departure;

/// The workers that are to leave, and who waits for that.
#[derive(Debug, Default)]
pub(in crate::state) struct RetirementTable {
    pub(in crate::state) workers: BTreeMap<WorkerId, Retirement>,
    /// Requests, by number.
    requests: BTreeMap<u64, RetireRequest>,
    next: u64,
    /// Those that cannot be let go of, within one event.
    failed: BTreeSet<WorkerId>,
}

/// A worker that is to leave.
#[derive(Debug)]
pub(in crate::state) struct Retirement {
    pub(in crate::state) errand: ErrandId,
    /// What it is apart from that: running or paused.
    pub(in crate::state) status: WorkerStatus,
    requests: BTreeSet<u64>,
}

/// A request to retire workers.
#[derive(Debug)]
struct RetireRequest {
    asked_by: Asked,
    open: BTreeSet<WorkerId>,
    retired: Vec<Address>,
    not_moved: NotMoved,
}

impl SchedulerState {
    /// Starts to retire workers; an answer if that is refused.
    pub(in crate::state) fn retire(
        &mut self,
        asked_by: Asked,
        names: &[String],
        n: Option<u32>,
    ) -> Option<Answer> {
        let workers = match names {
            [] => self.dispensable(n),
            names => match self.workers_named(names) {
                Ok(workers) => workers,
                Err(refusal) => return Some(Answer::Refused(refusal)),
            },
        };
        if workers.is_empty() {
            return Some(Answer::Workers(Vec::new()));
        }
        let request = self.retirements.next;
        self.retirements.next += 1;
        self.retirements.requests.insert(
            request,
            RetireRequest {
                asked_by,
                open: workers.iter().copied().collect(),
                retired: Vec::new(),
                not_moved: NotMoved::default(),
            },
        );
        for worker in &workers {
            self.begin_retirement(*worker, Some(request));
        }
        None
    }

    /// Dask's `workers_to_close`: idle ones first, and of these those that hold least; all that are
    /// idle if it is not said how many.
    fn dispensable(&self, n: Option<u32>) -> Vec<WorkerId> {
        let running = self.workers.iter().filter(|(_, e)| e.status == WorkerStatus::Running);
        let mut ranked: Vec<_> = running
            .map(|(worker, entry)| (!entry.processing.is_empty(), entry.nbytes, worker))
            .collect();
        ranked.sort_unstable();
        match n {
            Some(n) => ranked.truncate(n as usize),
            None => ranked.retain(|(is_busy, ..)| !is_busy),
        }
        ranked.into_iter().map(|(.., worker)| worker).collect()
    }

    /// From now on a worker is to leave, on a request or on its own.
    pub(in crate::state) fn begin_retirement(&mut self, worker: WorkerId, request: Option<u64>) {
        if let Some(retirement) = self.retirements.workers.get_mut(&worker) {
            retirement.requests.extend(request);
            return;
        }
        let Some(entry) = self.workers.get_mut(worker) else {
            return;
        };
        let status = std::mem::replace(&mut entry.status, WorkerStatus::Retiring);
        let held: Vec<Row> = entry.has.iter().collect();
        self.rerank(worker);
        let targets = self.as_targets(self.workers.ids());
        let errand = self.errands.open(Aim::Retire { worker }, targets);
        let requests = request.into_iter().collect();
        let retirement = Retirement { errand, status, requests };
        self.retirements.workers.insert(worker, retirement);
        self.target_lost(worker);
        // Touched, each is found to be an item or not.
        for row in held {
            self.errands.touch(row);
        }
    }

    /// Something happened to a result: has it copied if only workers hold it that are to leave.
    pub(in crate::state) fn notice_retiring(&mut self, row: Row) {
        let retiring = &self.retirements.workers;
        let Some(holders) = self.tasks.get(row).and_then(|task| task.holders()) else {
            return;
        };
        if retiring.is_empty() || holders.iter().any(|holder| !retiring.contains_key(&holder)) {
            return;
        }
        // Those that failed are about to go on as before.
        let leaving = holders.iter().filter(|holder| !self.retirements.failed.contains(holder));
        let errands = leaving.filter_map(|holder| retiring.get(&holder));
        let errands: Vec<ErrandId> = errands.map(|retirement| retirement.errand).collect();
        for errand in errands {
            if self.errands.item(row, errand).is_none() {
                self.errands.add_item(errand, row, Item::default());
            }
        }
    }

    pub(in crate::state) fn pursue_retirement(
        &mut self,
        errand: ErrandId,
        row: Row,
        worker: WorkerId,
    ) -> Progress {
        let Some(holders) = self.tasks[row].holders() else {
            return Progress::Over;
        };
        let retiring = &self.retirements.workers;
        let stays = holders.iter().any(|holder| !retiring.contains_key(&holder));
        if stays || !holders.contains(worker) {
            return Progress::Over;
        }
        if self.errands.item(row, errand).is_some_and(|item| item.under_way > 0) {
            return Progress::Waiting;
        }
        if let Some(target) = self.transfers.any_target(row) {
            // Another worker that is to leave has it copied already.
            self.want_copy(row, target, errand);
            return Progress::Waiting;
        }
        if self.spread(errand, row, 1) > 0 {
            return Progress::Waiting;
        }
        // Workers that joined since are not among the targets.
        let targets = self.as_targets(self.workers.ids());
        if let Some(entry) = self.errands.entries.get_mut(&errand) {
            entry.targets = targets;
        }
        if self.spread(errand, row, 1) > 0 {
            return Progress::Waiting;
        }
        self.retirements.failed.insert(worker);
        Progress::Failed
    }

    /// A worker that is to leave finished a task.
    pub(in crate::state) fn call_retirement(&mut self, worker: WorkerId) {
        if let Some(retirement) = self.retirements.workers.get(&worker) {
            self.errands.call(retirement.errand);
        }
    }

    /// Nothing is left to hand over: lets the worker go, unless it still has tasks.
    pub(in crate::state) fn finish_retirement(&mut self, worker: WorkerId) {
        let Some(entry) = self.workers.get(worker) else {
            return;
        };
        if !entry.processing.is_empty() || self.retirements.failed.contains(&worker) {
            return;
        }
        let address = entry.join.address.clone();
        let reason = RETIRED.to_owned();
        let Some(retirement) = self.retirements.workers.get(&worker) else {
            return;
        };
        for request in &retirement.requests {
            if let Some(request) = self.retirements.requests.get_mut(request) {
                request.retired.push(address.clone());
            }
        }
        self.remove_worker(worker, Departure::Explained);
        self.out.disconnect(Peer::Worker(worker), reason);
    }

    /// Those that hold what cannot be copied anywhere go on as before. All at once, and after
    /// everything else: none of them becomes the target of another.
    pub(in crate::state) fn give_up_retirements(&mut self) {
        let failed = std::mem::take(&mut self.retirements.failed);
        let stranded: Vec<NotMoved> = failed.iter().map(|w| self.held_by_it_alone(*w)).collect();
        for (worker, not_moved) in failed.iter().zip(stranded) {
            let errand = self.retirements.workers.get(worker).map(|r| r.errand);
            if let Some(entry) = errand.and_then(|e| self.errands.entries.get_mut(&e)) {
                entry.not_moved = not_moved;
            }
            let Some(status) = self.end_retirement(*worker) else {
                continue;
            };
            if let Some(entry) = self.workers.get_mut(*worker) {
                entry.status = status;
                let program = entry.join.program;
                self.rerank(*worker);
                self.program_runs(program, *worker);
            }
        }
        if !failed.is_empty() {
            self.rejudge_no_worker();
        }
    }

    /// What nobody would have who stays, if a worker left.
    fn held_by_it_alone(&self, worker: WorkerId) -> NotMoved {
        let mut alone = NotMoved::default();
        for row in self.workers.get(worker).into_iter().flat_map(|entry| entry.has.iter()) {
            let mut holders = self.tasks[row].holders().into_iter().flat_map(|h| h.iter());
            if holders.all(|holder| self.retirements.workers.contains_key(&holder)) {
                alone.note(&self.tasks[row].key);
            }
        }
        alone
    }

    /// A worker is not to leave any more, or left: tells those who wait for it. What it was apart
    /// from that.
    pub(in crate::state) fn end_retirement(&mut self, worker: WorkerId) -> Option<WorkerStatus> {
        let retirement = self.retirements.workers.remove(&worker)?;
        self.retirements.failed.remove(&worker);
        let errand = self.abandon_errand(retirement.errand);
        let not_moved = errand.map(|errand| errand.not_moved).unwrap_or_default();
        for id in retirement.requests {
            let Some(request) = self.retirements.requests.get_mut(&id) else {
                continue;
            };
            request.open.remove(&worker);
            request.not_moved.add(not_moved.clone());
            if request.open.is_empty()
                && let Some(request) = self.retirements.requests.remove(&id)
            {
                self.answer_retirement(request);
            }
        }
        Some(retirement.status)
    }

    /// Says which workers were retired; why none was, if none was.
    fn answer_retirement(&mut self, request: RetireRequest) {
        let refusal = request.not_moved.refusal().filter(|_| request.retired.is_empty());
        let answer = refusal.map_or(Answer::Workers(request.retired), Answer::Refused);
        self.answer(request.asked_by, answer);
    }

    /// Nobody waits for these answers any more; the workers leave all the same.
    pub(in crate::state) fn forget_retire_requests(&mut self, is_gone: impl Fn(Asked) -> bool) {
        self.retirements.requests.retain(|_, request| !is_gone(request.asked_by));
    }

    /// Whether requests name workers that are to leave, and those name them, for a check.
    pub(in crate::state) fn retirements_are_mutual(&self) -> bool {
        let table = &self.retirements;
        table.failed.is_empty()
            && table.requests.iter().all(|(id, request)| {
                let mut open = request.open.iter();
                !request.open.is_empty()
                    && self.clients.contains_key(&request.asked_by.0)
                    && open.all(|w| table.workers.get(w).is_some_and(|r| r.requests.contains(id)))
            })
    }
}
