"""Does an item cost the same among 2,000 and among 200,000, and what does a second worker bring?"""

from collections.abc import Sequence

from benchmarks.scene import Cost, house, server, stacks

SIZES = (2_000, 20_000, 200_000)


def run(sizes: Sequence[int] = SIZES) -> None:
    """Measure and print: cost per item by size, memory at its highest, one worker against two."""
    for name, settings in stacks().items():
        print(f"\n{name}: ids, one worker, 0 ms latency; in brackets to the first line")
        first: Cost | None = None
        for size in sizes:
            with server(0) as url, house(url, settings) as made:
                cost = made.fetch(size)
                first = first or cost
                print(
                    f"{size:8} ids {cost}  [x{cost.cpu_per_1000 / first.cpu_per_1000:.2f} CPU, "
                    f"x{first.rate / cost.rate:.2f} time per id]  peak {made.peak_mb():.0f} MB",
                    flush=True,
                )
        _second_worker(settings)


def _second_worker(settings: dict[str, str]) -> None:
    """At a latency at which one worker waits more than it works: here cores are few."""
    rates = []
    for workers in (1, 2):
        with server(200) as url, house(url, settings, workers) as made:
            rates.append(made.fetch(20_000).rate)
    print(f"   at 200 ms: one worker {rates[0]:.0f} ids/s, two x{rates[1] / rates[0]:.2f}")
