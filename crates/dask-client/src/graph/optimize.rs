//! Graphs that do the same with fewer tasks: Dask's `optimize`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use dask_proto::Key;
use dask_task::{CallWriter, FUSED, Fused, Source, TaskDef, TaskFn};

use crate::Result;
use crate::graph::delayed::{Collection, Node, Output};
use crate::graph::{Graph, Plan};
use crate::submit::argument::{Call, Dependency};

impl Graph {
    /// The calls that these keys need, and no others: Dask's `cull`.
    ///
    /// # Errors
    /// When a call depends on itself.
    pub fn cull<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Self> {
        Ok(Draft::new(self, keys)?.finish())
    }

    /// Makes one task of each chain of calls in which every result has one use: Dask's `fuse`. The
    /// task has the key of the last call; these keys, and only these, are sure to be kept.
    ///
    /// ```
    /// # use dask_client::{task, Graph};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// let mut graph = Graph::new();
    /// let x = graph.insert("x", inc, 1)?;
    /// graph.insert("y", inc, x)?;
    /// assert_eq!(graph.fuse(["y"])?.keys().count(), 1);
    /// assert_eq!(graph.fuse(["x", "y"])?.keys().count(), 2);
    /// # Ok::<(), dask_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a call depends on itself.
    pub fn fuse<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Self> {
        let mut draft = Draft::new(self, keys)?;
        draft.fuse();
        Ok(draft.finish())
    }

    /// Makes the calls of a cheap function a part of each task that uses their result, so that
    /// they are no tasks of their own, and may be made several times: Dask's `inline_functions`.
    /// These keys are sure to be kept.
    ///
    /// # Errors
    /// When a call depends on itself.
    pub fn inline<F: TaskFn, K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        function: F,
    ) -> Result<Self> {
        let mut draft = Draft::new(self, keys)?;
        draft.inline(function.def());
        Ok(draft.finish())
    }
}

/// The same collection with fewer tasks, its outputs under the same keys: Dask's `optimize`.
///
/// What a collection does to its graph is its own affair
/// ([`Collection::optimized_graph`](Collection::optimized_graph)); unless it says otherwise, chains
/// of calls are [fused](Graph::fuse).
///
/// ```
/// # use dask_client::{Client, Result, Collection, delayed, optimize, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let chain = delayed(inc, delayed(inc, delayed(inc, 1)));
/// let one = optimize(&chain)?;
/// assert_eq!(one.graph().keys().count(), 1);
/// assert_eq!(one.compute().await?, 4);
/// # client.close().await
/// # }
/// ```
///
/// # Errors
/// When a call of its graph depends on itself, or what the collection's own optimization says.
pub fn optimize<C: Collection>(collection: &C) -> Result<C> {
    let outputs = collection.outputs();
    let graph = match collection.optimized_graph()? {
        Some(graph) => graph,
        None => collection.graph().fuse(&outputs)?,
    };
    Ok(collection.rebuild(outputs.iter().map(|key| graph.output(key)).collect()))
}

impl Graph {
    /// One of its results.
    fn output(&self, key: &Key) -> Output {
        Output::new(match (self.nodes.get(key), self.futures.get(key)) {
            (Some(node), _) => Dependency::Delayed(node.clone()),
            (None, Some(hold)) => Dependency::Future(hold.clone()),
            (None, None) => Dependency::Key(key.clone()),
        })
    }
}

/// Calls on the way to other tasks.
struct Draft<'a> {
    graph: &'a Graph,
    /// In topological order.
    nodes: Vec<Arc<Node>>,
    /// Which of them a call depends on.
    needs: Vec<BTreeSet<usize>>,
    /// How many of them depend on a call.
    uses: Vec<usize>,
    /// The calls that will be one task, in the order in which it makes them: the last is its own.
    parts: Vec<BTreeSet<usize>>,
    /// Those that are no tasks of their own any more.
    is_part: Vec<bool>,
    /// Those whose results somebody wants to find.
    is_output: Vec<bool>,
    index: HashMap<Key, usize>,
}

