//! What the people behind the programs do.

use std::time::Duration;

use dask_client::state::Event;
use dask_proto::Payload;
use dask_proto::graph::{TaskOptions, TaskSpec};
use dask_proto::id::{FunctionId, FutureId};
use dask_proto::message::{ClientToScheduler, Request, ScatterItem, Submit};

use crate::book::{Options, Page};
use crate::client::Status;
use crate::sim::{Happening, PeerId, Sim};

/// How long a client waits until what it scatters is there.
const SCATTERING: Duration = Duration::from_secs(30);

impl Sim {
    /// A program does something, and will do more.
    pub(crate) fn act(&mut self, peer: PeerId) {
        let Some(program) = self.programs.get_mut(&peer) else {
            return;
        };
        if !self.is_wild {
            return self.submit_rest(peer);
        }
        if program.acts == 0 {
            return self.submit_rest(peer);
        }
        program.acts -= 1;
        let is_new = program.tickets.is_empty();
        let choice = if is_new { 0 } else { self.dice.below(100) };
        match choice {
            0..=34 => self.draw_work(peer),
            35..=54 => self.release_some(peer),
            55..=69 => self.submit_part(peer),
            70..=73 => self.ask_about_some(peer),
            74..=80 => self.ask_for_copies(peer),
            81..=84 => self.subscribe_to_any(peer),
            85..=91 => self.scatter(peer),
            92..=95 => self.fire_and_forget(peer),
            96 => self.tell_client(peer, Event::Closed),
            _ => self.resubmit(peer),
        }
        if self.dice.chance(15) {
            self.want_lock(peer);
        }
        self.perform(peer);
        let next = self.now + self.dice.micros(10, self.weather.pause_us);
        self.schedule(next, Happening::Act(peer));
    }

    fn draw_work(&mut self, peer: PeerId) {
        let (book, taste) = (&mut self.book, &self.taste);
        let pages = book.draw_graph(&mut self.dice, taste);
        if let Some(program) = self.programs.get_mut(&peer) {
            program.todo.extend(pages);
        }
        self.submit_part(peer);
    }

    /// Asks for tasks that somebody may have asked for already.
    fn resubmit(&mut self, peer: PeerId) {
        let count = 1 + self.dice.below(6);
        let pages = (0..count).map(|_| self.dice.below(self.book.specs.len()));
        let pages: Vec<Page> = pages.collect();
        self.submit(peer, &pages);
    }

    fn submit_part(&mut self, peer: PeerId) {
        let Some(program) = self.programs.get_mut(&peer) else {
            return;
        };
        let n = program.todo.len();
        let part = if self.dice.chance(60) { n } else { self.dice.below(n + 1) };
        let pages: Vec<Page> = program.todo.drain(..part).collect();
        self.submit(peer, &pages);
        if self.dice.chance(20) {
            // As of a graph whose inner futures nobody keeps.
            for page in pages.iter().rev().skip(1) {
                self.release_page(peer, *page);
            }
        }
    }

    pub(crate) fn submit_rest(&mut self, peer: PeerId) {
        if let Some(program) = self.programs.get_mut(&peer) {
            let pages: Vec<Page> = program.todo.drain(..).collect();
            self.submit(peer, &pages);
            self.perform(peer);
        }
    }

    fn release_page(&mut self, peer: PeerId, page: Page) {
        let program = self.programs.get(&peer);
        if let Some(future) = program.and_then(|p| p.held.get(&page).copied()) {
            self.release(peer, future);
        }
    }

    /// Submits tasks, and what they depend on where no future stands for it.
    fn submit(&mut self, peer: PeerId, pages: &[Page]) {
        let mut parts: Vec<(Options, Vec<TaskSpec>)> = Vec::new();
        for page in pages {
            for page in self.book.closure(*page) {
                let again = if pages.contains(&page) { 10 } else { 0 };
                let Some(task) = self.task(peer, page, again) else {
                    continue;
                };
                let options = &self.book.specs[page].options;
                match parts.last_mut() {
                    Some((known, tasks)) if known == options => tasks.push(task),
                    _ => parts.push((options.clone(), vec![task])),
                }
            }
        }
        for (options, tasks) in parts {
            let options = self.task_options(&options);
            self.tell_client(peer, Event::Submitted(Submit { options, tasks }));
        }
    }

