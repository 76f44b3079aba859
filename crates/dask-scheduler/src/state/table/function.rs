use std::collections::BTreeSet;

use dask_proto::graph::Function;
use dask_proto::id::{FunctionId, WorkerId};
use dask_proto::map::Map;
use dask_proto::program::ProgramId;

use super::queue::{Place, Queue};
use super::rank::Rank;

/// A task function that a client or a worker named, of one program or of any.
///
/// Programs bring their own code, so that a function of one is another than that of the same name
/// and signature of the next. A worker that an agent started has each of its functions twice: for
/// clients of its program, and for clients whose program does not travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::state) struct FunctionRow(u32);

/// Workers that have exactly the same functions: nearly always those that run one program.
///
/// What is chosen by load is chosen per group, so a choice costs the same with one worker and
/// with ten thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::state) struct GroupRow(u32);

/// What is known about a task function.
#[derive(Debug)]
pub(in crate::state) struct FunctionEntry {
    pub(in crate::state) function: Function,
    /// The program whose clients call it; `None` for clients whose program does not travel.
    pub(in crate::state) program: Option<ProgramId>,
    /// The groups of workers that have it.
    pub(in crate::state) groups: Vec<GroupRow>,
    /// Its tasks in state queued, the first to run first.
    pub(in crate::state) queue: Queue,
    /// How long it runs, in nanoseconds: a moving average that gives the latest half the weight.
    pub(in crate::state) duration: Option<u64>,
}

#[derive(Debug, Default)]
struct Group {
    functions: Box<[FunctionRow]>,
    members: u32,
    /// The members that take tasks.
    ranked: BTreeSet<Rank>,
}

/// All functions that are in use, and some that were until lately; and all groups.
#[derive(Debug, Default)]
pub(in crate::state) struct FunctionTable {
    entries: Vec<FunctionEntry>,
    by_function: Map<(Option<ProgramId>, Function), FunctionRow>,
    /// Rows of functions that were forgotten, for others.
    free: Vec<FunctionRow>,
    /// With how many functions to look which of them are in use.
    look_at: usize,
    groups: Vec<Group>,
    by_offer: Map<Box<[FunctionRow]>, GroupRow>,
    /// Rows of groups without members, for others.
    free_groups: Vec<GroupRow>,
    /// The functions that have tasks in state queued.
    queued: BTreeSet<FunctionRow>,
}

/// How many functions there may be before it is looked which of them are in use: more than a few
/// programs have.
const LOOKED_AT: usize = 4096;

impl FunctionEntry {
    fn new(function: Function, program: Option<ProgramId>) -> Self {
        Self { function, program, groups: Vec::new(), queue: Queue::default(), duration: None }
    }
}

impl FunctionRow {
    /// What the function is called towards workers.
    pub(in crate::state) fn id(self) -> FunctionId {
        FunctionId(self.0)
    }
}

impl FunctionTable {
    /// The row of a function, of a program or of any.
    pub(in crate::state) fn intern(
        &mut self,
        program: Option<ProgramId>,
        function: &Function,
    ) -> FunctionRow {
        let name = (program, function.clone());
        if let Some(row) = self.by_function.get(&name) {
            return *row;
        }
        let entry = FunctionEntry::new(function.clone(), program);
        let row = if let Some(row) = self.free.pop() {
            self.entries[row.0 as usize] = entry;
            row
        } else {
            self.entries.push(entry);
            let last = u32::try_from(self.entries.len() - 1);
            FunctionRow(last.expect("memory ends before the names of functions"))
        };
        self.by_function.insert(name, row);
        row
    }

    /// Whether it is time to look which functions are in use: there are twice as many as were the
    /// last time.
    pub(in crate::state) fn is_crowded(&self) -> bool {
        self.by_function.len() >= self.look_at.max(LOOKED_AT)
    }

    /// Forgets those of these functions that no worker offers and that are not used.
    pub(in crate::state) fn forget_unused(
        &mut self,
        rows: impl IntoIterator<Item = FunctionRow>,
        used: &BTreeSet<FunctionRow>,
    ) {
        let mut forgotten = BTreeSet::new();
        for row in rows {
            let entry = &mut self.entries[row.0 as usize];
            if !entry.groups.is_empty() || !entry.queue.is_empty() || used.contains(&row) {
                continue;
            }
            let unnamed = Function { path: String::new(), signature: String::new() };
            let FunctionEntry { function, program, .. } =
                std::mem::replace(entry, FunctionEntry::new(unnamed, None));
            // A row that is free already has no name.
            if self.by_function.remove(&(program, function)).is_some() {
                forgotten.insert(row);
            }
        }
        // The first are given to others first.
        self.free.extend(forgotten.iter().rev());
        self.look_at = 2 * self.by_function.len();
    }

    pub(in crate::state) fn get(&self, row: FunctionRow) -> &FunctionEntry {
        &self.entries[row.0 as usize]
    }

    /// All functions, in the order of their rows, and rows without one.
    pub(in crate::state) fn rows(&self) -> impl Iterator<Item = FunctionRow> + use<> {
        (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).map(FunctionRow)
    }

