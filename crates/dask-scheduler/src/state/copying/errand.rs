//! What clients and workers ask for that has results copied: replicating, rebalancing, retiring.
//!
//! An [`Errand`] has an item for every result that is not yet where it shall be. Whatever happens
//! to a result *touches* it, and when the event is settled the items of touched results are looked
//! at anew: what is to be done follows from how things are then, not from what happened. An
//! errand without items is over.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::Key;
use dask_proto::id::WorkerId;
use dask_proto::map::SmallSet;
use dask_proto::message::{Answer, Refusal, WorkerStatus};

use crate::state::SchedulerState;
use crate::state::client::request::Asked;
use crate::state::table::task::{Row, TaskState};

/// An errand, for as long as it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::state) struct ErrandId(u64);

/// Something that has results copied.
#[derive(Debug)]
pub(in crate::state) struct Errand {
    pub(in crate::state) aim: Aim,
    pub(in crate::state) items: BTreeMap<Row, Item>,
    /// Where copies may go.
    pub(in crate::state) targets: Targets,
    pub(in crate::state) not_moved: NotMoved,
}

/// What an errand is for.
#[derive(Debug)]
pub(in crate::state) enum Aim {
    /// Have so many copies among these workers.
    Replicate { asked_by: Asked, n: usize, among: BTreeSet<WorkerId> },
    /// Wait for results, and then even out what these workers hold.
    Rebalance { asked_by: Asked, selected: Option<BTreeSet<Row>>, among: Vec<WorkerId> },
    /// Even out: each item knows from where to where.
    Move { asked_by: Asked },
    /// Have everything that this worker holds elsewhere, and then let it go.
    Retire { worker: WorkerId },
}

/// A result that is not yet where it shall be.
#[derive(Debug, Default)]
pub(in crate::state) struct Item {
    /// Copies that are on their way.
    pub(in crate::state) under_way: u32,
    /// The workers that could not get one.
    pub(in crate::state) tried: SmallSet<WorkerId>,
    /// From where to where, if that is settled.
    pub(in crate::state) path: Option<(WorkerId, WorkerId)>,
}

/// Results that could not be copied.
#[derive(Debug, Default, Clone)]
pub(in crate::state) struct NotMoved {
    count: u64,
    example: Option<Key>,
}

impl NotMoved {
    pub(in crate::state) fn note(&mut self, key: &Key) {
        self.count += 1;
        self.example.get_or_insert_with(|| key.clone());
    }

    pub(in crate::state) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.example = self.example.take().or(other.example);
    }

    /// What there is to complain about.
    pub(in crate::state) fn refusal(self) -> Option<Refusal> {
        let count = self.count;
        self.example.map(|example| Refusal::NotMoved { count, example })
    }
}

/// Workers that may get copies, those that hold least first: by the bytes that they hold and those
/// that are on their way to them.
#[derive(Debug, Default)]
pub(in crate::state) struct Targets(BTreeSet<(u64, WorkerId)>);

impl Targets {
    /// The first `count` that may have the result, whose size is added to what they hold.
    pub(in crate::state) fn pick(
        &mut self,
        count: usize,
        nbytes: u64,
        may: impl Fn(WorkerId) -> bool,
    ) -> Vec<WorkerId> {
        let first = self.0.iter().filter(|(_, worker)| may(*worker)).take(count);
        let first: Vec<_> = first.copied().collect();
        for (bytes, worker) in &first {
            self.0.remove(&(*bytes, *worker));
            self.0.insert((bytes.saturating_add(nbytes), *worker));
        }
        first.into_iter().map(|(_, worker)| worker).collect()
    }
}

/// All errands.
#[derive(Debug, Default)]
pub(in crate::state) struct ErrandTable {
    pub(in crate::state) entries: BTreeMap<ErrandId, Errand>,
    next: u64,
    /// Every item, by result.
    by_row: BTreeSet<(Row, ErrandId)>,
    /// The results to which something happened.
    touched: BTreeSet<Row>,
    /// The errands that may be over.
    due: BTreeSet<ErrandId>,
}

impl ErrandTable {
    pub(in crate::state) fn open(&mut self, aim: Aim, targets: Targets) -> ErrandId {
        let id = ErrandId(self.next);
        self.next += 1;
        let (items, not_moved) = Default::default();
        self.entries.insert(id, Errand { aim, items, targets, not_moved });
        self.due.insert(id);
        id
    }

    pub(in crate::state) fn add_item(&mut self, errand: ErrandId, row: Row, item: Item) {
        if let Some(entry) = self.entries.get_mut(&errand) {
            entry.items.insert(row, item);
            self.by_row.insert((row, errand));
            self.touched.insert(row);
        }
    }