impl<'a> Draft<'a> {
    fn new<K: AsRef<str>>(graph: &'a Graph, keys: impl IntoIterator<Item = K>) -> Result<Self> {
        let outputs: Vec<_> =
            keys.into_iter().filter_map(|key| graph.nodes.get(key.as_ref()).cloned()).collect();
        let wanted: HashSet<Key> = outputs.iter().map(|node| node.key.clone()).collect();
        let nodes = Plan::new(outputs, graph)?.order;
        let index: HashMap<Key, usize> =
            nodes.iter().enumerate().map(|(at, node)| (node.key.clone(), at)).collect();
        let mut uses = vec![0; nodes.len()];
        let mut needs = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let needed = node.call.dependencies.iter();
            let needed: BTreeSet<usize> =
                needed.filter_map(|needed| planned(&index, needed)).collect();
            needed.iter().for_each(|&needed| uses[needed] += 1);
            needs.push(needed);
        }
        Ok(Self {
            parts: (0..nodes.len()).map(|at| BTreeSet::from([at])).collect(),
            is_part: vec![false; nodes.len()],
            is_output: nodes.iter().map(|node| wanted.contains(&node.key)).collect(),
            graph,
            nodes,
            needs,
            uses,
            index,
        })
    }

    /// Whether a call can be made as a part of another task.
    fn may_be_part(&self, at: usize) -> bool {
        !self.is_output[at] && self.is_plain(at)
    }

    /// A call that failed before it was made has to say so itself.
    fn is_plain(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        node.failure().is_none() && !std::ptr::eq(node.def, &FUSED)
    }

    fn fuse(&mut self) {
        for at in 0..self.nodes.len() {
            let mut needed = self.needs[at].iter();
            let (Some(&only), None) = (needed.next(), needed.next()) else { continue };
            if self.uses[only] == 1 && self.may_be_part(only) && self.is_plain(at) {
                self.absorb(at, only);
            }
        }
    }

    fn inline(&mut self, def: &TaskDef) {
        for at in 0..self.nodes.len() {
            for needed in self.needs[at].clone() {
                let is_cheap = std::ptr::eq(self.nodes[needed].def, def);
                if is_cheap && self.may_be_part(needed) && self.is_plain(at) {
                    self.absorb(at, needed);
                }
            }
        }
        // What one task could not take has to stay a task for the others too.
        let separate = (0..self.nodes.len()).filter(|&at| !self.is_plain(at));
        for needed in separate.flat_map(|at| self.needs[at].clone()).collect::<Vec<_>>() {
            self.is_part[needed] = false;
        }
    }

    fn absorb(&mut self, at: usize, needed: usize) {
        let parts = self.parts[needed].clone();
        self.parts[at].extend(parts);
        self.is_part[needed] = true;
    }

    fn finish(self) -> Graph {
        let mut done: Vec<Option<Arc<Node>>> = Vec::with_capacity(self.nodes.len());
        for at in 0..self.nodes.len() {
            let node = (!self.is_part[at]).then(|| self.task(at, &done));
            done.push(node);
        }
        let nodes = done.into_iter().flatten().map(|node| (node.key.clone(), node)).collect();
        Graph { nodes, futures: self.graph.futures.clone() }
    }

    /// The call at this position, on tasks that are done.
    fn task(&self, at: usize, done: &[Option<Arc<Node>>]) -> Arc<Node> {
        let node = &self.nodes[at];
        if self.parts[at].len() > 1 {
            return Arc::new(self.fused(at, done));
        }
        let dependencies = node.call.dependencies.iter();
        let dependencies: Vec<_> = dependencies.map(|d| self.renewed(d, done)).collect();
        let is_same = dependencies.iter().zip(&node.call.dependencies).all(|pair| match pair {
            (Dependency::Delayed(new), Dependency::Delayed(old)) => Arc::ptr_eq(new, old),
            (new, old) => {
                matches!(new, Dependency::Delayed(_)) == matches!(old, Dependency::Delayed(_))
            }
        });
        if is_same {
            return node.clone();
        }
        Arc::new(node.with(dependencies))
    }

    /// One task of several calls.
    fn fused(&self, at: usize, done: &[Option<Arc<Node>>]) -> Node {
        let mut fused = Fused::default();
        let mut outside: Vec<Dependency> = Vec::new();
        let mut places: HashMap<Key, u32> = HashMap::new();
        let mut functions = Vec::new();
        let steps: HashMap<usize, u32> = self.parts[at].iter().copied().zip(0..).collect();
        for &part in &self.parts[at] {
            let node = &self.nodes[part];
            let inputs = node.call.dependencies.iter().map(|dependency| {
                let inside = planned(&self.index, dependency).and_then(|needed| steps.get(&needed));
                if let Some(&step) = inside {
                    return Source::Step(step);
                }
                let next = u32::try_from(outside.len()).unwrap_or(u32::MAX);
                Source::Task(*places.entry(dependency.key().clone()).or_insert_with(|| {
                    outside.push(self.renewed(dependency, done));
                    next
                }))
            });
            let inputs = inputs.collect();
            fused.push(node.def, node.call.body.clone(), inputs);
            functions.push(node.def.name());
        }
        let mut writer = CallWriter::live();
        let dependencies = u32::try_from(outside.len()).unwrap_or(u32::MAX);
        let written = fused.write(&mut writer, dependencies);
        written.expect("what stays live is not encoded");
        let body = writer.finish();
        let own = &self.nodes[at];
        let call = Call { body, dependencies: outside, token: own.call.token };
        Node::fused(own.key.clone(), call, functions)
    }

    /// A dependency, on the task that is made in its place.
    fn renewed(&self, dependency: &Dependency, done: &[Option<Arc<Node>>]) -> Dependency {
        match planned(&self.index, dependency).and_then(|needed| done[needed].clone()) {
            Some(node) => Dependency::Delayed(node),
            None => dependency.clone(),
        }
    }
}

/// Which call a dependency is, if it is one of them.
fn planned(index: &HashMap<Key, usize>, dependency: &Dependency) -> Option<usize> {
    match dependency {
        Dependency::Future(_) => None,
        Dependency::Delayed(_) | Dependency::Key(_) => index.get(dependency.key()).copied(),
    }
}
