//! Functions that run in the cluster's processes, outside of the scheduler's tasks.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

use dask_proto::message::{Question, Reply, RunFunction, Whom};
use dask_proto::{Address, Key};
use dask_task::{TaskFn, Value, registry};

use super::question::{addresses, ask, ask_each};
use crate::error::Kind;
use crate::future::gather::Errors;
use crate::future::hold::Hold;
use crate::submit::argument::{CallBuilder, IntoArgs};
use crate::{BoxFuture, Client, Options, Result};

/// A call of a function on every worker, made when awaited: [`Client::run`].
#[derive(Debug)]
#[must_use = "nothing runs until this is awaited"]
pub struct Run<T> {
    call: Call<T>,
    /// None means all of them.
    workers: Option<Vec<String>>,
    errors: Errors,
}

/// [`Run`] with a result or an error for each worker: [`Run::results`].
#[derive(Debug)]
#[must_use = "nothing runs until this is awaited"]
pub struct RunResults<T>(Run<T>);

/// A call of a function in the scheduler's process, made when awaited:
/// [`Client::run_on_scheduler`].
#[derive(Debug)]
#[must_use = "nothing runs until this is awaited"]
pub struct RunOnScheduler<T> {
    call: Call<T>,
}

#[derive(Debug)]
struct Call<T> {
    client: Client,
    /// What stands for a key in errors.
    name: Key,
    /// What to call, or why that makes no sense.
    function: Result<RunFunction>,
    /// The futures in its arguments, until the call is over.
    found: Vec<Arc<Hold>>,
    wait: bool,
    output: PhantomData<fn() -> T>,
}

impl Client {
    /// Calls a task function in every worker process, outside of the scheduler: Dask's
    /// `Client.run`. It starts at once, on a thread of its own, however busy the worker is, and has
    /// no key. It is for what concerns the process: its environment, what it has cached. Where
    /// agents run several programs, every worker is every one of this program.
    ///
    /// ```
    /// # use dask_client::{Address, Client, Result, task};
    /// use std::collections::HashMap;
    ///
    /// #[task]
    /// fn pid() -> u32 { std::process::id() }
    ///
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let pids: HashMap<Address, u32> = client.run(pid, ()).await?;
    /// let some = client.run(pid, ()).workers(["0"]).await?;    // names, addresses or hosts
    /// let each = client.run(pid, ()).results().await?;         // a Result for each worker
    /// client.run(pid, ()).wait(false).await?;                  // returns once it has begun
    /// # assert_eq!((pids.len(), some.len(), each.len()), (1, 1, 1));
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the function fails or panics on a worker, which the error names, unless told otherwise
    /// by [`Run::errors`] or [`Run::results`]; when a worker leaves before it replies, or one that
    /// is named is not there; when an argument is a future; when the scheduler is gone.
    pub fn run<F: TaskFn>(&self, function: F, args: impl IntoArgs<F::Params>) -> Run<F::Output> {
        let call = Call::new::<F>(self, function, args);
        Run { call, workers: None, errors: Errors::Raise }
    }

    /// Calls a task function in the process of the scheduler: Dask's `Client.run_on_scheduler`.
    ///
    /// That works where the scheduler is a part of the program, as with [`Client::local`] and
    /// [`LocalCluster`](crate::LocalCluster). A scheduler that was started by `dask scheduler` is
    /// another program, which has none of this program's functions, and says so. The function sees
    /// what belongs to the process. It does not see the scheduler's state, which is its one
    /// thread's own: [`scheduler_info`](Client::scheduler_info) and its like tell of that.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[task] fn pid() -> u32 { std::process::id() }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// assert_eq!(client.run_on_scheduler(pid, ()).await?, std::process::id());
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the function fails or panics, or the scheduler is of another program; when an argument
    /// is a future; when the scheduler is gone.
    pub fn run_on_scheduler<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> RunOnScheduler<F::Output> {
        RunOnScheduler { call: Call::new::<F>(self, function, args) }
    }
}

impl Options {
    /// [`Client::run`] with these options.
    pub fn run<F: TaskFn>(&self, function: F, args: impl IntoArgs<F::Params>) -> Run<F::Output> {
        let run = self.client.run(function, args);
        let workers = Some(&self.task.workers).filter(|workers| !workers.is_empty());
        Run { workers: workers.cloned(), errors: self.errors, ..run }
    }
}

impl<T> Run<T> {
    /// Only on these workers, which may be none: addresses, hosts or names.
    pub fn workers<W: Into<String>>(mut self, workers: impl IntoIterator<Item = W>) -> Self {
        self.workers = Some(workers.into_iter().map(Into::into).collect());
        self
    }

    /// What a failure on one worker means, Dask's `on_error`: with [`Raise`](Errors::Raise) the
    /// whole call fails, with [`Skip`](Errors::Skip) the worker is left out (Dask's `"ignore"`).
    pub fn errors(mut self, errors: Errors) -> Self {
        self.errors = errors;
        self
    }

