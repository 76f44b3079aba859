//! What there is to compute: every task that any client can ask for, and what it must come to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dask_proto::Key;
use dask_proto::graph::Function;

use crate::dice::{Dice, mix};

/// A task in the [`Book`], by position.
pub(crate) type Page = usize;

/// The functions: every worker has the first; the last is one that none has.
pub(crate) const FUNCTIONS: u32 = 5;

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) key: Key,
    pub(crate) content: u64,
    pub(crate) function: u32,
    pub(crate) dependencies: Vec<Page>,
    pub(crate) duration: Duration,
    pub(crate) nbytes: u64,
    pub(crate) mishap: Mishap,
    /// Whether it is scattered and not computed.
    pub(crate) is_data: bool,
    pub(crate) options: Options,
}

/// What a client asks for with a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) priority: i32,
    pub(crate) retries: u32,
    /// The slots of the only workers that may run it.
    pub(crate) slots: Vec<usize>,
    pub(crate) is_loose: bool,
    /// Whether it names the hosts of its slots, and so all that are there.
    pub(crate) by_host: bool,
    pub(crate) needs_gpu: bool,
}

/// What goes wrong while a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    /// It fails this many times more.
    Fails(u32),
    AlwaysFails,
    /// Its worker dies without a word.
    Kills,
    /// Its worker dies and says so.
    Dies,
    /// It leaves the pool of threads on its way.
    Secedes,
}

/// All tasks. Dependencies come before their dependents.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) specs: Vec<Spec>,
    values: Vec<u64>,
    /// The tasks that have a key; more than one only by collision.
    keys: BTreeMap<Key, Vec<Page>>,
    /// The keys by which somebody asked, who gets whatever has them: no other task shall.
    asked: BTreeSet<Key>,
}

impl Book {
    pub(crate) fn add(&mut self, spec: Spec) -> Page {
        let inputs = spec.dependencies.iter().map(|page| self.values[*page]);
        self.values.push(value(spec.content, inputs));
        let page = self.specs.len();
        self.keys.entry(spec.key.clone()).or_default().push(page);
        self.specs.push(spec);
        page
    }

    /// Whether another task has the same key and is not the same.
    pub(crate) fn has_twin(&self, page: Page) -> bool {
        self.pages(&self.specs[page].key).len() > 1
    }

    /// The tasks that have a key.
    pub(crate) fn pages(&self, key: &Key) -> &[Page] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    /// Somebody asks for whatever has the key of a task: it will not have a twin.
    pub(crate) fn ask_by_key(&mut self, page: Page) {
        self.asked.insert(self.specs[page].key.clone());
    }

    /// What the task comes to: the sequential evaluation of the graph.
    pub(crate) fn value(&self, page: Page) -> u64 {
        self.values[page]
    }

    /// The task and all that it depends on, in topological order.
    pub(crate) fn closure(&self, page: Page) -> BTreeSet<Page> {
        let mut seen = BTreeSet::new();
        let mut agenda = vec![page];
        while let Some(page) = agenda.pop() {
            if seen.insert(page) {
                agenda.extend(&self.specs[page].dependencies);
            }
        }
        seen
    }
}

/// The result of a task: a hash of what it is and of what it got.
pub(crate) fn value(content: u64, inputs: impl Iterator<Item = u64>) -> u64 {
    inputs.fold(mix(content, 7), mix)
}

/// A function by its number.
pub(crate) fn function(index: u32) -> Function {
    Function { path: format!("app::f{index}"), signature: "fn(u64) -> u64".to_owned() }
}

/// The size of a number in bytes.
const NUMBER: u64 = 8;

/// How a seed's tasks are.
#[derive(Debug, Clone)]
pub(crate) struct Taste {
    pub(crate) slots: usize,
    pub(crate) max_tasks: usize,
    /// In percent: tasks with something out of the ordinary.
    pub(crate) odd: usize,
    pub(crate) longest_us: u64,
    pub(crate) largest: usize,
    /// In percent: tasks whose results are numbers, which travel with the tasks that need them.
    pub(crate) numbers: usize,
    /// In percent: tasks with the key of another.
    pub(crate) twins: usize,
    /// Whether clients say what is behind a key.
    pub(crate) digests: bool,
}

