//! The documented API, every name and form of it: programs of their own on clusters of processes.

use crate::child::{Processes, Program, bounded};

async fn uses_all_of_it(program: &str) {
    let cluster = Processes::start().await;
    let (status, errors) = Program::start(&[program, &cluster.address], &[]).ended().await;
    assert!(status.success(), "{status}: {errors}");
    let Processes { mut scheduler, .. } = cluster;
    // It was shut down.
    assert!(scheduler.ended().await.0.success());
}

#[tokio::test]
async fn an_async_program_uses_every_name_of_the_client() {
    bounded(uses_all_of_it("contract")).await;
}

#[tokio::test]
async fn a_blocking_program_uses_every_name_of_the_client() {
    bounded(uses_all_of_it("blocking-contract")).await;
}
