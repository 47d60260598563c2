"""``log_mel``: log mel filter bank energies as Kaldi defines them."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqmill.transforms.features.audio import Audio
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.storage.errors import RejectedSequence, UsageError
from seqmill.transforms.storage.extras import require

_SIXTEEN_BIT = np.float32(32768)


class LogMel(Encoder):
    """``log_mel``: float32 [T, num_mel_bins] of the audio that ``Audio`` gives.

    Kaldi's ``compute-fbank-feats`` by kaldi-native-fbank, with Kaldi's defaults: samples in 16-bit range,
    frames that do not reach over the ends (``snip_edges``), no DC, pre-emphasis 0.97, Povey window, power
    spectrum, mel filters from 20 Hz to half the sample rate, natural log of at least the float32 epsilon.
    Dither is 0, so the same audio gives the same bytes.

    Raises:
        SeqmillError: A package is not installed.
        UsageError: Window, hop and number of bins do not fit the sample rate.
    """

    def __init__(self, key: DataKey, folder: str, max_bytes: int):
        super().__init__(key, (key.num_mel_bins,))
        self._audio = Audio(key, folder, max_bytes)
        self.converted = self._audio.converted
        self.named_files = self._audio.named_files
        self._key = key
        self._fbank = require("kaldi_native_fbank", "audio", 'type = "log_mel"')
        self._options = _options(self._fbank, key)

    def encode(self, value: Any) -> np.ndarray:
        """Frames [T, num_mel_bins], at least one. Raises RejectedSequence."""
        rate, window = self._key.sample_rate, self._key.window
        with self._counted_if_good():
            samples = self._audio.encode(value)
            computer = self._fbank.OnlineFbank(self._options)
            # A memoryview gives Python floats, which the library takes faster than NumPy's.
            computer.accept_waveform(rate, (samples * _SIXTEEN_BIT).data)
            computer.input_finished()
            num_frames = computer.num_frames_ready
            expected = _num_frames(len(samples), self._options.frame_opts)
            if num_frames != expected:
                raise RejectedSequence("frames are missing", f"{num_frames} of {expected}")
            if num_frames == 0:
                detail = f"{len(samples)} samples at {rate} Hz; the window is {window} s"
                raise RejectedSequence("shorter than a window", detail)
        frames = np.concatenate(list(map(computer.get_frame, range(num_frames))))
        return frames.reshape(num_frames, self._key.num_mel_bins).astype(self.dtype, copy=False)


def _num_frames(num_samples: int, options: Any) -> int:
    """Kaldi's definition: as many windows as fit, the first at the first sample."""
    window, hop = (
        int(options.samp_freq * 0.001 * length)
        for length in (options.frame_length_ms, options.frame_shift_ms)
    )
    return 1 + (num_samples - window) // hop if num_samples >= window else 0


def _options(fbank: Any, key: DataKey) -> Any:
    if min(key.window, key.hop) * key.sample_rate < 2:
        raise UsageError(
            f"data key {key.name!r}: window = {key.window} and hop = {key.hop} are seconds; "
            f"each must be at least 2 samples at {key.sample_rate} Hz"
        )
    options = fbank.FbankOptions()
    options.frame_opts.samp_freq = key.sample_rate
    options.frame_opts.frame_length_ms = key.window * 1000
    options.frame_opts.frame_shift_ms = key.hop * 1000
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = key.num_mel_bins
    try:
        fbank.OnlineFbank(options)
    except ValueError as error:
        raise UsageError(
            f"data key {key.name!r}: num_mel_bins = {key.num_mel_bins} does not fit window = {key.window} s "
            f"at {key.sample_rate} Hz ({error})"
        ) from None
    return options
