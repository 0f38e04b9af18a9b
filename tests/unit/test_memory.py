"""The heaps that threads share: asked of the system's malloc, and of no other."""

import ctypes

import pytest

from app.core.memory import share_heaps


class Library:
    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def mallopt(self, name: int, value: int) -> int:
        self.told.append((name, value))
        return 1


def test_glibc_is_told_that_two_heaps_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    share_heaps()
    assert library.told == [(-8, 2)]


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def none(_name: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", none)
    share_heaps()
