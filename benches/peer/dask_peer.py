"""The questions of `cargo xtask bench compare`, answered by Dask.

One question a line on standard input, `WORKLOAD SIZE`; one line of JSON for each on standard
output. Scheduler, two workers of one thread and this client are processes of their own over TCP on
the loopback interface. Settings come from the environment, as Dask reads them.
"""

import ctypes
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from operator import add

from distributed import Client, wait

from questions import answer_all

WARM_UP = 1000
PAUSE = 0.1


def inc(x):
    return x + 1


def nth(x, n):
    return x + n


def make(n, fill):
    return bytes([fill]) * n


def die_with_parent():
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )


class Cluster:
    """A cluster that has given one result."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        file = os.path.join(self.directory.name, "scheduler.json")
        local = ["--host", "127.0.0.1", "--no-dashboard"]
        self.scheduler = start(
            "distributed.cli.dask_scheduler", "--port", "0", *local, "--scheduler-file", file
        )
        self.workers = [
            start(
                "distributed.cli.dask_worker", "--scheduler-file", file, *local,
                "--nthreads", "1", "--no-nanny", "--name", name,
                "--local-directory", self.directory.name,
            )
            for name in ["first", "second"]
        ]
        # Other than a worker, a client does not wait for the file.
        while not os.path.exists(file):
            time.sleep(0.005)
        self.client = Client(scheduler_file=file)
        self.client.wait_for_workers(2)
        self.client.submit(inc, -1).result()

    def close(self):
        self.client.close()
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()
        self.directory.cleanup()


def rss(process):
    with open(f"/proc/{process.pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10


class Session:
    def __init__(self):
        self.cluster = None
        self.runs = 0

    def measure(self, workload, size):
        if workload in ("start", "idle"):
            return getattr(self, workload)()
        if self.cluster is None:
            self.cluster = Cluster()
            self.client = self.cluster.client
            self.map(WARM_UP, 0)
        self.runs += 1
        # No two runs have a key in common.
        figures = getattr(self, workload.replace("-", "_"))(size, self.runs << 40)
        self.client.scheduler_info()
        time.sleep(PAUSE)
        return figures

    def close(self):
        if self.cluster:
            self.cluster.close()

    def start(self):
        begin = time.perf_counter()
        cluster = Cluster()
        elapsed = time.perf_counter() - begin
        cluster.close()
        return {"ms": elapsed * 1e3}

    def idle(self):
        cluster = Cluster()
        time.sleep(PAUSE)
        mib = 1 << 20
        figures = {
            "scheduler_mib": rss(cluster.scheduler) / mib,
            "worker_mib": rss(cluster.workers[0]) / mib,
        }
        cluster.close()
        return figures

    def map(self, n, base):
        begin = time.perf_counter()
        values = self.client.gather(self.client.map(inc, range(base, base + n)))
        elapsed = time.perf_counter() - begin
        assert values == list(range(base + 1, base + n + 1))
        return {"tasks_per_s": n / elapsed}

    def tree(self, leaves, base):
        begin = time.perf_counter()
        level = self.client.map(inc, range(base, base + leaves))
        while len(level) > 1:
            level = self.client.map(add, level[0::2], level[1::2])
        total = level[0].result()
        elapsed = time.perf_counter() - begin
        assert total == sum(range(base + 1, base + leaves + 1))
        return {"tasks_per_s": (2 * leaves - 1) / elapsed}

    def chain(self, n, base):
        begin = time.perf_counter()
        last = self.client.submit(inc, base)
        for _ in range(1, n):
            last = self.client.submit(inc, last)
        value = last.result()
        elapsed = time.perf_counter() - begin
        assert value == base + n
        return {"tasks_per_s": n / elapsed}

    def many_to_one(self, n, base):
        begin = time.perf_counter()
        futures = self.client.map(inc, range(base, base + n))
        total = self.client.submit(sum, futures).result()
        elapsed = time.perf_counter() - begin
        assert total == sum(range(base + 1, base + n + 1))
        return {"tasks_per_s": (n + 1) / elapsed}

    def one_to_many(self, n, base):
        begin = time.perf_counter()
        one = self.client.submit(inc, base)
        values = self.client.gather(self.client.map(nth, [one] * n, range(n)))
        elapsed = time.perf_counter() - begin
        assert values == list(range(base + 1, base + n + 1))
        return {"tasks_per_s": (n + 1) / elapsed}

    def round_trip(self, n, base, pause=0.0):
        each = []
        for i in range(n):
            begin = time.perf_counter()
            self.client.submit(inc, base + i).result()
            each.append(time.perf_counter() - begin)
            if pause:
                time.sleep(pause)
        median = statistics.median(each)
        return {"median_us": median * 1e6, "round_trips_per_s": 1 / median}

    def round_trip_idle(self, n, base):
        return self.round_trip(n, base, pause=0.005)

    def scatter(self, n, base):
        value = make(n, self.runs % 256)
        begin = time.perf_counter()
        future = self.client.scatter(value, hash=False)
        elapsed = time.perf_counter() - begin
        assert self.client.submit(len, future).result() == n
        return {"mb_per_s": n / 1e6 / elapsed}

    def gather(self, n, base):
        future = self.client.submit(make, n, self.runs % 256, pure=False)
        wait(future)
        begin = time.perf_counter()
        value = future.result()
        elapsed = time.perf_counter() - begin
        assert len(value) == n
        return {"mb_per_s": n / 1e6 / elapsed}

    def worker_to_worker(self, n, base):
        future = self.client.submit(make, n, self.runs % 256, pure=False, workers=["first"])
        wait(future)
        begin = time.perf_counter()
        found = self.client.submit(len, future, pure=False, workers=["second"]).result()
        elapsed = time.perf_counter() - begin
        assert found == n
        return {"mb_per_s": n / 1e6 / elapsed}

    def memory(self, n, base):
        before = rss(self.cluster.scheduler)
        futures = self.client.map(inc, range(base, base + n))
        wait(futures)
        after = rss(self.cluster.scheduler)
        return {"bytes_per_task": (after - before) / n}


if __name__ == "__main__":
    answer_all(Session())
