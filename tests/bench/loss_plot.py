"""A picture of bench_loss's report: SVG by hand, so that no plotting library is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 900, 230, 60, 46, 60
_COLORS = ("#1f5fa8", "#c2571a", "#3d7d3d")

Value = Callable[[dict[str, Any]], float]

_PANELS: Sequence[tuple[str, str, float | None, Sequence[tuple[str, Value]]]] = (
    (
        "Picture stood still (seconds)",
        "",
        None,
        (
            ("family sees", lambda one: one["family_sees"]["frozen_s"]),
            ("prisoner sees", lambda one: one["prisoner_sees"]["frozen_s"]),
        ),
    ),
    (
        "Voice made up by the decoder (%)",
        "%",
        None,
        (
            ("family hears", lambda one: 100 * (one["family_sees"]["audio_concealed"] or 0)),
            ("prisoner hears", lambda one: 100 * (one["prisoner_sees"]["audio_concealed"] or 0)),
        ),
    ),
    (
        "Family's packets missing in the recording (%)",
        "%",
        None,
        (
            ("voice", lambda one: 100 * (1 - one["recorded"].get("audio", {}).get("part", 0))),
            ("picture", lambda one: 100 * (1 - one["recorded"].get("video", {}).get("part", 0))),
        ),
    ),
)


def plot(report: dict[str, Any]) -> str:
    """Bars for each network, three panels below each other."""
    results = report["results"]
    height = _TOP + len(_PANELS) * (_HEIGHT + _GAP)
    text = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif"'
        ' font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="16">A visit through a bad network, {report["seconds"]:g} s each,'
        f" {escape(report['at'][:10])}</text>",
    ]
    for number, (title, unit, most, series) in enumerate(_PANELS):
        text += _panel(_TOP + number * (_HEIGHT + _GAP), title, unit, most, series, results)
    return "\n".join([*text, "</svg>", ""])


def _panel(
    top: float,
    title: str,
    unit: str,
    most: float | None,
    series: Sequence[tuple[str, Value]],
    results: Sequence[dict[str, Any]],
) -> list[str]:
    bottom, right = top + _HEIGHT, _WIDTH - 20
    highest = most or max(0.1, *(value(one) for _, value in series for one in results)) * 1.15
    text = [
        f'<text x="{_LEFT}" y="{top + 14}" font-weight="bold">{escape(title)}</text>',
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="#333"/>',
    ]
    for number, (name, _) in enumerate(series):
        left = right - 130 * (len(series) - number)
        text.append(f'<rect x="{left}" y="{top + 4}" width="11" height="11" fill="{_COLORS[number]}"/>')
        text.append(f'<text x="{left + 16}" y="{top + 14}">{escape(name)}</text>')
    step = (right - _LEFT) / len(results)
    bar = step * 0.7 / len(series)
    for place, one in enumerate(results):
        x = _LEFT + place * step + step * 0.15
        text.append(
            f'<text x="{x + step * 0.35}" y="{bottom + 18}" text-anchor="middle">{escape(one["network"])}</text>'
        )
        for number, (_, value) in enumerate(series):
            size = value(one) / highest * (_HEIGHT - 46)
            at = x + number * bar
            text.append(
                f'<rect x="{at:.1f}" y="{bottom - size:.1f}" width="{bar - 2:.1f}" height="{size:.1f}"'
                f' fill="{_COLORS[number]}"/>'
            )
            text.append(
                f'<text x="{at + bar / 2:.1f}" y="{bottom - size - 4:.1f}" text-anchor="middle" font-size="11">'
                f"{value(one):.2g}{unit}</text>"
            )
    return text