impl Book {
    /// A new graph of some shape, on top of tasks that are known; its pages in topological order.
    pub(crate) fn draw_graph(&mut self, dice: &mut Dice, taste: &Taste) -> Vec<Page> {
        let n = 1 + dice.below(taste.max_tasks);
        let start = self.specs.len();
        let shape = dice.below(10);
        for i in 0..n {
            let new = start..start + i;
            let dependencies = match shape {
                // Map: nothing depends on anything.
                0 => Vec::new(),
                // Chain.
                1 => new.last().into_iter().collect(),
                // Tree reduction: the second half of the tasks adds up pairs.
                2 if i > n / 2 => {
                    let at = start + 2 * (i - n / 2 - 1);
                    [at, at + 1].into_iter().filter(|p| *p < start + i).collect()
                }
                2 => Vec::new(),
                // Fan-in, fan-out, and both.
                3 if i + 1 == n => new.collect(),
                4 if i > 0 => vec![start],
                5 if i + 1 == n => new.skip(1).collect(),
                5 if i > 0 => vec![start],
                3..=5 => Vec::new(),
                // Chains side by side.
                6 => i.checked_sub(4).map(|i| start + i).into_iter().collect(),
                // Layers: each task needs some of the layer below.
                7 => {
                    let below = (start + i / 6 * 6).checked_sub(6).filter(|below| *below >= start);
                    let below = below.map_or(0..0, |first| first..first + 6);
                    below.filter(|_| dice.chance(40)).collect()
                }
                // Few roots that are shared by all others.
                8 if i >= 3 => (start..start + 3).filter(|_| dice.chance(60)).collect(),
                8 => Vec::new(),
                // Anything, the same dependency twice and older graphs included.
                _ => {
                    let count = dice.below(4);
                    (0..count).filter_map(|_| (start + i).checked_sub(1 + dice.below(12))).collect()
                }
            };
            let spec = self.draw_spec(dice, taste, dependencies);
            self.add(spec);
        }
        (start..start + n).collect()
    }

    /// How many tasks kill their workers without a word: each takes many workers with it.
    fn killers(&self) -> usize {
        let mishaps = self.specs.iter().map(|spec| spec.mishap);
        mishaps.filter(|mishap| *mishap == Mishap::Kills).count()
    }

    fn draw_spec(&self, dice: &mut Dice, taste: &Taste, dependencies: Vec<Page>) -> Spec {
        let page = self.specs.len();
        let odd = taste.odd;
        let mishap = match dice.below(8) {
            _ if !dice.chance(odd) => Mishap::None,
            0..=2 => Mishap::Fails(1 + u32::try_from(dice.below(3)).expect("small")),
            3 => Mishap::AlwaysFails,
            4 if self.killers() < 3 => Mishap::Kills,
            5 => Mishap::Dies,
            _ => Mishap::Secedes,
        };
        let function = match dice.below(20) {
            _ if !dice.chance(odd * 2) => 0,
            0 => FUNCTIONS - 1,
            n => u32::try_from(n).expect("small") % (FUNCTIONS - 1),
        };
        let some_slots = |dice: &mut Dice| {
            let count = 1 + dice.below(2);
            (0..count).map(|_| dice.below(taste.slots)).collect()
        };
        let options = Options {
            priority: i32::try_from(dice.below(3)).expect("small") - 1,
            retries: if dice.chance(30) { 2 } else { 0 },
            slots: if dice.chance(odd) { some_slots(dice) } else { Vec::new() },
            is_loose: dice.chance(50),
            by_host: dice.chance(30),
            needs_gpu: dice.chance(odd),
        };
        let own = key(if function == 0 { "inc" } else { "other" }, page);
        let twin = dice.pick(&self.specs).filter(|_| dice.chance(taste.twins));
        let twin = twin.filter(|twin| !self.asked.contains(&twin.key));
        Spec {
            key: twin.map_or(own, |twin| twin.key.clone()),
            content: mix(page as u64, 1),
            function,
            dependencies,
            duration: dice.micros(10, taste.longest_us),
            nbytes: if dice.chance(taste.numbers) {
                NUMBER
            } else {
                1 << dice.below(taste.largest)
            },
            mishap,
            is_data: false,
            options,
        }
    }

    /// Data for a client to scatter.
    pub(crate) fn draw_data(&mut self, dice: &mut Dice) -> Page {
        let page = self.specs.len();
        self.add(Spec {
            key: key("data", page),
            content: mix(page as u64, 2),
            function: 0,
            dependencies: Vec::new(),
            duration: Duration::ZERO,
            nbytes: 1 << dice.below(20),
            mishap: Mishap::None,
            is_data: true,
            options: Options::default(),
        })
    }
}

fn key(prefix: &str, page: Page) -> Key {
    Key::new(format!("{prefix}-{page}")).expect("a short key")
}
