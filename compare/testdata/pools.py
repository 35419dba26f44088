"""Maps items in one of Python's process pools whenever it is told to.

    python3 pools.py pool|apply|executor WORKERS COST_NS N

It maps N items, each of which takes COST_NS nanoseconds, checks the results, and
prints "ready". Then it maps them again for each line "map" of its standard input, and
prints "done" each time. For a line "ideal" it has as many processes, each with an equal
part of the items, do them in a loop: that is the least that a pool can take. One loop
alone is no measure, since two of Python's at once can be slower than one. COST_NS 0 is 2*x and nothing else.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pipe, Pool, Process


def double(x):
    return 2 * x


def spin(turns):
    for _ in range(turns):
        pass
    return 2 * turns


def nanoseconds(turns):
    """What spin(turns) takes, undisturbed: the least of the tries of 0.1 s."""
    calls = max(1, 10_000 // turns)
    tries = []
    end = time.perf_counter_ns() + 100_000_000
    while not tries or time.perf_counter_ns() < end:
        start = time.perf_counter_ns()
        for _ in range(calls):
            spin(turns)
        tries.append((time.perf_counter_ns() - start) / calls)
    return min(tries)


def turns_for(cost_ns):
    """The item for which spin, its call included, takes cost_ns.

    It is found in steps, since a turn does not take the same in short loops and in
    long ones. From 5,000 turns on it does, and short tries stay undisturbed.
    """
    turns = 100
    for _ in range(4):
        tried = min(turns, 5_000)
        turns = max(1, round(tried * cost_ns / nanoseconds(tried)))
    return turns


def workload(cost_ns, n):
    """A function and n items. Neighbours differ, so that a wrong order shows."""
    if cost_ns == 0:
        return double, [1 + i % 4 for i in range(n)]
    turns = turns_for(cost_ns)
    return spin, [turns - 1 + i % 4 for i in range(n)]


def chunk_size(n, workers):
    """What Pool.map chooses by itself; the executor's map has to be told."""
    return -(-n // (4 * workers))


def applied(pool, fn, items):
    """Each item by itself, and then the results of all."""
    return [r.get() for r in [pool.apply_async(fn, (x,)) for x in items]]


def share(end, fn, part):
    """One of the processes of ideal."""
    while True:
        end.recv()
        for x in part:
            fn(x)
        end.send(len(part))


def ideal(workers, fn, items):
    """What has the items done by processes that have their parts already."""
    n, ends = len(items), []
    for w in range(workers):
        mine, theirs = Pipe()
        part = items[w * n // workers : (w + 1) * n // workers]
        Process(target=share, args=(theirs, fn, part), daemon=True).start()
        ends.append(mine)

    def run():
        for end in ends:
            end.send(None)
        return sum(end.recv() for end in ends)

    return run


def serve(run, least, want):
    if run() != want or least() != len(want):
        sys.exit("pools.py: wrong results")
    print("ready", flush=True)
    for line in sys.stdin:
        (least if line == "ideal\n" else run)()
        print("done", flush=True)


def main():
    kind, workers, cost_ns, n = sys.argv[1], *map(int, sys.argv[2:])
    fn, items = workload(cost_ns, n)
    want = [2 * x for x in items]
    least = ideal(workers, fn, items)
    if kind == "pool":
        with Pool(workers) as pool:
            serve(lambda: pool.map(fn, items), least, want)
    elif kind == "apply":
        with Pool(workers) as pool:
            serve(lambda: applied(pool, fn, items), least, want)
    else:
        size = chunk_size(n, workers)
        with ProcessPoolExecutor(workers) as executor:
            serve(lambda: list(executor.map(fn, items, chunksize=size)), least, want)


# Where workers are not forked, each of them imports this file.
if __name__ == "__main__":
    main()
