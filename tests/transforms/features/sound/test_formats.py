"""Every sample of a file, or a reason: beside other decoders, with wrong headers, cut short."""

from __future__ import annotations

import struct

import miniaudio
import numpy as np
import pytest
from sounds import RATE, decoded, noise, part, written

from seqmill.transforms.storage.errors import RejectedSequence

PLAIN = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("WAV", "ULAW"),
    ("WAV", "IMA_ADPCM"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("NIST", "PCM_16"),
    ("CAF", "PCM_16"),
]
PACKED = [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]


def rejection(data, choose=None, **options):
    with pytest.raises(RejectedSequence) as error:
        decoded(data, choose, **options)
    return error.value


@pytest.mark.parametrize(("container", "subtype"), PLAIN + PACKED)
def test_parts_are_what_they_are_in_the_whole(container, subtype):
    data = written(noise(), container, subtype)
    whole = decoded(data)
    assert len(whole) >= 20_000  # ADPCM fills its last block
    for start, stop in [(0, 1), (777, 778), (4096, 9000), (9001, len(whole)), (len(whole) - 1, len(whole))]:
        np.testing.assert_array_equal(decoded(data, part(start, stop)), whole[start:stop])


@pytest.mark.parametrize(("container", "subtype"), PLAIN)
@pytest.mark.parametrize("num_bytes", [1, 1001, 15_000])
def test_plain_files_cut_short(container, subtype, num_bytes):
    data = written(noise(), container, subtype)
    footer = len(data) - len(data.rstrip(b"\0")) if container == "CAF" else 0
    cut = data[: len(data) - footer - min(num_bytes, len(data) // 2)]
    assert rejection(cut).reason in ("audio cut short", "not readable audio")


@pytest.mark.parametrize(("container", "subtype"), PACKED)
@pytest.mark.parametrize("num_bytes", [1, 3, 100, 2500])
def test_packed_files_cut_short(container, subtype, num_bytes):
    data = written(noise(), container, subtype)
    assert rejection(data[:-num_bytes]).reason == "audio cut short"


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16")])
def test_damage_costs_only_the_segments_that_it_hits(container, subtype):
    data = written(noise(), container, subtype)
    cut = data[: len(data) * 2 // 3]
    whole = decoded(data)
    np.testing.assert_array_equal(decoded(cut, part(100, 9000)), whole[100:9000])
    assert rejection(cut, part(100, 19_000)).reason == "audio cut short"


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF])
@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_wav_that_was_written_into_a_pipe(size, endian):
    data = bytearray(written(noise(), "WAV", "PCM_16", endian=endian))
    whole, at = decoded(bytes(data)), data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I" if endian == "LITTLE" else ">I", size)
    np.testing.assert_array_equal(decoded(bytes(data)), whole)
    np.testing.assert_array_equal(decoded(bytes(data), part(5, 50)), whole[5:50])


def test_wav_with_more_samples_than_its_header_says():
    data = bytearray(written(noise(), "WAV", "PCM_16"))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 1000)
    assert rejection(bytes(data)).reason == "audio longer than its header says"


@pytest.mark.parametrize(
    "behind", [b"LIST\x08\0\0\0INFOabcd" * 200, bytes(5000), b"ID3\x03" + b"x" * 2000, b"odd bytes"]
)
def test_what_stands_behind_the_samples_of_a_wav_is_no_sample(behind):
    data = written(noise(), "WAV", "PCM_16")
    np.testing.assert_array_equal(decoded(data + behind), decoded(data))


@pytest.mark.parametrize("container", ["W64", "NIST"])
def test_libsndfile_reads_what_stands_behind_the_samples(container):
    data = written(noise(), container, "PCM_16")
    np.testing.assert_array_equal(decoded(data + bytes(5000)), decoded(data))


def without_length(flac):
    """A FLAC as it is written into a pipe."""
    data = bytearray(flac)
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    data[26:42] = bytes(16)
    return bytes(data)


