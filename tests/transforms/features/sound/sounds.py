"""Sound files for the tests, made by libsndfile or by hand."""

from __future__ import annotations

import io

import numpy as np

from seqmill.transforms.features.sound.decode import Decoder
from seqmill.transforms.features.sound.source import Source

RATE = 16000
LIMIT = 10_000_000


def noise(num_samples=20_000, channels=1):
    """Smooth noise: samples that differ everywhere, float32 [num_samples, channels]."""
    steps = np.random.default_rng(1).standard_normal((num_samples, channels))
    smooth = np.cumsum(steps - steps.mean(axis=0), axis=0)
    return (smooth / np.abs(smooth).max() * 0.9).astype(np.float32)


def written(samples, container, subtype=None, rate=RATE, **options):
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=container, subtype=subtype, **options)
    return buffer.getvalue()


def decoded(data, choose=None, max_bytes=LIMIT):
    """Samples [T, channels] as the product reads them."""
    return Decoder(max_bytes, "a test").decode(Source(io.BytesIO(data), len(data)), choose)[0]


def part(start, stop):
    return lambda rate, num_samples: (start, stop)
