"""What a process that runs for weeks does with its memory once it has started."""

import gc


def keep_what_is_loaded() -> None:
    """Code, tables and views never become garbage, so collecting need not look at them again.

    A look at all of them stops every thread for 75 ms, now and then in the middle of a page.
    """
    gc.collect()
    gc.freeze()
