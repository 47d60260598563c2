"""The tables ``[data.*]``: what RETURNN says of its data, and what is known of where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqmill.pipelines.import_returnn.source import Source
from seqmill.pipelines.import_returnn.values import Unread, find_unread
from seqmill.pipelines.init.write_config import Line

Spec = Mapping[str, Any]


def data_key_tables(values: Mapping[str, Any], sources: Mapping[str, Source]) -> dict[str, list[Line]]:
    """Per data key the lines of its table.

    Args:
        values: The options of the config.
        sources: The corpora, of which the first decides.
    """
    specs = _specs(values)
    first = next(iter(sources.values()))
    fields = {key: lines for key, lines in first.fields.items() if key in specs or key not in ("orth", "raw")}
    reads_any = first.format == "hdf" and not first.joins and not first.fields
    names = list(fields)
    if reads_any or not names:
        names = [*specs] or ["data", "classes"]
    names.sort(key=lambda name: name != "data")
    return {name: list(_lines(name, fields.get(name, []), specs.get(name))) for name in names}


def _lines(name: str, known: list[Line], spec: Spec | None) -> Iterator[Line]:
    yield from (line for line in known if line.name != "field" or line.value != name)
    said = f"RETURNN: {_said(spec)}" if spec else ""
    if any(line.name == "type" for line in known):
        if said:
            yield Line("", None, said)
        return
    if spec is None:
        kind = "floats" if name == "data" else "ints"
        yield Line("type", kind, "a guess; the config does not say it (extern_data)")
    elif isinstance(spec, Unread):
        yield Line("type", "floats" if name == "data" else "ints", f"a guess; not read: {spec}")
    else:
        is_labels = spec.get("sparse") or str(spec.get("dtype", "")).startswith(("int", "uint"))
        yield Line("type", "ints" if is_labels else "floats", said)


def _said(spec: Any) -> str:
    if isinstance(spec, Unread):
        return f"not read: {spec}"
    parts = [f"{name} = {spec[name]}" for name in ("dim", "shape", "dtype") if not _is_lost(spec.get(name))]
    return ", ".join((["sparse"] if spec.get("sparse") else []) + parts) or "no more is said of it"


def _is_lost(value: Any) -> bool:
    return value is None or find_unread(value) is not None


def _specs(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the config says of each data key: of ``extern_data``, else ``num_outputs`` and ``num_inputs``."""
    extern = values.get("extern_data")
    if isinstance(extern, Mapping):
        return {str(key): _spec(one) for key, one in extern.items()}
    specs: dict[str, Any] = {}
    inputs, outputs = values.get("num_inputs"), values.get("num_outputs")
    if isinstance(inputs, int) and not isinstance(inputs, bool):
        specs["data"] = {"dim": inputs}
    if isinstance(outputs, Mapping):
        specs |= {str(key): _spec(one) for key, one in outputs.items()}
    elif isinstance(outputs, int):
        specs["classes"] = {"dim": outputs, "sparse": True}
    return specs


def _spec(value: Any) -> Any:
    """``{"dim", "sparse"}`` of the forms in which a config says it: a table, or dimension and rank."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple) and len(value) == 2:
        return {"dim": value[0], "sparse": value[1] == 1}
    if isinstance(value, int):
        return {"dim": value, "sparse": True}
    return find_unread(value) or {}
