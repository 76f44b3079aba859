//! Files that every worker is to have.

use std::path::Path;

use bytes::Bytes;
use dask_proto::message::{Equipment, Item, Manage, Question, Reply, Request};

use super::control::done;
use super::question::{addresses, ask_all};
use crate::{Client, Result};

impl Client {
    /// Puts a data file on every worker, also on those that join later: Dask's
    /// `Client.upload_file`. Tasks find it under its name in their
    /// [`local_directory`](crate::local_directory). Returns once the workers that are there have
    /// it. A file replaces an earlier one of the same name.
    ///
    /// The scheduler keeps its content, up to 1 GiB of all such files, for workers that join
    /// later. Code need not be uploaded: a worker runs the program of its client.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// #[task]
    /// fn lines(file: &str) -> std::io::Result<usize> {
    ///     let path = dask_client::local_directory()?.join(file);
    ///     Ok(std::fs::read_to_string(path)?.lines().count())
    /// }
    ///
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// # let directory = std::env::temp_dir().join(format!("upload-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("airports.csv");
    /// # std::fs::write(&path, "JFK\nLGA\nEWR\n")?;
    /// client.upload_file(&path).await?;
    /// assert_eq!(client.submit(lines, "airports.csv").await?, 3);
    /// # std::fs::remove_dir_all(&directory)?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read or has no name, a worker cannot write it, the scheduler has no
    /// room for it, or is gone.
    pub async fn upload_file(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref().to_owned();
        let unnamed = || std::io::Error::other(format!("{} has no name in UTF-8", path.display()));
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unnamed)?.to_owned();
        let content = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
        let content = content.map_err(std::io::Error::other)??;
        self.equip(Equipment { name, item: Item::File(Bytes::from(content).into()) }).await
    }

    /// Gives every worker something, also those that join later.
    pub(crate) async fn equip(&self, equipment: Equipment) -> Result<()> {
        let name = equipment.name.clone();
        done(self.link().ask(Request::Manage(Manage::Equip(equipment))).await?)?;
        self.all_do(Question::Take { name }).await
    }

    /// Removes the file that [`Client::upload_file`] put on every worker under this name.
    ///
    /// # Errors
    /// When there is none of this name, a worker cannot remove it, or the scheduler is gone.
    pub async fn remove_file(&self, name: impl Into<String>) -> Result<()> {
        self.unequip(name.into()).await
    }

    /// Takes something from every worker, that all were to have.
    pub(crate) async fn unequip(&self, name: String) -> Result<()> {
        done(self.link().ask(Request::Manage(Manage::Unequip { name: name.clone() })).await?)?;
        self.all_do(Question::Unequip { name }).await
    }

    /// Has every worker do something. One that leaves meanwhile has nothing more to do.
    async fn all_do(&self, question: Question) -> Result<()> {
        let workers = addresses(self.link(), Vec::new()).await?;
        let is_done = |reply| (reply == Reply::Done).then_some(());
        ask_all(self.link(), workers, &question, is_done).await.map(drop)
    }
}
