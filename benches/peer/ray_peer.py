"""The questions of `cargo xtask bench compare --ray`, answered by Ray.

As `dask_peer.py`: one question a line on standard input, one line of JSON for each on standard
output. Ray runs on this machine with two processors, so with two workers of one thread. Its results
live in shared memory and its tasks are leased to workers in batches; a task and its result are the
same work as elsewhere.
"""

import os
import statistics
import time

os.environ.setdefault("RAY_DEDUP_LOGS", "0")

import ray

from questions import answer_all

WARM_UP = 1000


@ray.remote
def inc(x):
    return x + 1


@ray.remote
def add(a, b):
    return a + b


@ray.remote
def total(*xs):
    return sum(xs)


@ray.remote
def nth(x, n):
    return x + n


class Session:
    def __init__(self):
        self.is_started = False
        self.runs = 0

    def measure(self, workload, size):
        if not self.is_started:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
            self.is_started = True
            self.map(WARM_UP, 0)
        self.runs += 1
        return getattr(self, workload.replace("-", "_"))(size, self.runs << 40)

    def close(self):
        if self.is_started:
            ray.shutdown()

    def map(self, n, base):
        begin = time.perf_counter()
        values = ray.get([inc.remote(i) for i in range(base, base + n)])
        elapsed = time.perf_counter() - begin
        assert values == list(range(base + 1, base + n + 1))
        return {"tasks_per_s": n / elapsed}

    def tree(self, leaves, base):
        begin = time.perf_counter()
        level = [inc.remote(i) for i in range(base, base + leaves)]
        while len(level) > 1:
            level = [add.remote(a, b) for a, b in zip(level[0::2], level[1::2])]
        found = ray.get(level[0])
        elapsed = time.perf_counter() - begin
        assert found == sum(range(base + 1, base + leaves + 1))
        return {"tasks_per_s": (2 * leaves - 1) / elapsed}

    def chain(self, n, base):
        begin = time.perf_counter()
        last = inc.remote(base)
        for _ in range(1, n):
            last = inc.remote(last)
        value = ray.get(last)
        elapsed = time.perf_counter() - begin
        assert value == base + n
        return {"tasks_per_s": n / elapsed}

    def many_to_one(self, n, base):
        begin = time.perf_counter()
        found = ray.get(total.remote(*[inc.remote(i) for i in range(base, base + n)]))
        elapsed = time.perf_counter() - begin
        assert found == sum(range(base + 1, base + n + 1))
        return {"tasks_per_s": (n + 1) / elapsed}

    def one_to_many(self, n, base):
        begin = time.perf_counter()
        one = inc.remote(base)
        values = ray.get([nth.remote(one, i) for i in range(n)])
        elapsed = time.perf_counter() - begin
        assert values == list(range(base + 1, base + n + 1))
        return {"tasks_per_s": (n + 1) / elapsed}

    def round_trip(self, n, base):
        each = []
        for i in range(n):
            begin = time.perf_counter()
            ray.get(inc.remote(base + i))
            each.append(time.perf_counter() - begin)
        median = statistics.median(each)
        return {"median_us": median * 1e6, "round_trips_per_s": 1 / median}


if __name__ == "__main__":
    answer_all(Session())