    /// Adds a worker with these functions, of the program that an agent started, to their group.
    pub(in crate::state) fn join_group(
        &mut self,
        program: Option<ProgramId>,
        functions: &[Function],
    ) -> GroupRow {
        let mut offer: BTreeSet<FunctionRow> =
            functions.iter().map(|f| self.intern(None, f)).collect();
        if program.is_some() {
            offer.extend(functions.iter().map(|f| self.intern(program, f)));
        }
        let offer: Box<[FunctionRow]> = offer.into_iter().collect();
        let known = self.by_offer.get(&offer).copied();
        let group = known.unwrap_or_else(|| self.new_group(offer));
        self.groups[group.0 as usize].members += 1;
        group
    }

    fn new_group(&mut self, offer: Box<[FunctionRow]>) -> GroupRow {
        let row = self.free_groups.pop().unwrap_or_else(|| {
            self.groups.push(Group::default());
            let last = u32::try_from(self.groups.len() - 1);
            GroupRow(last.expect("memory ends before the groups of workers"))
        });
        for function in &offer {
            self.entries[function.0 as usize].groups.push(row);
        }
        self.groups[row.0 as usize].functions.clone_from(&offer);
        self.by_offer.insert(offer, row);
        row
    }

    /// Takes a worker out of its group, which ends with its last member.
    pub(in crate::state) fn leave_group(&mut self, group: GroupRow) {
        let entry = &mut self.groups[group.0 as usize];
        entry.members -= 1;
        if entry.members > 0 {
            return;
        }
        let functions = std::mem::take(&mut entry.functions);
        for function in &functions {
            self.entries[function.0 as usize].groups.retain(|other| *other != group);
        }
        self.by_offer.remove(&functions);
        self.free_groups.push(group);
    }

    /// Moves a worker among those of its group.
    pub(in crate::state) fn rerank(
        &mut self,
        group: GroupRow,
        old: Option<Rank>,
        new: Option<Rank>,
    ) {
        let ranked = &mut self.groups[group.0 as usize].ranked;
        if let Some(old) = old {
            ranked.remove(&old);
        }
        ranked.extend(new);
    }

    /// Whether a worker is in the index of its group where it should be.
    pub(in crate::state) fn is_ranked(&self, group: GroupRow, rank: Rank) -> bool {
        self.groups[group.0 as usize].ranked.contains(&rank)
    }

    /// Whether any worker that is connected has the function.
    pub(in crate::state) fn is_offered(&self, function: FunctionRow) -> bool {
        let groups = &self.get(function).groups;
        groups.iter().any(|g| self.groups[g.0 as usize].members > 0)
    }

    /// Whether workers of this group have the function.
    pub(in crate::state) fn has(&self, group: GroupRow, function: FunctionRow) -> bool {
        let functions = &self.groups[group.0 as usize].functions;
        functions.binary_search(&function).is_ok()
    }

    /// The least loaded worker with the function and with room for root tasks.
    pub(in crate::state) fn idlest_open(&self, function: FunctionRow) -> Option<WorkerId> {
        let groups = self.get(function).groups.iter();
        groups
            .filter_map(|g| self.groups[g.0 as usize].ranked.first())
            .filter(|rank| !rank.is_full())
            .min()
            .map(|rank| rank.worker())
    }

    /// The least loaded worker with the function, whether it has room or not.
    pub(in crate::state) fn idlest(&self, function: FunctionRow) -> Option<WorkerId> {
        let groups = self.get(function).groups.iter();
        groups
            .flat_map(|g| {
                let ranked = &self.groups[g.0 as usize].ranked;
                let full = ranked.range(Rank::FIRST_FULL..).next();
                ranked.first().into_iter().chain(full)
            })
            .min_by_key(|rank| rank.load())
            .map(|rank| rank.worker())
    }

    /// The workers with the function that take tasks, those with room first, then by load, group
    /// by group.
    pub(in crate::state) fn ranked(
        &self,
        function: FunctionRow,
    ) -> impl Iterator<Item = Rank> + '_ {
        let groups = self.get(function).groups.iter();
        groups.flat_map(|g| self.groups[g.0 as usize].ranked.iter().copied())
    }

    /// How many workers with the function take tasks.
    pub(in crate::state) fn ranked_len(&self, function: FunctionRow) -> usize {
        let groups = self.get(function).groups.iter();
        groups.map(|g| self.groups[g.0 as usize].ranked.len()).sum()
    }

    /// Takes in how long a task of the function ran; `unknown` is what was assumed before the
    /// first.
    ///
    /// The average starts from the assumption, so that one quick task does not pass for all: how
    /// far ahead a worker is fed doubles with every task that turns out to be short.
    pub(in crate::state) fn learn(&mut self, function: FunctionRow, nanos: u64, unknown: u64) {
        let entry = &mut self.entries[function.0 as usize];
        entry.duration = Some(entry.duration.unwrap_or(unknown) / 2 + nanos / 2);
    }

    pub(in crate::state) fn enqueue(&mut self, function: FunctionRow, task: Place) {
        let queue = &mut self.entries[function.0 as usize].queue;
        if queue.is_empty() {
            self.queued.insert(function);
        }
        queue.insert(task);
    }

    pub(in crate::state) fn dequeue(&mut self, function: FunctionRow, task: Place) {
        let queue = &mut self.entries[function.0 as usize].queue;
        queue.remove(task);
        if queue.is_empty() {
            self.queued.remove(&function);
        }
    }

    /// The functions that have tasks in state queued.
    pub(in crate::state) fn queued(&self) -> impl Iterator<Item = FunctionRow> + '_ {
        self.queued.iter().copied()
    }
}
