"""`python dev.py bench [fan_out|scale|lists|backup] [--ids N] [--latency-ms MS …]`: the first two,
or one of them.

SQLite always; PostgreSQL, Redis and the replaced design when FIKSTUR_BENCH_POSTGRES_URL (a database
that may be emptied) and FIKSTUR_BENCH_REDIS_URL (likewise) are set.
"""

import argparse

from benchmarks import backup, fan_out, lists, scale

if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument(
        "which",
        nargs="?",
        choices=("fan_out", "scale", "both", "lists", "backup"),
        default="both",
    )
    ask.add_argument("--ids", type=int, default=20_000, help="of a fan_out")
    ask.add_argument("--latency-ms", type=float, nargs="*", default=[50, 0], help="of a fan_out")
    ask.add_argument("--sizes", type=int, nargs="*", default=scale.SIZES, help="of scale")
    ask.add_argument("--rows", type=int, default=lists.ROWS, help="of lists")
    ask.add_argument("--mb", type=int, nargs="*", default=backup.SIZES_MB, help="of backup")
    ask.add_argument("--rounds", type=int, default=backup.ROUNDS, help="of backup")
    given = ask.parse_args()
    if given.which == "backup":
        backup.run(given.mb, given.rounds)
        raise SystemExit
    if given.which == "lists":
        lists.run(given.rows)
        raise SystemExit
    if given.which != "scale":
        for latency_ms in given.latency_ms:
            fan_out.run(given.ids, latency_ms)
    if given.which != "fan_out":
        scale.run(given.sizes)
