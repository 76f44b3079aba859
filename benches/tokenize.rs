//! How many keys a second can a client make, and how fast are large values hashed?

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dask_tokenize::{Tokenizer, key_name, tokenize};

fn keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("tokenize");
    let mut function = Tokenizer::new();
    function.function("session::inc", "fn(i64) -> i64");
    group.throughput(Throughput::Elements(1));
    group.bench_function("the key of inc(i64)", |b| {
        let mut i = 0_i64;
        b.iter(|| {
            i += 1;
            let mut call = function.clone();
            call.value(&i).expect("a number has a token");
            key_name("inc", call.finish())
        });
    });
    let floats = vec![1.5_f64; 1 << 20];
    group.throughput(Throughput::Bytes(8 << 20));
    group.bench_function("8 MiB of f64", |b| b.iter(|| tokenize(&floats)));
    group.finish();
}

criterion_group!(benches, keys);
criterion_main!(benches);