    /// Whether to wait until the functions return; `true` by default. With `false` the result is
    /// empty, and comes once every worker has begun.
    pub fn wait(mut self, wait: bool) -> Self {
        self.call.wait = wait;
        self
    }

    /// A result or an error for each worker: Dask's `on_error="return"`.
    pub fn results(self) -> RunResults<T> {
        RunResults(self)
    }
}

impl<T: Value> Run<T> {
    /// What every worker that is not left out said.
    async fn each(self) -> Result<Vec<(Address, Result<Option<T>>)>> {
        let Self { call, workers, .. } = self;
        let (client, name, question, _found) = call.question()?;
        let workers = match workers {
            // Whoever names none means none.
            Some(named) if named.is_empty() => Vec::new(),
            Some(named) => addresses(client.link(), named).await?,
            None => of_this_program(&client).await?,
        };
        let replies = ask_each(client.link(), workers, &question).await.into_iter();
        let value = |(worker, reply): (Address, Result<Reply>)| {
            let value = reply.and_then(|reply| value(reply, &name));
            (worker, value)
        };
        Ok(replies.map(value).collect())
    }
}

impl<T> RunOnScheduler<T> {
    /// Returns once the function has begun: Dask's `wait=False`.
    ///
    /// # Errors
    /// As [`Client::run_on_scheduler`], but for those of the function.
    pub async fn start(mut self) -> Result<()> {
        self.call.wait = false;
        let (client, _, question, _found) = self.call.question()?;
        match ask(client.link(), Whom::Scheduler, question).await? {
            Reply::Started => Ok(()),
            _ => Err(Kind::Answer.into()),
        }
    }
}

impl<T> Call<T> {
    fn new<F: TaskFn>(client: &Client, function: F, args: impl IntoArgs<F::Params>) -> Self {
        let name = Key::new(function.def().name());
        let name = name.unwrap_or_else(|_| Key::new("run").expect("it is short"));
        let mut found = Vec::new();
        let function = call::<F>(client, function, args, &mut found);
        Self { client: client.clone(), name, function, found, wait: true, output: PhantomData }
    }

    /// What to ask for whom, and what to hold on to until it is answered.
    fn question(self) -> Result<(Client, Key, Question, Vec<Arc<Hold>>)> {
        let Self { client, name, function, found, wait, .. } = self;
        Ok((client, name, Question::Run(RunFunction { wait, ..function? }), found))
    }
}

/// All workers but those that run another program, on which its functions are others.
async fn of_this_program(client: &Client) -> Result<Vec<Address>> {
    let this = super::program::this();
    let mut workers = client.scheduler_info().await?.workers;
    workers.retain(|worker| this.is_none() || worker.program.is_none() || worker.program == this);
    Ok(workers.into_iter().map(|worker| worker.address).collect())
}

/// What a function returned; nothing where nobody waits for that.
fn value<T: Value>(reply: Reply, name: &Key) -> Result<Option<T>> {
    match reply {
        Reply::Returned(value) => {
            let failed = |source| Kind::Value { key: name.clone(), source }.into();
            dask_task::take(value).map(Some).map_err(failed)
        }
        Reply::Started => Ok(None),
        _ => Err(Kind::Answer.into()),
    }
}

/// A call as it travels, and the futures in its arguments.
fn call<F: TaskFn>(
    client: &Client,
    function: F,
    args: impl IntoArgs<F::Params>,
    found: &mut Vec<Arc<Hold>>,
) -> Result<RunFunction> {
    let def = function.def();
    registry::find(def.path, def.signature)?;
    let mut call = CallBuilder::new(client.link().carriage, None);
    args.write(&mut call)?;
    let (call, in_values) = call.finish();
    found.extend(in_values);
    match call.dependencies.first() {
        Some(dependency) => Err(Kind::RunOnFuture(dependency.key().clone()).into()),
        None => Ok(RunFunction { function: def.function(), body: call.body, wait: true }),
    }
}

impl<T: Value> IntoFuture for Run<T> {
    type Output = Result<HashMap<Address, T>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let errors = self.errors;
            let mut values = HashMap::new();
            for (worker, value) in self.each().await? {
                match value {
                    Ok(value) => values.extend(value.map(|value| (worker, value))),
                    Err(_) if errors == Errors::Skip => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(values)
        })
    }
}

impl<T: Value> IntoFuture for RunResults<T> {
    type Output = Result<HashMap<Address, Result<T>>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let each = self.0.each().await?.into_iter();
            Ok(each.filter_map(|(worker, value)| Some((worker, value.transpose()?))).collect())
        })
    }
}

impl<T: Value> IntoFuture for RunOnScheduler<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (client, name, question, _found) = self.call.question()?;
            let reply = ask(client.link(), Whom::Scheduler, question).await?;
            value(reply, &name)?.ok_or_else(|| Kind::Answer.into())
        })
    }
}