@pytest.mark.parametrize("num_samples", [2, 4095, 4096, 20_000, 200_000])
def test_flac_of_unknown_length(num_samples):
    data = without_length(written(noise(num_samples), "FLAC"))
    sound = miniaudio.flac_read_f32(data)
    np.testing.assert_array_equal(decoded(data)[:, 0], np.array(sound.samples, np.float32))
    assert sound.num_frames == num_samples
    assert rejection(data[:-2]).reason == "audio cut short"
    np.testing.assert_array_equal(decoded(data, part(0, 1)), decoded(data)[:1])


def test_flac_with_a_wrong_length_in_its_header():
    data = bytearray(written(noise(), "FLAC"))
    data[24:26] = struct.pack(">H", 10_000)
    assert rejection(bytes(data)).reason == "audio longer than its header says"
    data[24:26] = struct.pack(">H", 30_000)
    assert rejection(bytes(data)).reason == "audio cut short"


def test_flacs_behind_one_another():
    data = written(noise(), "FLAC")
    assert "several FLAC streams" in rejection(data + data).detail


@pytest.mark.parametrize(("subtype", "num_samples"), [("VORBIS", 20_000), ("OPUS", 20_000), ("OPUS", 19_999)])
def test_chained_ogg(subtype, num_samples):
    one = written(noise(num_samples), "OGG", subtype)
    two = written(-noise(5_000), "OGG", subtype)
    parts = [decoded(one), decoded(two)]
    assert [len(samples) for samples in parts] == [num_samples, 5_000]
    chained = decoded(one + two)
    np.testing.assert_array_equal(chained, np.concatenate(parts))
    np.testing.assert_array_equal(decoded(one + two, part(19_000, 22_000)), chained[19_000:22_000])
    other = written(noise(5_000), "OGG", subtype, rate=8000)
    assert rejection(one + other).reason == "audio changes its format"


def test_vorbis_beside_another_decoder():
    data = written(noise(), "OGG", "VORBIS")
    sound = miniaudio.vorbis_read(data)
    np.testing.assert_allclose(decoded(data)[:, 0], np.array(sound.samples) / 32768, atol=2 / 32768)


@pytest.mark.parametrize("container", ["OGG", "FLAC"])
def test_a_flipped_bit_is_noticed(container):
    data = bytearray(written(noise(), container))
    data[len(data) * 3 // 4] ^= 1
    assert rejection(bytes(data)).reason in ("damaged audio", "audio cut short")


def test_a_missing_ogg_page():
    data = written(noise(200_000), "OGG", "VORBIS")
    pages = data.split(b"OggS")
    without = b"OggS".join(pages[:4] + pages[5:])
    assert "pages are missing" in rejection(without).detail


@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", None), ("FLAC", None), ("MP3", None), ("OGG", None)]
)
def test_a_limit_on_what_samples_take(container, subtype):
    data = written(np.zeros((200_000, 1), np.float32), container, subtype)
    error = rejection(data, max_bytes=500_000)
    assert error.reason == "larger than max_record_size"
    assert len(decoded(data, part(10, 1000), max_bytes=500_000)) == 990


def test_the_last_block_of_a_compressed_wav_may_be_filled_up():
    data = bytearray(written(noise(), "WAV", "GSM610"))
    at = data.index(b"fact") + 8
    assert struct.unpack_from("<I", data, at) == (20_000,)
    whole = decoded(bytes(data))
    assert len(whole) == 20_000
    np.testing.assert_array_equal(decoded(bytes(data), part(19_000, 20_000)), whole[19_000:])
    struct.pack_into("<I", data, at, 10_000)
    assert rejection(bytes(data)).reason == "audio longer than its header says"
    struct.pack_into("<I", data, at, 30_000)
    assert rejection(bytes(data)).reason == "audio cut short"


def test_alac_is_refused_as_libsndfile_does_not_notice_damage():
    assert "ALAC" in rejection(written(noise(), "CAF", "ALAC_16")).detail


def test_a_format_whose_headers_are_not_known():
    assert "none of WAV" in rejection(written(noise(), "VOC", "PCM_16", rate=RATE)).detail