    /// Takes an item out.
    fn remove_item(&mut self, errand: ErrandId, row: Row) {
        if let Some(entry) = self.entries.get_mut(&errand) {
            entry.items.remove(&row);
        }
        self.by_row.remove(&(row, errand));
        self.due.insert(errand);
    }

    /// Something happened to a result.
    pub(in crate::state) fn touch(&mut self, row: Row) {
        if !self.entries.is_empty() {
            self.touched.insert(row);
        }
    }

    /// An errand may be over.
    pub(in crate::state) fn call(&mut self, errand: ErrandId) {
        self.due.insert(errand);
    }

    /// A copy is on its way for the sake of an item.
    pub(in crate::state) fn sent(&mut self, row: Row, errand: ErrandId) {
        if let Some(item) = self.item_mut(row, errand) {
            item.under_way += 1;
        }
    }

    /// A copy is no more on its way; `in_vain` to which worker, if it did not arrive.
    pub(in crate::state) fn arrived(
        &mut self,
        row: Row,
        errand: ErrandId,
        in_vain: Option<WorkerId>,
    ) {
        if let Some(item) = self.item_mut(row, errand) {
            item.under_way = item.under_way.saturating_sub(1);
            if let Some(worker) = in_vain {
                item.tried.insert(worker);
            }
        }
    }

    fn item_mut(&mut self, row: Row, errand: ErrandId) -> Option<&mut Item> {
        self.entries.get_mut(&errand)?.items.get_mut(&row)
    }

    pub(in crate::state) fn item(&self, row: Row, errand: ErrandId) -> Option<&Item> {
        self.entries.get(&errand)?.items.get(&row)
    }

    /// The errands that a result is an item of.
    pub(in crate::state) fn of(&self, row: Row) -> Vec<ErrandId> {
        let all = (row, ErrandId(0))..=(row, ErrandId(u64::MAX));
        self.by_row.range(all).map(|(_, errand)| *errand).collect()
    }

    /// Whether any errand has to do with a result.
    pub(in crate::state) fn concern(&self, row: Row) -> bool {
        let all = (row, ErrandId(0))..=(row, ErrandId(u64::MAX));
        self.by_row.range(all).next().is_some()
    }

    /// Whether nothing is to be looked at.
    pub(in crate::state) fn is_quiet(&self) -> bool {
        self.touched.is_empty() && self.due.is_empty()
    }

    /// How many items there are by either index, for a check.
    pub(in crate::state) fn counts(&self) -> (usize, usize) {
        let items = self.entries.values().map(|errand| errand.items.len());
        (items.sum(), self.by_row.len())
    }
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Progress {
    /// Something is still to come.
    Waiting,
    /// The result is where it shall be, or is not to be had there any more.
    Over,
    /// It cannot be copied.
    Failed,
}

/// Whether a result can be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Availability {
    InMemory,
    /// It will be, or will fail.
    Pending,
    /// It failed, or nobody wants it.
    Never,
}

impl SchedulerState {
    /// Looks at what happened to results that errands are about; whether there was any.
    pub(in crate::state) fn run_errands(&mut self) -> bool {
        if self.errands.is_quiet() || self.is_closing {
            return false;
        }
        while let Some(row) = self.errands.touched.pop_first() {
            self.notice_retiring(row);
            for errand in self.errands.of(row) {
                self.pursue(errand, row);
            }
            if self.tasks.get(row).is_some() {
                self.tell_to_acquire(row);
            }
        }
        while let Some(errand) = self.errands.due.pop_first() {
            self.finish_errand(errand);
        }
        if self.errands.is_quiet() {
            self.give_up_retirements();
        }
        true
    }

    fn pursue(&mut self, errand: ErrandId, row: Row) {
        let Some(entry) = self.errands.entries.get(&errand) else {
            return;
        };
        let progress = match entry.aim {
            Aim::Replicate { .. } => self.pursue_replication(errand, row),
            Aim::Rebalance { .. } => match self.availability(row) {
                Availability::InMemory => Progress::Over,
                Availability::Pending => Progress::Waiting,
                Availability::Never => Progress::Failed,
            },
            Aim::Move { .. } => self.pursue_move(errand, row),
            Aim::Retire { worker } => self.pursue_retirement(errand, row, worker),
        };
        if progress == Progress::Failed
            && let Some(entry) = self.errands.entries.get_mut(&errand)
        {
            entry.not_moved.note(&self.tasks[row].key);
        }
        if progress != Progress::Waiting {
            self.close_item(errand, row);
        }
    }

    pub(in crate::state) fn close_item(&mut self, errand: ErrandId, row: Row) {
        self.errands.remove_item(errand, row);
        self.transfers.unwant(row, errand);
    }