    /// A task to submit, unless a future stands for it: then only with a chance of `again` percent.
    fn task(&mut self, peer: PeerId, page: Page, again: usize) -> Option<TaskSpec> {
        let spec = &self.book.specs[page];
        let program = self.programs.get_mut(&peer)?;
        let is_needed = !program.held.contains_key(&page) || self.dice.chance(again);
        if spec.is_data || !is_needed {
            return None;
        }
        let known = spec.dependencies.iter().map(|page| {
            let future = program.held.get(page).copied()?;
            // A program has no future of data before the data is there.
            let is_pending = program.tickets[&future].status == Status::Pending;
            (!is_pending || !self.book.specs[*page].is_data).then_some(future)
        });
        // Data that was let go of cannot be had again.
        let dependencies: Vec<FutureId> = known.collect::<Option<_>>()?;
        Some(TaskSpec {
            future: program.new_future(page),
            key: spec.key.clone(),
            function: FunctionId(spec.function),
            content: self.taste.digests.then(|| u128::from(spec.content).to_le_bytes()),
            dependencies,
            body: Payload::Bytes((page as u64).to_le_bytes().to_vec().into()),
        })
    }

    fn task_options(&self, options: &Options) -> TaskOptions {
        let names = options.slots.iter().map(|slot| {
            let join = &self.slots[*slot].join;
            match options.by_host {
                true => join.address.host().to_owned(),
                false if slot % 2 == 0 => join.address.to_string(),
                false => join.name.clone(),
            }
        });
        let gpu = options.needs_gpu.then(|| ("GPU".to_owned(), 1.0));
        TaskOptions {
            priority: options.priority,
            retries: options.retries,
            workers: names.collect(),
            allow_other_workers: options.is_loose,
            resources: gpu.into_iter().collect(),
            actor: false,
        }
    }

    fn some_futures(&mut self, peer: PeerId, most: usize) -> Vec<FutureId> {
        let Some(program) = self.programs.get(&peer) else {
            return Vec::new();
        };
        let all: Vec<FutureId> = program.tickets.keys().copied().collect();
        let count = 1 + self.dice.below(most);
        let some = (0..count).filter_map(|_| self.dice.pick(&all).copied());
        some.collect()
    }

    fn release_some(&mut self, peer: PeerId) {
        let most = if self.dice.chance(20) { 100 } else { 5 };
        for future in self.some_futures(peer, most) {
            self.release(peer, future);
        }
    }

    fn ask_about_some(&mut self, peer: PeerId) {
        let futures = self.some_futures(peer, 3);
        let Some(program) = self.programs.get(&peer) else {
            return;
        };
        let pages = futures.iter().filter_map(|f| program.tickets.get(f));
        let pages: Vec<Page> = pages.map(|ticket| ticket.page).collect();
        let request = match self.dice.below(10) {
            0..=3 => {
                self.cancelled.extend(pages);
                let force = self.dice.chance(30);
                Request::Cancel { futures, force }
            }
            4..=6 => {
                let tickets = program.tickets.iter();
                let failed = tickets.filter(|(_, ticket)| ticket.status == Status::Failed);
                Request::Retry { futures: failed.map(|(future, _)| *future).collect() }
            }
            7 => Request::WaitForWorkers { n: 1 },
            8 => Request::SchedulerInfo,
            _ => Request::WhoHas { keys: Vec::new() },
        };
        self.ask_scheduler(peer, request);
    }

    /// Has results copied or moved, or workers leave.
    fn ask_for_copies(&mut self, peer: PeerId) {
        let futures = self.some_futures(peer, 4);
        let some = |dice: &mut crate::dice::Dice| {
            dice.chance(70).then(|| u32::try_from(1 + dice.below(3)).expect("small"))
        };
        let workers = if self.dice.chance(70) {
            Vec::new()
        } else {
            vec![format!("worker-{}", self.dice.below(self.slots.len()))]
        };
        let request = match self.dice.below(10) {
            0..=4 => Request::Replicate { futures, n: some(&mut self.dice), workers },
            5..=7 => {
                let futures = if self.dice.chance(50) { futures } else { Vec::new() };
                Request::Rebalance { futures, workers }
            }
            _ => Request::RetireWorkers { workers, n: some(&mut self.dice) },
        };
        self.ask_scheduler(peer, request);
    }

