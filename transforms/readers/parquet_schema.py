"""What of a Parquet file's schema is wanted, and whether its values keep their meaning when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from seqmill.transforms.readers.file_kind import PARQUET
from seqmill.transforms.storage.errors import SeqmillError

_EXTENSION_NAME = b"ARROW:extension:name"
_AS_STORED = ("arrow.json", "arrow.uuid")  # read as what they are stored as, without a change of meaning
_AS_STORED_PREFIX = "datasets.features.features.Array"  # of Hugging Face: nested lists


def check_schema(path: str, schema: pa.Schema, fields: Sequence[str]) -> None:
    """Checks that a file has the wanted fields, in types whose meaning is kept.

    Raises:
        SeqmillError: Column names occur twice, a field is missing, or its type is one that only another
            program knows.
    """
    duplicates = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if duplicates:
        raise SeqmillError(f"{path}: columns occur more than once: {', '.join(duplicates)}")
    for field in fields:
        for found in _resolved(path, schema, field):
            _check_type(path, field, found, is_column=found.name == field)


def column_names(schema: pa.Schema, fields: Iterable[str]) -> list[str]:
    """What to ask Parquet for: fields as they are, but a list whole where a number reaches into it."""
    names = []
    for field in fields:
        parts = field.split(".")
        numbers = [index for index, part in enumerate(parts) if index and part.isdecimal()]
        whole = field in schema.names or not numbers
        names.append(field if whole else ".".join(parts[: numbers[0]]))
    return list(dict.fromkeys(names))


def is_wanted(leaf: str, columns: Sequence[str]) -> bool:
    """Whether a leaf of the file's schema (``a.list.element``) belongs to one of some columns."""
    return any(leaf == column or leaf.startswith(f"{column}.") for column in columns)


def tensors(schema: pa.Schema) -> dict[str, pa.FixedShapeTensorType]:
    """The columns of tensors of one shape."""
    return {field.name: field.type for field in schema if isinstance(field.type, pa.FixedShapeTensorType)}


def holds_fixed_lists(schema: pa.Schema, columns: Sequence[str]) -> bool:
    """Whether a wanted column holds lists of a fixed size, which Arrow cannot read where one is null."""
    wanted = {column.split(".")[0] for column in columns} | set(columns)
    return any(
        pa.types.is_fixed_size_list(found.type) or isinstance(found.type, pa.FixedShapeTensorType)
        for field in schema
        if field.name in wanted
        for found in _all_fields(field)
    )


def without_arrow_schema(footer: bytes) -> pq.FileMetaData:
    """The metadata in a footer, as if not written by Arrow: lists of a fixed size are lists like any other.

    Args:
        footer: The end of the file: the metadata, their size and the magic bytes.
    """
    renamed = footer.replace(b"ARROW:schema", b"arrow.schema")
    return pq.read_metadata(pa.BufferReader(PARQUET + renamed))


def _resolved(path: str, schema: pa.Schema, dotted: str) -> list[pa.Field]:
    """The column and the nested fields that a dotted name goes through."""
    if dotted in schema.names:
        return [schema.field(dotted)]
    first, *parts = dotted.split(".")
    if first not in schema.names:
        raise SeqmillError(f"{path}: no column {dotted}; its columns are {', '.join(schema.names)}")
    found = [schema.field(first)]
    for part in parts:
        kind = found[-1].type
        if part.isdecimal() and hasattr(kind, "value_field"):
            found.append(kind.value_field)
            continue
        names = [field.name for field in kind] if pa.types.is_struct(kind) else []
        if part not in names:
            inside = f"it has {', '.join(names)}" if names else f"it is of type {kind}"
            raise SeqmillError(f"{path}: no field {part} in the column {found[-1].name} ({dotted}); {inside}")
        found.append(kind.field(part))
    return found[-1:]


def _check_type(path: str, name: str, field: pa.Field, is_column: bool) -> None:
    for found in _all_fields(field):
        if found is field and is_column and isinstance(found.type, pa.FixedShapeTensorType):
            return
        extension = _extension_name(found)
        is_known = extension in ("", *_AS_STORED) or extension.startswith(_AS_STORED_PREFIX)
        if not is_known:
            raise SeqmillError(
                f"{path}: the column {name} is of the extension type {extension}, whose meaning is not "
                "known here; store it as plain lists, numbers or text"
            )
        if pa.types.is_struct(found.type):
            names = [child.name for child in found.type]
            if len(set(names)) < len(names):
                raise SeqmillError(f"{path}: the column {name} has nested fields of the same name: {names}")


def _extension_name(field: pa.Field) -> str:
    if isinstance(field.type, pa.BaseExtensionType):
        return str(field.type.extension_name)
    return (field.metadata or {}).get(_EXTENSION_NAME, b"").decode(errors="replace")


def _all_fields(field: pa.Field) -> Iterator[pa.Field]:
    """A field and all that are nested in it."""
    yield field
    kind = field.type.storage_type if isinstance(field.type, pa.BaseExtensionType) else field.type
    for index in range(kind.num_fields):
        yield from _all_fields(kind.field(index))
