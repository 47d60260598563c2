"""``log_mel`` and ``mfcc``: features of sound as Kaldi defines them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from seqmill.transforms.features.audio import Audio
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.storage.errors import RejectedSequence, UsageError
from seqmill.transforms.storage.extras import require

_SIXTEEN_BIT = np.float32(32768)


class _KaldiFeatures(Encoder):
    """Frames [T, frame_size] of the audio that ``Audio`` gives, by kaldi-native-fbank.

    Kaldi's defaults: samples in 16-bit range, frames that do not reach over the ends (``snip_edges``), no DC,
    pre-emphasis 0.97 within each window, Povey window, power spectrum, mel filters from 20 Hz to half the
    sample rate, natural log of at least the float32 epsilon. Dither is 0, so the same audio gives the same
    bytes. With ``preemphasis`` all samples are filtered (``Audio``), in place of Kaldi's own of each window.

    Args:
        key: The data key.
        frame_size: Numbers of a frame.
        folder: Folder or URL that relative paths start from.
        max_bytes: Most bytes of a file and of its samples.

    Raises:
        SeqmillError: A package is not installed.
        UsageError: Window, hop, filters and size of a frame do not fit each other or the sample rate.
    """

    def __init__(self, key: DataKey, frame_size: int, folder: str, max_bytes: int):
        super().__init__(key, (frame_size,))
        self._audio = Audio(key, folder, max_bytes)
        self.converted = self._audio.converted
        self.named_files = self._audio.named_files
        self._key = key
        self._frame_size = frame_size
        self._library = require("kaldi_native_fbank", "audio", f'type = "{key.type}"')
        _check_times(key)
        self._options = self._options_of(key)
        self._check_options()

    def encode(self, value: Any) -> np.ndarray:
        """Frames [T, frame_size], at least one. Raises RejectedSequence."""
        rate, window = self._key.sample_rate, self._key.window
        with self._counted_if_good():
            samples = self._audio.encode(value)
            computer = self._computer()
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
        if not np.isfinite(frames).all():
            raise RejectedSequence("not finite", "its samples are too loud for features")
        return frames.reshape(num_frames, self._frame_size).astype(self.dtype, copy=False)

    @abstractmethod
    def _computer(self) -> Any:
        """What computes the frames of one sequence."""

    @abstractmethod
    def _options_of(self, key: DataKey) -> Any:
        """The library's options."""

    def _set_common(self, options: Any, key: DataKey) -> Any:
        options.frame_opts.samp_freq = key.sample_rate
        options.frame_opts.frame_length_ms = key.window * 1000
        options.frame_opts.frame_shift_ms = key.hop * 1000
        options.frame_opts.dither = 0
        if key.preemphasis is not None:
            options.frame_opts.preemph_coeff = 0
        options.mel_opts.num_bins = key.num_mel_bins
        return options

    def _check_options(self) -> None:
        key = self._key
        try:
            # The library would take memory for all of them first.
            if key.num_mel_bins > key.window * key.sample_rate:
                raise ValueError("there are fewer samples in a window")
            self._computer()
        except ValueError as error:
            raise UsageError(
                f"data key {key.name!r}: num_mel_bins = {key.num_mel_bins} does not fit window = "
                f"{key.window} s at {key.sample_rate} Hz ({error})"
            ) from None


class LogMel(_KaldiFeatures):
    """``log_mel``: float32 [T, num_mel_bins], as of Kaldi's ``compute-fbank-feats``."""

    def __init__(self, key: DataKey, folder: str, max_bytes: int):
        super().__init__(key, key.num_mel_bins, folder, max_bytes)

    def _computer(self) -> Any:
        return self._library.OnlineFbank(self._options)

    def _options_of(self, key: DataKey) -> Any:
        return self._set_common(self._library.FbankOptions(), key)


class Mfcc(_KaldiFeatures):
    """``mfcc``: float32 [T, num_ceps], as of Kaldi's ``compute-mfcc-feats --use-energy=false``.

    The discrete cosine transform of the log mel energies of ``num_mel_bins`` filters, its first ``num_ceps``
    numbers, liftered (22). The first is of the transform too, not the energy of the window.
    """

    def __init__(self, key: DataKey, folder: str, max_bytes: int):
        super().__init__(key, key.num_ceps, folder, max_bytes)

    def _computer(self) -> Any:
        return self._library.OnlineMfcc(self._options)

    def _options_of(self, key: DataKey) -> Any:
        options = self._set_common(self._library.MfccOptions(), key)
        options.num_ceps = key.num_ceps
        options.use_energy = False
        return options


def _num_frames(num_samples: int, options: Any) -> int:
    """Kaldi's definition: as many windows as fit, the first at the first sample."""
    window, hop = (
        int(options.samp_freq * 0.001 * length)
        for length in (options.frame_length_ms, options.frame_shift_ms)
    )
    return 1 + (num_samples - window) // hop if num_samples >= window else 0


def _check_times(key: DataKey) -> None:
    if min(key.window, key.hop) * key.sample_rate < 2:
        raise UsageError(
            f"data key {key.name!r}: window = {key.window} and hop = {key.hop} are seconds; "
            f"each must be at least 2 samples at {key.sample_rate} Hz"
        )
