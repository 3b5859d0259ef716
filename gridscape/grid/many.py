"""Very many records at once, none of which lies in a cycle."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def many_records() -> Iterator[None]:
    """While they are made, the collector of cycles waits: it would look at each again and again.

    So it is with what imports make: a tenth of their time went into looking for garbage.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