    /// Does what is left to do for an errand without items, and answers whoever asked.
    fn finish_errand(&mut self, errand: ErrandId) {
        let Some(entry) = self.errands.entries.get_mut(&errand) else {
            return;
        };
        if !entry.items.is_empty() {
            return;
        }
        let asked_by = match &mut entry.aim {
            Aim::Retire { worker } => {
                let worker = *worker;
                return self.finish_retirement(worker);
            }
            Aim::Rebalance { asked_by, selected, among } => {
                let (asked_by, selected) = (*asked_by, selected.take());
                let among = std::mem::take(among);
                entry.aim = Aim::Move { asked_by };
                return self.plan_moves(errand, selected.as_ref(), &among);
            }
            Aim::Replicate { asked_by, .. } | Aim::Move { asked_by } => *asked_by,
        };
        let Some(entry) = self.errands.entries.remove(&errand) else {
            return;
        };
        let refusal = entry.not_moved.refusal();
        self.answer(asked_by, refusal.map_or(Answer::Done, Answer::Refused));
    }

    /// Gives up an errand with all its items.
    pub(in crate::state) fn abandon_errand(&mut self, errand: ErrandId) -> Option<Errand> {
        let entry = self.errands.entries.get(&errand)?;
        let rows: Vec<Row> = entry.items.keys().copied().collect();
        for row in rows {
            self.close_item(errand, row);
        }
        self.errands.entries.remove(&errand)
    }

    /// Nobody waits for these answers any more. What is under way arrives all the same.
    pub(in crate::state) fn forget_errands(&mut self, is_gone: impl Fn(Asked) -> bool) {
        let asked_by = |aim: &Aim| match aim {
            Aim::Replicate { asked_by, .. }
            | Aim::Rebalance { asked_by, .. }
            | Aim::Move { asked_by } => Some(*asked_by),
            Aim::Retire { .. } => None,
        };
        let errands = self.errands.entries.iter();
        let gone = errands.filter(|(_, errand)| asked_by(&errand.aim).is_some_and(&is_gone));
        let gone: Vec<ErrandId> = gone.map(|(id, _)| *id).collect();
        for errand in gone {
            self.abandon_errand(errand);
        }
    }

    /// A task is about to be forgotten: no errand can do anything about it.
    pub(in crate::state) fn forget_items(&mut self, row: Row) {
        for errand in self.errands.of(row) {
            if let Some(entry) = self.errands.entries.get_mut(&errand)
                && matches!(entry.aim, Aim::Replicate { .. } | Aim::Rebalance { .. })
            {
                entry.not_moved.note(&self.tasks[row].key);
            }
            self.close_item(errand, row);
        }
        self.errands.touched.remove(&row);
        self.replicas.clear(row);
    }

    /// Whether a result can be copied, once an event is settled.
    pub(in crate::state) fn availability(&self, row: Row) -> Availability {
        let task = &self.tasks[row];
        match &task.state {
            TaskState::Memory(_) => Availability::InMemory,
            TaskState::Erred { .. } => Availability::Never,
            TaskState::Released if !task.is_wanted() => Availability::Never,
            _ => Availability::Pending,
        }
    }

    /// Whether a worker may be told to fetch copies.
    pub(in crate::state) fn takes_copies(&self, worker: WorkerId) -> bool {
        let entry = self.workers.get(worker);
        entry.is_some_and(|entry| entry.status == WorkerStatus::Running)
    }

    /// Workers as targets, by what they hold.
    pub(in crate::state) fn as_targets(&self, workers: impl Iterator<Item = WorkerId>) -> Targets {
        let running = workers.filter(|worker| self.takes_copies(*worker));
        let by_bytes = running.filter_map(|w| Some((self.workers.get(w)?.nbytes, w)));
        Targets(by_bytes.collect())
    }

    /// Chooses workers for copies of a result for the sake of an errand, and has them sent there;
    /// how many.
    pub(in crate::state) fn spread(&mut self, errand: ErrandId, row: Row, count: usize) -> usize {
        let nbytes = self.tasks[row].nbytes().unwrap_or(0);
        let Some(entry) = self.errands.entries.get_mut(&errand) else {
            return 0;
        };
        let mut targets = std::mem::take(&mut entry.targets);
        let chosen = targets.pick(count, nbytes, |worker| {
            let holders = self.tasks[row].holders();
            let item = self.errands.item(row, errand);
            self.takes_copies(worker)
                && holders.is_some_and(|holders| !holders.contains(worker))
                && item.is_some_and(|item| !item.tried.contains(worker))
        });
        if let Some(entry) = self.errands.entries.get_mut(&errand) {
            entry.targets = targets;
        }
        for target in &chosen {
            self.want_copy(row, *target, errand);
        }
        chosen.len()
    }
}
