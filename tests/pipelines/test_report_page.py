"""``seqmill report`` in a browser."""

from pathlib import Path

import numpy as np
import pytest
from browser import chromium, opened
from seqmill_runs import Seqmill, write_config, write_jsonl

from seqmill.pipelines.config import load_config
from seqmill.pipelines.report import choices, labels
from seqmill.trainer import scores
from seqmill.transforms.batches.layout import planned_by
from seqmill.transforms.storage.output_folder import model_folder
from seqmill.transforms.store.sequence_store import Store

HOSTILE = "<img src=x onerror=alert(1)>"
SECTIONS = [
    "Overview",
    "Lengths of train",
    "Lengths of dev",
    "Batches of train",
    "Other choices for train",
    "Labels of words",
    "Rejected records",
    "Sequences of train",
    "Training",
]


def records(number):
    random = np.random.default_rng(number)
    for length in random.integers(1, 40, number).tolist():
        words = random.choice(["yes", "no", HOSTILE.replace(" ", "\u00a0")], length)
        yield {
            "words": words.tolist(),
            "features": random.random((length, 5)).tolist(),
            "samples": random.random(length * 100).tolist(),
        }


@pytest.fixture(scope="module")
def report(tmp_path_factory, silent_seqmill: Seqmill):
    folder = tmp_path_factory.mktemp("report")
    write_jsonl(folder / "train.jsonl", [*records(60), {"words": 5, "features": [[HOSTILE]]}])
    write_jsonl(folder / "dev.jsonl", records(7))
    config = write_config(
        folder,
        {"words": {"type": "words"}, "features": {"type": "floats"}, "samples": {"type": "floats"}},
        {name: {"format": "jsonl", "files": [f"{name}.jsonl"]} for name in ("train", "dev")},
        batch_size={"words": 100},
        max_seq_length={"words": 30},
        max_rejected=0.1,
        seq_ordering="laplace:4",
    )
    history = scores.History()
    for epoch in (1, 2, 3):
        history.add(epoch, "train", {"loss": 1 / epoch, "per": np.nan})
        history.add(epoch, "dev", {"loss": 2 / epoch})
    scores.write(model_folder(str(folder / "out")), history)
    silent_seqmill.succeeds("report", config)
    first = (folder / "out" / "report.html").read_bytes()
    silent_seqmill.succeeds("report", config, "--to", folder / "again.html")
    assert (folder / "again.html").read_bytes() == first
    before = config.read_bytes()
    silent_seqmill("report", config, "--to", config)
    assert config.read_bytes() == before
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def seen(report):
    with chromium() as browser:
        yield opened(browser, report.as_uri(), 1280)


def test_a_page_needs_nothing_else_and_has_no_faults(report: Path, seen):
    assert seen.messages == []
    assert seen.requests == [report.as_uri()]


@pytest.mark.parametrize("width", [1280, 400])
def test_a_page_is_readable_at_any_width(seen, width):
    page = seen.page
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function(
        """width => [...document.querySelectorAll(".drawing")].every(
            drawing => drawing.querySelector(".main-svg").getBoundingClientRect().right <= width)""",
        arg=width,
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h2").all_inner_texts() == SECTIONS
    heights = page.evaluate(
        'x => [...document.querySelectorAll(".drawing")].map(one => one.getBoundingClientRect().height)'
    )
    assert min(heights) >= 150


def test_drawings_show_all_of_the_corpus(seen):
    traces = seen.page.evaluate(
        """[...document.querySelectorAll(".drawing .js-plotly-plot")].map(
            plot => plot.data.map(({type, name, y}) => ({type, name, y: [...(y || [])]})))"""
    )
    bars = [trace for plot in traces for trace in plot if trace["type"] == "bar"]
    assert [sum(trace["y"]) for trace in bars] == [60, 60, 60, 7, 7, 7]
    assert [trace["name"] for trace in traces[-2]] == ["train", "dev"]
    assert traces[-2][1]["y"] == [2, 1, 2 / 3]
    assert traces[-1][0]["y"] == [None, None, None]
    assert sum(trace["type"] == "heatmap" for plot in traces for trace in plot) == 3
    text = seen.page.locator("body").inner_text()
    assert "max_seq_length = 30 for words" in text
    assert "train.jsonl:61" in text


def test_options_in_force_have_a_ring_and_beaten_ones_are_hollow(seen):
    traces = seen.page.evaluate(
        """[...document.querySelectorAll(".drawing .js-plotly-plot")].map(plot => plot.data)
            .find(data => data.at(-1).name === "now").map(
                ({name, x, y, marker}) => ({name, x: [...x], y: [...y], symbols: [marker.symbol].flat()}))"""
    )
    *groups, now = traces
    places = [place for group in groups for place in zip(group["x"], group["y"], strict=True)]
    filled = [symbol < 100 for group in groups for symbol in group["symbols"]]
    rows = seen.page.locator("#s4 tbody tr").all_inner_texts()
    assert filled == [row.startswith("best") for row in rows]
    assert (now["x"][0], now["y"][0]) == places[["(now)" in row for row in rows].index(True)]


def test_options_in_force_are_there_where_limits_cannot_be_halved(report: Path):
    flags = {"batch_size": "{words = 1}", "length_buckets": "{words = 40}"}
    config = load_config(str(report.parent.parent / "config.toml"), flags)
    store = Store(str(report.parent / "store" / "train"))
    section = choices.section(store, planned_by(store, config.schedule_of("train")).schedule.options)
    assert section.parts[1].count("laplace:4 (now)") == 1


def test_special_labels_are_not_among_the_rarest(report: Path):
    (section,) = labels.sections(Store(str(report.parent / "store" / "train")))
    rarest = section.parts[1].partition("rarest")[2]
    assert '"text label">yes' in rarest and "&lt;pad" not in rarest and "&lt;unk" not in rarest


@pytest.mark.parametrize("line", [b'{"reason": "b', b"[]"])
def test_a_damaged_list_of_rejects_is_one_line_of_error(report: Path, seqmill: Seqmill, line):
    listed = report.parent / "epochs" / "train" / "rejected" / "plan.jsonl"
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_bytes(b"{}\n" + line + b"\n")
    try:
        seqmill("report", report.parent.parent / "config.toml").names(f"{listed}: line 2 is damaged: ")
    finally:
        listed.unlink()
