"""What reports draw, by Plotly: bars, lines, points and pictures, each as a piece of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqmill.pipelines.report.page import DRAWING, DRAWING_ID, plain

_COLORS = ("#0b69a3", "#d64545", "#3f9142", "#8719e0", "#cb6e17", "#486581")
_HEIGHT = 280
_PERCENT = {"tickformat": ".0%"}
_HOLLOW = 100  # added to the number of a symbol of Plotly's


@dataclass(frozen=True)
class Point:
    """A point of a drawing: where it is, the text shown where one points at it, and how it is drawn."""

    x: float
    y: float
    text: str
    is_filled: bool


def bars(x: Sequence[float], y: Sequence[float], x_title: str, y_title: str, texts: Sequence[str]) -> str:
    """Bars; ``texts`` are shown where one points at them."""
    trace = {
        "type": "bar",
        "x": list(x),
        "y": list(y),
        "hovertext": [plain(text) for text in texts],
        "hoverinfo": "text",
        "marker": {"color": _COLORS[0]},
    }
    return _drawn([trace], x_title, y_title, bargap=0.05)


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_title: str,
    y_title: str,
    has_points: bool = False,
    is_log: bool = False,
    from_zero: bool = True,
    by_ones: bool = False,
    is_share: bool = False,
) -> str:
    """Lines by name, each of values of x and y; NaN leaves a gap.

    Args:
        curves: The lines.
        x_title: What x is.
        y_title: What y is.
        has_points: Whether each value has a point.
        is_log: Whether both axes are logarithmic.
        from_zero: Whether y begins at 0.
        by_ones: Whether every whole number of x is written.
        is_share: Whether y is written in percent.
    """
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers" if has_points else "lines",
            "name": plain(name),
            "x": list(x),
            "y": [None if value != value else value for value in y],
            "line": {"color": _COLORS[number % len(_COLORS)], "width": 1.5},
            "marker": {"size": 5},
        }
        for number, (name, (x, y)) in enumerate(curves.items())
    ]
    scale = {"type": "log", "dtick": 1} if is_log else {}
    x_axis = {**scale, **({"dtick": 1} if by_ones else {})}
    y_axis = {**scale, **({"rangemode": "tozero"} if from_zero and not is_log else {})}
    y_axis |= _PERCENT if is_share else {}
    return _drawn(traces, x_title, y_title, xaxis=x_axis, yaxis=y_axis)


def points(
    groups: Mapping[str, Sequence[Point]], ringed: tuple[str, Point], x_title: str, y_title: str
) -> str:
    """Points by name of their group, x in percent.

    Args:
        groups: The points.
        ringed: A name and the point that it has a ring for.
        x_title: What x is.
        y_title: What y is.
    """
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": plain(name),
            "x": [point.x for point in group],
            "y": [point.y for point in group],
            "hovertext": [plain(point.text) for point in group],
            "hoverinfo": "text",
            "marker": {
                "size": 11,
                "color": _COLORS[number % len(_COLORS)],
                "symbol": [number if point.is_filled else number + _HOLLOW for point in group],
                "line": {"width": 2, "color": _COLORS[number % len(_COLORS)]},
            },
        }
        for number, (name, group) in enumerate(groups.items())
    ]
    name, point = ringed
    ring = {"size": 22, "color": "#334e68", "symbol": _HOLLOW, "line": {"width": 2}}
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": plain(name),
            "x": [point.x],
            "y": [point.y],
            "hoverinfo": "skip",
            "marker": ring,
        }
    )
    return _drawn(traces, x_title, y_title, 380, xaxis=_PERCENT)


def picture(values: np.ndarray, x_title: str, y_title: str) -> str:
    """A picture of finite numbers, [columns, rows], the first row at the bottom."""
    trace = {
        "type": "heatmap",
        "z": values.T.astype(np.float32),
        "colorscale": "Viridis",
        "showscale": False,
        "hoverinfo": "skip",
    }
    return _drawn([trace], x_title, y_title, height=220)


def _drawn(
    traces: Sequence[dict[str, Any]], x_title: str, y_title: str, height: int = _HEIGHT, **layout: Any
) -> str:
    import plotly.graph_objects as go

    axes = {
        name: {"title": {"text": plain(title), "standoff": 8}, "automargin": True, "gridcolor": "#e4e9ef"}
        for name, title in (("xaxis", x_title), ("yaxis", y_title))
    }
    for name, axis in axes.items():
        axis |= layout.pop(name, {})
    figure = go.Figure(
        traces,
        {
            "template": "none",
            "height": height,
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "font": {"size": 12, "color": "#334e68"},
            "showlegend": len(traces) > 1,
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            **axes,
            **layout,
        },
    )
    html = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=DRAWING_ID,
        config={"responsive": True, "displayModeBar": False},
    )
    return f"{DRAWING}{html}</div>"
