"""`python dev.py bench [fan_out|scale] [--ids N] [--latency-ms MS …]`: both, or one of them.

SQLite always; PostgreSQL, Redis and the replaced design when FIKSTUR_BENCH_POSTGRES_URL (a database
that may be emptied) and FIKSTUR_BENCH_REDIS_URL (likewise) are set.
"""

import argparse

from benchmarks import fan_out, scale

if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("which", nargs="?", choices=("fan_out", "scale", "both"), default="both")
    ask.add_argument("--ids", type=int, default=20_000, help="of a fan_out")
    ask.add_argument("--latency-ms", type=float, nargs="*", default=[50, 0], help="of a fan_out")
    ask.add_argument("--sizes", type=int, nargs="*", default=scale.SIZES, help="of scale")
    given = ask.parse_args()
    if given.which != "scale":
        for latency_ms in given.latency_ms:
            fan_out.run(given.ids, latency_ms)
    if given.which != "fan_out":
        scale.run(given.sizes)
