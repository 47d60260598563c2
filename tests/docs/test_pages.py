"""Every page renders as it is meant to, its links lead somewhere, and its code is what the program takes."""

import re
import tomllib
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from seqmill.pipelines.config import TABLES, global_options, load_config
from seqmill.pipelines.main import main
from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.batches.epoch_manifest import EpochManifest, Shard
from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.storage.checked_options import option_fields
from seqmill.transforms.store import sequence_store
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.sequence_store import DamagedSource, StoreFile, StoreManifest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md")])
OWN_FOLDERS = r"(pipelines|transforms|trainer|seqmill|docs|examples|tests|benchmarks)/"
MARKDOWN = MarkdownIt("commonmark").enable("table")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_every_row_belongs_to_a_table(page):
    for token in MARKDOWN.parse(page.read_text()):
        if token.type == "inline" and not token.hidden:
            lines = token.content.splitlines()
            stray = [line for line in lines if line.startswith("|") or line.count(" | ") > 1]
            assert not stray, f"{page.name}: {stray[0]}: outside of its table"


@pages
def test_every_row_has_as_many_cells_as_its_head(page):
    # Cells too many vanish without a word, cells too few are empty.
    lines = page.read_text().splitlines()
    for token in MARKDOWN.parse(page.read_text()):
        if token.type == "table_open":
            rows = [row for row in lines[slice(*token.map)] if row.strip()]
            numbers = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
            assert len(numbers) == 1, f"{page.name}: the table under {rows[0]!r} has uneven rows"


@pages
def test_links_lead_somewhere(page):
    for token in MARKDOWN.parse(page.read_text()):
        for child in token.children or []:
            if child.type != "link_open":
                continue
            target, _, anchor = str(child.attrs["href"]).partition("#")
            assert "://" not in target, f"{page.name}: {target}"
            path = (page.parent / target) if target else page
            assert path.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in _anchors(path), f"{page.name}: {target}#{anchor}"


@pages
def test_files_that_are_named_exist(page):
    # Of the repository's own: transforms/planning/plan.py, and not the user's config.toml.
    for token in MARKDOWN.parse(page.read_text()):
        for child in token.children or []:
            if child.type == "code_inline" and re.match(OWN_FOLDERS, child.content):
                path, _, _ = child.content.partition(" ")
                assert (ROOT / path).exists(), f"{page.name}: {path}"


@pages
def test_commands_that_are_named_exist(page, capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    known = capsys.readouterr().out.split()
    for token in MARKDOWN.parse(page.read_text()):
        for code in [token, *(token.children or [])]:
            if code.type in ("fence", "code_block", "code_inline"):
                named = re.findall(r"(?<!from )\bseqmill ([a-z]+(?:-[a-z]+)*)\b", code.content)
                unknown = set(named) - {*known}
                assert not unknown, f"{page.name}: seqmill {unknown.pop()}"


@pages
def test_code_is_what_the_program_takes(page, tmp_path):
    for token in MARKDOWN.parse(page.read_text()):
        if token.type == "fence" and token.info == "python":
            compile(token.content, page.name, "exec")
        elif token.type == "fence" and token.info == "toml":
            if "[corpus." in token.content:
                (tmp_path / "config.toml").write_text(token.content)
                load_config(str(tmp_path / "config.toml"), {})
            else:
                tomllib.loads(token.content)


def test_every_page_is_named_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    missing = [page.name for page in ROOT.glob("docs/*.md") if f"docs/{page.name}" not in readme]
    assert not missing


def test_every_option_has_a_row():
    options = {*global_options(), *(option for model in TABLES.values() for option in option_fields(model))}
    missing = options - _names_in_rows("configuration.md", first_cell_only=True) - {"name"}
    assert not missing, f"docs/configuration.md says nothing of {', '.join(sorted(missing))}"


@pytest.mark.parametrize(
    "kind", [Manifest, Epoch, EpochManifest, Shard, Counts, StoreManifest, StoreFile, DamagedSource]
)
def test_every_field_of_a_manifest_is_told(kind):
    missing = {field.name for field in fields(kind)} - _names_in_rows("formats.md")
    assert not missing, f"docs/formats.md says nothing of {', '.join(sorted(missing))}"


@pytest.mark.parametrize("module", [manifest, epoch_manifest, sequence_store])
def test_formats_are_those_of_the_code(module):
    assert module.FORMAT in _names_in_rows("formats.md")


def _names_in_rows(page, first_cell_only=False):
    """What stands in backquotes in the tables of a page."""
    names = set()
    cell = 0
    for token in MARKDOWN.parse((ROOT / "docs" / page).read_text()):
        cell = 0 if token.type in ("tr_open", "table_close") else cell + (token.type == "td_open")
        if token.type == "inline" and (cell == 1 or (cell and not first_cell_only)):
            names |= {child.content for child in token.children or [] if child.type == "code_inline"}
    return names


def _anchors(path):
    """What a heading is linked by: lower case, without punctuation, dashes for spaces."""
    tokens = MARKDOWN.parse(path.read_text())
    headings = [after for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", token.content.lower()).replace(" ", "-") for token in headings}
