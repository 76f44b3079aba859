use bytes::{BufMut, BytesMut};
use dask_proto::message::{Answer, Coordination, CoordinationAnswer, MetadataAction, Request};
use dask_proto::{Key, Payload};
use dask_task::Value;
use serde::Serialize;

use crate::error::Kind;
use crate::future::travel::pack;
use crate::{Client, Result};

/// Where a piece of metadata is: a name, `"run"`, or names within names, `["run", "started"]`.
pub trait MetadataPath {
    /// The names, from the outermost.
    fn names(&self) -> Vec<&str>;
}

impl MetadataPath for str {
    fn names(&self) -> Vec<&str> {
        vec![self]
    }
}

impl MetadataPath for String {
    fn names(&self) -> Vec<&str> {
        vec![self]
    }
}

impl<S: AsRef<str>> MetadataPath for [S] {
    fn names(&self) -> Vec<&str> {
        self.iter().map(AsRef::as_ref).collect()
    }
}

impl<S: AsRef<str>, const N: usize> MetadataPath for [S; N] {
    fn names(&self) -> Vec<&str> {
        self.as_slice().names()
    }
}

impl<S: AsRef<str>> MetadataPath for Vec<S> {
    fn names(&self) -> Vec<&str> {
        self.as_slice().names()
    }
}

impl<P: MetadataPath + ?Sized> MetadataPath for &P {
    fn names(&self) -> Vec<&str> {
        (**self).names()
    }
}

impl Client {
    /// Keeps a value on the scheduler, under a name or names within names: Dask's `set_metadata`.
    /// It replaces all that was there and below.
    ///
    /// ```
    /// # use dask_client::{Client, Result};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// use std::collections::BTreeMap;
    ///
    /// client.set_metadata(["run", "started"], &17).await?;
    /// client.set_metadata(["run", "ended"], &18).await?;
    /// assert_eq!(client.get_metadata(["run", "started"]).await?, Some(17));
    /// let run: Option<BTreeMap<String, i32>> = client.get_metadata("run").await?;
    /// assert_eq!(run.map(|run| run.len()), Some(2));
    /// assert_eq!(client.get_metadata::<i32>("nothing").await?, None);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a name is too long or that of a value, the value cannot be serialized or is too large,
    /// or the scheduler is gone.
    pub async fn set_metadata<T: Serialize + ?Sized>(
        &self,
        path: impl MetadataPath,
        value: &T,
    ) -> Result<()> {
        let action = MetadataAction::Set(pack(value)?);
        super::control::done(self.metadata(keys(&path)?, action).await?)
    }

    /// The value that is kept under a name, or names within names; `None` if there is none: Dask's
    /// `get_metadata`. A name with names below it is a map of them.
    ///
    /// # Errors
    /// When a name is too long, what is there is of another type, or the scheduler is gone.
    pub async fn get_metadata<T: Value>(&self, path: impl MetadataPath) -> Result<Option<T>> {
        match self.metadata(keys(&path)?, MetadataAction::Get).await? {
            Answer::Coordination(CoordinationAnswer::Metadata(below)) if below.is_empty() => {
                Ok(None)
            }
            Answer::Coordination(CoordinationAnswer::Metadata(below)) => {
                let mut bytes = BytesMut::new();
                compose(&below, 0, &mut bytes)?;
                dask_task::decode(&bytes).map(Some).map_err(|error| Kind::Kept(error).into())
            }
            _ => Err(Kind::Answer.into()),
        }
    }

    async fn metadata(&self, path: Vec<Key>, action: MetadataAction) -> Result<Answer> {
        self.link().ask(Request::Coordinate(Coordination::Metadata { path, action })).await
    }
}

fn keys(path: &impl MetadataPath) -> Result<Vec<Key>> {
    path.names().into_iter().map(|name| Ok(Key::new(name)?)).collect()
}

/// Writes values that have this many names in common as one: a value is written as it is, and what
/// has names below it as a map of them. They come in the order of their names.
fn compose(below: &[(Vec<Key>, Payload)], depth: usize, out: &mut BytesMut) -> Result<()> {
    if let [(path, value)] = below
        && path.len() <= depth
    {
        out.put_slice(&value.to_bytes().map_err(Kind::Kept)?);
        return Ok(());
    }
    let groups: Vec<_> = below.chunk_by(|(a, _), (b, _)| a.get(depth) == b.get(depth)).collect();
    out.put_u64_le(groups.len() as u64);
    for group in groups {
        let name = group[0].0.get(depth).ok_or(Kind::Answer)?.as_str();
        out.put_u64_le(name.len() as u64);
        out.put_slice(name.as_bytes());
        compose(group, depth + 1, out)?;
    }
    Ok(())
}
