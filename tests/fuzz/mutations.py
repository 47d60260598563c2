"""Ways in which files get damaged."""

from __future__ import annotations

from random import Random


def damaged(data: bytes, random: Random) -> bytes:
    """``data`` with one to three random damages; never equal to it."""
    result = data
    while result == data:
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            result = random.choice(_DAMAGES)(result, random)
        if not data and not result:
            result = random.randbytes(random.randint(1, 20))
    return result


def _flip_bit(data: bytes, random: Random) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _set_byte(data: bytes, random: Random) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return (
        data[:at]
        + bytes([random.choice((0, 1, 0x7F, 0x80, 0xFF, 10, 34, random.randrange(256)))])
        + data[at + 1 :]
    )


def _overwrite(data: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + random.randbytes(end - start) + data[end:]


def _zero(data: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def _truncate(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _cut_out(data: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:end] + data[start:end] + data[end:]


def _insert(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.randint(1, 40)) + data[at:]


def _append(data: bytes, random: Random) -> bytes:
    return data + random.choice(
        (bytes(random.randint(1, 600)), random.randbytes(random.randint(1, 60)), b"\n")
    )


def _large_number(data: bytes, random: Random) -> bytes:
    """Eight bytes become a length or an offset that no file has, or a negative one."""
    if len(data) < 8:
        return data
    at = random.randrange(len(data) - 7)
    value = random.choice((1 << 31, 3 << 30, 1 << 40, (1 << 63) - 1, (1 << 64) - 1, (1 << 32) - 1, 1 << 20))
    return data[:at] + value.to_bytes(8, "little") + data[at + 8 :]


def _range(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 2, 4, 8, 30, 200)))


_DAMAGES = (
    *(_flip_bit,) * 4,
    _set_byte,
    _overwrite,
    _zero,
    _truncate,
    _cut_out,
    _repeat,
    _insert,
    _append,
    _large_number,
)