    /// Runs again all that failed.
    pub(crate) fn retry_all(&mut self, peer: PeerId) {
        let Some(program) = self.programs.get(&peer) else {
            return;
        };
        let tickets = program.tickets.iter();
        let failed = tickets.filter(|(_, ticket)| ticket.status == Status::Failed);
        let futures = failed.map(|(future, _)| *future).collect();
        self.ask_scheduler(peer, Request::Retry { futures });
        self.perform(peer);
    }

    fn subscribe_to_any(&mut self, peer: PeerId) {
        let page = self.dice.below(self.book.specs.len());
        self.subscribe(peer, page);
    }

    /// A program asks for whatever has the key of a task.
    fn subscribe(&mut self, peer: PeerId, page: Page) {
        // What has the key need not be this.
        if self.book.has_twin(page) {
            return;
        }
        let Some(program) = self.programs.get_mut(&peer) else {
            return;
        };
        let future = program.new_future(page);
        self.book.ask_by_key(page);
        // If it is not there, the future is cancelled, and what is submitted on it.
        self.cancelled.insert(page);
        let key = self.book.specs[page].key.clone();
        self.tell_client(peer, Event::Subscribed { future, key });
    }

    /// A program waits for data that another is about to scatter.
    pub(crate) fn look_forward(&mut self, peer: PeerId, page: Page) {
        if self.is_wild && self.programs.get(&peer).is_some_and(|program| program.is_welcome) {
            self.subscribe(peer, page);
            self.perform(peer);
        }
    }

    /// Scatters new data, or old data anew.
    fn scatter(&mut self, peer: PeerId) {
        let count = 1 + self.dice.below(3);
        let old: Vec<Page> =
            (0..self.book.specs.len()).filter(|page| self.book.specs[*page].is_data).collect();
        let mut items = Vec::new();
        for _ in 0..count {
            let again = self.dice.pick(&old).copied().filter(|_| self.dice.chance(30));
            let page = again.unwrap_or_else(|| self.book.draw_data(&mut self.dice));
            let Some(program) = self.programs.get_mut(&peer) else {
                return;
            };
            let spec = &self.book.specs[page];
            let future = program.new_future(page);
            items.push(ScatterItem { future, key: spec.key.clone(), nbytes: spec.nbytes });
            let at = self.now + SCATTERING;
            self.schedule(at, Happening::GiveUp(peer, future));
        }
        let broadcast = self.dice.chance(20);
        self.await_scatter(peer, &items);
        let workers = Vec::new();
        self.ask_scheduler(peer, Request::Scatter { items, workers, broadcast });
    }

    /// Sometimes others wait for the data before it is there, and it does not come.
    fn await_scatter(&mut self, peer: PeerId, items: &[ScatterItem]) {
        if !self.dice.chance(20) {
            return;
        }
        let others: Vec<PeerId> = self.programs.keys().copied().filter(|p| *p != peer).collect();
        let page = items.first().and_then(|item| self.book.pages(&item.key).first().copied());
        if let (Some(other), Some(page)) = (self.dice.pick(&others).copied(), page) {
            let at = self.now + self.dice.micros(20, 4_000);
            self.schedule(at, Happening::Subscribe(other, page));
        }
        if self.weather.faults > 0 && self.dice.chance(50) {
            self.weather.faults -= 1;
            let at = self.now + self.dice.micros(20, 8_000);
            self.schedule(at, Happening::Vanish(peer));
        }
    }

    fn fire_and_forget(&mut self, peer: PeerId) {
        let futures = self.some_futures(peer, 3);
        let message = ClientToScheduler::FireAndForget { futures: futures.clone() };
        self.tell_client(peer, Event::Told(message));
        for future in futures {
            self.release(peer, future);
        }
    }
}
