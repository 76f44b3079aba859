use std::future::IntoFuture;

use dask_proto::Key;
use dask_proto::message::{
    Answer, Coordination, CoordinationAnswer, DatasetAction, KeptValue, Request,
};
use dask_task::Value;
use serde::Serialize;

use crate::coordination::Handle;
use crate::error::Kind;
use crate::future::travel::pack;
use crate::{BoxFuture, Client, Options, Result};

/// A publication of a dataset, made when awaited: [`Client::publish_dataset`].
#[must_use = "nothing is published until this is awaited"]
pub struct PublishDataset {
    client: Client,
    name: String,
    value: Result<KeptValue>,
    overwrite: bool,
}

impl PublishDataset {
    /// Whether to replace a dataset that has the name already: Dask's `override`. Unless this is
    /// set to `true`, that is an error.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    async fn run(self) -> Result<()> {
        let (name, value, overwrite) = (Key::new(self.name)?, self.value?, self.overwrite);
        let action = DatasetAction::Publish { name, value, overwrite };
        super::control::done(self.client.dataset(action).await?)
    }
}

impl Options {
    /// [`Client::publish_dataset`] with these options.
    pub fn publish_dataset<T: Serialize + ?Sized>(
        &self,
        name: impl Into<String>,
        value: &T,
    ) -> PublishDataset {
        self.client.publish_dataset(name, value).overwrite(self.overwrite)
    }
}

impl IntoFuture for PublishDataset {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'static, Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl Client {
    /// Gives a value a name on the scheduler, for any client to [get](Client::get_dataset): Dask's
    /// `publish_dataset`. The futures in it, alone or inside of other values, keep their results on
    /// the cluster, also when this client is gone.
    ///
    /// ```
    /// # use dask_client::{Client, Future, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let parts: Vec<Future<i64>> = client.map(inc, 0..3);
    /// client.publish_dataset("parts", &parts).await?;
    /// drop(parts);
    /// assert_eq!(client.list_datasets().await?, ["parts"]);
    /// let parts: Vec<Future<i64>> = client.get_dataset("parts").await?;
    /// assert_eq!(client.gather(&parts).await?, [1, 2, 3]);
    /// client.unpublish_dataset("parts").await?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is too long or taken, the value cannot be serialized or is too large, a future
    /// in it is not on the cluster, or the scheduler is gone.
    pub fn publish_dataset<T: Serialize + ?Sized>(
        &self,
        name: impl Into<String>,
        value: &T,
    ) -> PublishDataset {
        let (client, name, value) = (self.clone(), name.into(), pack(value));
        PublishDataset { client, name, value, overwrite: false }
    }

    /// The dataset of this name: Dask's `get_dataset`.
    ///
    /// # Errors
    /// When there is none, it is of another type, or the scheduler is gone.
    pub async fn get_dataset<T: Value>(&self, name: impl AsRef<str>) -> Result<T> {
        let handle = Handle::new(self, &name);
        let action = DatasetAction::Get(Key::new(name.as_ref())?);
        handle.receive_one(handle.ask(Coordination::Dataset(action)).await?)
    }

    /// The names of all datasets: Dask's `list_datasets`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn list_datasets(&self) -> Result<Vec<String>> {
        match self.dataset(DatasetAction::List).await? {
            Answer::Coordination(CoordinationAnswer::Names(names)) => {
                Ok(names.into_iter().map(|name| name.to_string()).collect())
            }
            _ => Err(Kind::Answer.into()),
        }
    }

    /// Takes the name from the dataset that has it: Dask's `unpublish_dataset`.
    ///
    /// # Errors
    /// When there is none, or the scheduler is gone.
    pub async fn unpublish_dataset(&self, name: impl AsRef<str>) -> Result<()> {
        let action = DatasetAction::Unpublish(Key::new(name.as_ref())?);
        super::control::done(self.dataset(action).await?)
    }

    async fn dataset(&self, action: DatasetAction) -> Result<Answer> {
        self.link().ask(Request::Coordinate(Coordination::Dataset(action))).await
    }
}
