//! What cannot be an actor, and calls that do not fit.

use dask_client::{Actor, Client, actor};

struct Counter {
    n: i64,
}

#[actor]
impl Counter {
    pub fn new() -> Self {
        Self { n: 0 }
    }

    pub fn add(&mut self, n: i64) -> i64 {
        self.n += n;
        self.n
    }
}

fn calls(client: &Client) {
    let counter: Actor<Counter> = client.options().actor(true).submit(Counter::new, ());
    counter.add("one");
    counter.subtract(1);
    client.options().actor(true).submit(Counter::new, 5);
    client.options().actor(true).submit(String::new, ());
}

struct Generic<T>(T);

#[actor]
impl<T> Generic<T> {
    pub fn get(&self) {}
}

struct Taken;

#[actor]
impl Taken {
    pub fn take(self) {}
}

struct Wide;

#[actor]
impl Wide {
    pub fn any<T>(&self, _: T) {}
}

#[actor]
impl Default for Wide {
    fn default() -> Self {
        Self
    }
}

#[actor]
fn no_block() {}

fn main() {}
