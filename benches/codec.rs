//! How fast do messages become frames and messages again?

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dask_proto::codec::{Carriage, decode, encode};
use dask_proto::graph::{TaskOptions, TaskSpec};
use dask_proto::id::{FunctionId, FutureId};
use dask_proto::message::{ClientToScheduler, Submit};
use dask_proto::{Key, Payload};

const TASKS: u64 = 1000;

fn submission() -> Vec<ClientToScheduler> {
    let task = |future| TaskSpec {
        future: FutureId(future),
        key: Key::new(format!("inc-{future:032x}")).expect("a short key"),
        function: FunctionId(0),
        content: None,
        dependencies: Vec::new(),
        body: Payload::Bytes(vec![0; 17].into()),
    };
    let tasks = (0..TASKS).map(task).collect();
    vec![ClientToScheduler::Submit(Submit { options: TaskOptions::default(), tasks })]
}

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(TASKS));
    let messages = submission();
    group.bench_function("encode tasks", |b| b.iter(|| encode(&messages, Carriage::Bytes)));
    let frames = encode(&messages, Carriage::Bytes).expect("the submission is small");
    group.bench_function("decode tasks", |b| {
        b.iter_batched(|| frames.clone(), decode::<ClientToScheduler>, BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
