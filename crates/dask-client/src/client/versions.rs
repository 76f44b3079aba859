//! Which versions the processes of the cluster have.

use std::collections::BTreeMap;

use dask_proto::Address;
use dask_proto::message::{Question, Reply, Versions, Whom};

use super::program::program;
use super::question::{addresses, ask, ask_all};
use crate::error::Kind;
use crate::{Client, Result};

/// The versions of the client, the scheduler and the workers: [`Client::get_versions`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterVersions {
    /// Those of this process.
    pub client: Versions,
    /// Those of the scheduler's process.
    pub scheduler: Versions,
    /// Those of each worker's process.
    pub workers: BTreeMap<Address, Versions>,
}

impl Client {
    /// The versions of client, scheduler and workers: Dask's `Client.get_versions`.
    /// [`ClusterVersions::check`] compares them.
    ///
    /// ```
    /// # use dask_client::{Client, Result};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let versions = client.get_versions().await?;
    /// println!("{} on {}", versions.client.dask, versions.client.program.target);
    /// versions.check()?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a worker leaves before it replies, or the scheduler is gone.
    pub async fn get_versions(&self) -> Result<ClusterVersions> {
        let scheduler = ask(self.link(), Whom::Scheduler, Question::Versions).await?;
        let scheduler = versions(scheduler).ok_or(Kind::Answer)?;
        let workers = addresses(self.link(), Vec::new()).await?;
        let workers = ask_all(self.link(), workers, &Question::Versions, versions).await?;
        let workers = workers.into_iter().collect();
        Ok(ClusterVersions { client: Versions::of(program()), scheduler, workers })
    }
}

fn versions(reply: Reply) -> Option<Versions> {
    if let Reply::Versions(versions) = reply { Some(*versions) } else { None }
}

impl ClusterVersions {
    /// Whether all have the versions of the client: Dask's `get_versions(check=True)`. The program
    /// itself is compared with workers that run the one of this name.
    ///
    /// # Errors
    /// When some do not; the error names them, and what differs.
    pub fn check(&self) -> Result<()> {
        let mut lines = differences("the scheduler", &self.client, &self.scheduler);
        for (worker, versions) in &self.workers {
            let who = format!("worker {worker}");
            lines.extend(differences(&who, &self.client, versions));
            let (ours, theirs) = (&self.client.program, &versions.program);
            if ours.name == theirs.name {
                let name = &ours.name;
                lines.extend(difference(&who, name, (&ours.version, &theirs.version)));
                lines.extend(difference(&who, "target", (&ours.target, &theirs.target)));
            }
        }
        if lines.is_empty() { Ok(()) } else { Err(Kind::Versions(lines.join("; ")).into()) }
    }
}

fn differences(who: &str, ours: &Versions, theirs: &Versions) -> Vec<String> {
    let dask = difference(who, "dask-client", (&ours.dask, &theirs.dask));
    let protocols = (ours.protocol.to_string(), theirs.protocol.to_string());
    let protocol = difference(who, "the protocol", (&protocols.0, &protocols.1));
    dask.into_iter().chain(protocol).collect()
}

fn difference(who: &str, what: &str, (ours, theirs): (&str, &str)) -> Option<String> {
    (ours != theirs).then(|| format!("{what} is {ours} on the client and {theirs} on {who}"))
}

#[cfg(test)]
mod tests {
    use dask_proto::message::Program;

    use super::*;

    fn of(dask: &str, program: &str) -> Versions {
        let program = Program {
            name: "job".to_owned(),
            version: program.to_owned(),
            target: "x86_64-linux".to_owned(),
            ..Program::default()
        };
        Versions { program, dask: dask.to_owned(), protocol: 1 }
    }

    #[test]
    fn what_differs_is_named_with_its_place() {
        let worker: Address = "tcp://10.0.0.1:4001".parse().expect("an address");
        let cluster = |scheduler, worker_dask, worker_program| ClusterVersions {
            client: of("0.1.0", "1.0"),
            scheduler: of(scheduler, "7.0"),
            workers: BTreeMap::from([(worker.clone(), of(worker_dask, worker_program))]),
        };
        assert!(cluster("0.1.0", "0.1.0", "1.0").check().is_ok());
        let error = cluster("0.1.0", "0.2.0", "1.1").check().expect_err("two differ");
        let error = error.to_string();
        let dask = "dask-client is 0.1.0 on the client and 0.2.0 on worker tcp://10.0.0.1:4001";
        assert!(error.contains(dask), "{error}");
        assert!(error.contains("job is 1.0 on the client and 1.1 on worker"), "{error}");
        let error = cluster("0.3.0", "0.1.0", "1.0").check().expect_err("the scheduler differs");
        assert!(error.to_string().contains("0.3.0 on the scheduler"), "{error}");
    }
}
