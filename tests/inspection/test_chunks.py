import pytest

from gridscape.inspection._chunks import CHUNK, slices


@pytest.mark.parametrize("n_examples", [0, 1, 40, 97, 101, 640, 990, 1000, 1009])
def test_chunks_cover_all_examples_in_as_few_sizes_as_possible(n_examples):
    found = [range(n_examples)[part] for part in slices(n_examples)]
    assert [k for part in found for k in part] == list(range(n_examples))
    sizes = {len(part) for part in found}
    assert max(sizes, default=0) <= CHUNK
    if n_examples not in (101, 1009):  # which are prime: no chunk divides them
        assert len(sizes) <= 1


def test_chunks_stay_large():
    assert len(list(slices(9973))) == 100
    assert len(list(slices(640))) == 8
