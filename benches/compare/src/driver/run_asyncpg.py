"""asyncpg on uvloop, as its documentation advises: its own cache of statements, its own pool,
`executemany` and `copy_records_to_table` for many rows, a cursor for large results.

run_asyncpg.py <host> <port> <user> <password> <database> <certificate or -> <workload> <tasks>
               <seconds> <rows of W10> <rows of W9>

prints what `compare live` prints."""

import asyncio
import contextlib
import csv
import io
import json
import resource
import ssl
import sys
import time
from datetime import datetime, timedelta, timezone

import asyncpg
import uvloop

HOST, PORT, USER, PASSWORD, DATABASE, ROOT, WORK, TASKS, SECONDS, ROWS, COPIED = sys.argv[1:]
SECONDS, ROWS, COPIED = float(SECONDS), int(ROWS), int(COPIED)
POOL_SIZE = 10
WORLD = 10_000

LOOKUP = "select id, random_number from kornak_bench.world where id = $1"
WIDE = (
    "select typname, typnamespace, typowner, typlen, typbyval, typcategory, typispreferred, "
    "typisdefined, typdelim, typrelid, typelem, typarray from kornak_bench.types"
)
TRIPLES = [(n, f"name {n}", n / 4) for n in range(1, 1001)]


def event(key):
    since = timedelta(microseconds=762_525_296_000_000 + key * 1_000_001)
    return (key, f"name {key}", datetime(2000, 1, 1, tzinfo=timezone.utc) + since)


EVENTS = [event(key) for key in range(1, COPIED + 1)] if WORK == "w9-copy-in" else []


def options():
    tls = False
    if ROOT != "-":
        tls = ssl.create_default_context(cafile=ROOT)
    return dict(
        host=HOST, port=int(PORT), user=USER, password=PASSWORD, database=DATABASE, ssl=tls
    )


def world(key):
    return (key, ((key * 7919) & 0x7FFF) + 1)


async def select_one(connection, turn):
    assert await connection.fetchval("select 1") == 1


async def lookup(connection, turn):
    key = turn * 97 % WORLD + 1
    assert tuple(await connection.fetchrow(LOOKUP, key)) == world(key)


async def wide(connection, turn):
    rows = await connection.fetch(WIDE)
    assert len(rows) == 350 and rows[349]["typarray"] == 1350


async def integers(connection, turn):
    rows = [row[0] for row in await connection.fetch("select n from kornak_bench.integers order by n")]
    assert rows[0] == 1 and rows[999] == 1000


async def blobs(connection, turn):
    rows = [row[0] for row in await connection.fetch("select body from kornak_bench.blobs")]
    assert len(rows) == 100 and all(len(body) == 4096 for body in rows)


async def arrays(connection, turn):
    rows = [row[0] for row in await connection.fetch("select body from kornak_bench.arrays order by id")]
    assert rows[99][99] == 100_099


async def inserts(connection, turn):
    sql = "insert into kornak_bench.sink (id, name, value) values ($1, $2, $3)"
    await connection.executemany(sql, TRIPLES)


async def copy_in(connection, turn):
    done = await connection.copy_records_to_table(
        "event_sink", schema_name="kornak_bench", columns=["id", "name", "moment"], records=EVENTS
    )
    assert done == f"COPY {COPIED}"


async def copy_out(connection, turn):
    # What comes is bytes, whose reading is left to the caller.
    text = io.BytesIO()
    await connection.copy_from_query(
        "select id, name, moment from kornak_bench.event", output=text, format="csv"
    )
    rows = [
        (int(key), name, datetime.fromisoformat(moment + ":00"))
        for key, name, moment in csv.reader(io.TextIOWrapper(io.BytesIO(text.getvalue())))
    ]
    assert len(rows) == COPIED and rows[-1] == event(COPIED)


async def stream(connection, turn):
    rows = ids = 0
    total = 0.0
    sql = "select id, name, value from kornak_bench.stream where id <= $1"
    async with connection.transaction():
        async for key, name, value in connection.cursor(sql, ROWS, prefetch=1000):
            rows += 1
            ids += key
            total += value + len(name)
    assert rows == ROWS and ids == rows * (rows + 1) // 2


async def connect(connection, turn):
    made = await asyncpg.connect(**options())
    assert await made.fetchval("select 1") == 1
    await made.close()


async def far(connection, turn):
    for turn in range(20):
        await lookup(connection, turn)


WORKS = {
    "w1-select-1": select_one,
    "w2-lookup": lookup,
    "w3-wide": wide,
    "w4-integers": integers,
    "w5-blobs-owned": blobs,
    "w6-arrays": arrays,
    "w8-inserts": inserts,
    "w9-copy-in": copy_in,
    "w9-copy-out": copy_out,
    "w10-stream": stream,
    "w11-connect": connect,
    "w12-far": far,
    "w12-far-one-by-one": far,
}


def waits():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def crowd(users, seconds):
    """Each of the users looks up in a task of its own."""
    begun = time.perf_counter()
    times = []

    async def one(use, turn):
        while time.perf_counter() - begun < seconds:
            turn += 1
            start = time.perf_counter()
            async with use() as connection:
                await lookup(connection, turn)
            times.append(time.perf_counter() - start)

    await asyncio.gather(*(one(use, task * 1000) for task, use in enumerate(users)))
    return times


async def main():
    if TASKS != "0" and WORK == "w2-lookup":
        if TASKS == "exclusive":
            connections = [await asyncpg.connect(**options()) for _ in range(POOL_SIZE)]
            users = [lambda made=made: contextlib.nullcontext(made) for made in connections]
        else:
            pool = await asyncpg.create_pool(min_size=POOL_SIZE, max_size=POOL_SIZE, **options())
            users = [pool.acquire] * int(TASKS)
        idle = peak()
        await crowd(users, SECONDS / 5)
        begun, busy, slept = time.perf_counter(), cpu(), waits()
        times = await crowd(users, SECONDS)
        elapsed, busy, slept = time.perf_counter() - begun, cpu() - busy, waits() - slept
    elif WORK in WORKS:
        once = WORKS[WORK]
        connection = await asyncpg.connect(**options())
        idle = peak()
        turn = 0
        warm = time.perf_counter()
        while turn == 0 or time.perf_counter() - warm < SECONDS / 5:
            turn += 1
            await once(connection, turn)
        times = []
        begun, busy, slept = time.perf_counter(), cpu(), waits()
        while not times or time.perf_counter() - begun < SECONDS:
            turn += 1
            start = time.perf_counter()
            await once(connection, turn)
            times.append(time.perf_counter() - start)
        elapsed, busy, slept = time.perf_counter() - begun, cpu() - busy, waits() - slept
        await connection.close()
    else:
        return None
    times.sort()
    return {
        "per_second": len(times) / elapsed,
        "p50_us": times[(len(times) - 1) // 2] * 1e6,
        "p99_us": times[(len(times) - 1) * 99 // 100] * 1e6,
        "cpu_us": busy * 1e6 / len(times),
        "waits": slept / len(times),
        "peak_kib": peak(),
        "grown_kib": peak() - idle,
    }


print(json.dumps(uvloop.run(main())))
