"""What several tests of images need: which data sets are at hand, names, digests."""

import hashlib
import importlib
from collections.abc import Callable

import numpy as np
import pytest

from gridscape.base.task import Task
from gridscape.tasks import NAMES, fetch


def there(name: str) -> bool:
    return any(s.found_at for s in fetch.status() if s.name == name)


needs_mnist = pytest.mark.skipif(
    not there("mnist"), reason="the MNIST files are not on this machine"
)


needs_cifar = pytest.mark.skipif(
    not there("cifar10-gray28"), reason="cifar10-gray28.zip is not on this machine"
)


def named(name: str) -> Callable[..., Task]:
    module, function = NAMES[name].split(":")
    return getattr(importlib.import_module(module), function)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()[:16]


IMAGE_TASKS = [name for name in NAMES if ".images:" in NAMES[name]]


Change = Callable[[bytes], bytes]
