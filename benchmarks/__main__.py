"""`python -m benchmarks [--ids N] [--latency-ms MS]`: every benchmark, one after the other."""

import argparse

from benchmarks import fan_out

if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--ids", type=int, default=5000)
    ask.add_argument("--latency-ms", type=float, default=0)
    fan_out.run(**vars(ask.parse_args()))
