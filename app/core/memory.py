"""What a process that runs for weeks does with its memory once it has started."""

import contextlib
import ctypes
import gc

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
_HEAPS = 2


def keep_what_is_loaded() -> None:
    """Code, tables and views never become garbage, so collecting need not look at them again.

    A look at all of them stops every thread for 75 ms, now and then in the middle of a page.
    """
    gc.collect()
    gc.freeze()


def share_heaps() -> None:
    """Let the threads of this process share two heaps; does nothing where malloc is not glibc's.

    Each of a dozen threads would get its own, and what is freed in one helps no other. Only one
    thread computes at a time, so none waits for a heap.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):  # Windows, macOS, musl
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _HEAPS)
