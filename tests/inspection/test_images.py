"""Pictures as files: any size, gray or in color, with or without what is seen through."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from gridscape.inspection.images import png

SIZES = [*itertools.product((1, 3, 60), (1, 2, 60))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("is_gray", [True, False])
def test_a_file_shows_the_pixels_that_it_was_made_of(size, channels, is_gray):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
    if is_gray:
        pixels[..., 1:3] = pixels[..., :1]
    image = Image.open(io.BytesIO(png(pixels)))
    assert image.mode == {3: "L", 4: "LA"}[channels] if is_gray else {3: "RGB", 4: "RGBA"}[channels]
    np.testing.assert_array_equal(np.asarray(image.convert("RGBA"))[..., :channels], pixels)
