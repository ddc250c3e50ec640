"""What a comparison says: a table for the terminal, JSON, and one page of HTML that needs nothing else."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from router.replay.comparison import Comparison, may_be_chance
from router.replay.figures import Cell, Estimate

_UNITS: Final = {
    "serviceLevel": "%",
    "meanWait": "s",
    "p50": "s",
    "p80": "s",
    "p95": "s",
    "abandonment": "%",
    "occupancy": "%",
}
_WORDS: Final = {
    "serviceLevel": "service level",
    "meanWait": "mean wait",
    "p50": "wait p50",
    "p80": "wait p80",
    "p95": "wait p95",
    "abandonment": "abandoned",
    "occupancy": "occupancy",
}
#: A terminal has these of what is both.
_SHORT: Final = ("serviceLevel", "p80", "occupancy")


def together(compared: Sequence[Comparison], costs: Sequence[float | None]) -> str:
    """Several changes of the same days in one plain sentence, each with what it costs where that is known."""
    parts: list[str] = []
    for one, cost in zip(compared, costs, strict=True):
        whole = dict(one.rows()).get(("all", ""), {})
        if "serviceLevel" not in whole:
            continue
        before, after, _ = whole["serviceLevel"]
        level = f"{after.mean:.0f} %" if parts else f"service level {before.mean:.0f} to {after.mean:.0f} %"
        price = "" if cost is None else f", cost {cost:.2f}" if cost else ", free"
        parts.append(f"{one.name}: {level}{price}")
    return f"{'; '.join(parts)}." if len(parts) > 1 else ""


def _half(one: Estimate) -> str:
    return f" ±{one.half:.1f}" if math.isfinite(one.half) else ""


def table(one: Comparison) -> list[str]:
    """Lines for a terminal."""
    lines = [f"{'':28}{'figure':14}{'before':>18}{'after':>18}{'difference':>18}"]
    for cell, found in one.rows():
        where = cell[0] if cell[0] == "all" else f"{cell[0].removesuffix(' and hour')} {cell[1]}"
        for name, (before, after, change) in found.items():
            if cell[0].endswith(" and hour") and name not in _SHORT:
                continue
            lines.append(
                f"{where[:27]:28}{_WORDS[name]:14}"
                f"{f'{before.mean:.1f}{_half(before)} {_UNITS[name]}':>18}"
                f"{f'{after.mean:.1f}{_half(after)} {_UNITS[name]}':>18}"
                f"{f'{change.mean:+.1f}{_half(change)}':>18}"
            )
            where = ""
    return lines


def document(one: Comparison) -> dict[str, Any]:
    """As JSON: a figure's mean and half of its 95 % interval (null for a single replication)."""

    def shown(estimate: Estimate) -> dict[str, float | None]:
        half = round(estimate.half, 4) if math.isfinite(estimate.half) else None
        return {"mean": round(estimate.mean, 4), "half95": half}

    return {
        "name": one.name,
        "sentence": one.sentence(),
        "thresholdSeconds": one.threshold,
        "replications": len(one.before),
        "figures": [
            {
                "dimension": cell[0],
                "value": cell[1],
                "figure": name,
                "before": shown(before),
                "after": shown(after),
                "difference": shown(change),
            }
            for cell, found in one.rows()
            for name, (before, after, change) in found.items()
        ],
    }


_STYLE: Final = (
    ":root{color-scheme:light dark;"
    "--text:#1a1a1a;--ground:#fff;--line:#ddd;--faint:#6b6b6b;--before:#8a8a8a;--after:#1f5fbf}"
    "@media(prefers-color-scheme:dark)"
    "{:root{--text:#e6e6e6;--ground:#16181c;--line:#3a3d44;--faint:#a3a3a3;--before:#8f8f8f;--after:#6ea8ff}}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:var(--text);"
    "background:var(--ground);overflow-wrap:anywhere}"
    "figure{margin:1rem 0}.wide{overflow-x:auto}.wide:focus-visible{outline:2px solid var(--after)}svg{display:block}"
    "svg text{fill:var(--text);font-size:11px}.grid{stroke:var(--line)}.half{stroke:var(--text)}"
    ".before{fill:var(--before)}.after{fill:var(--after)}.key{display:inline-block;width:.8em;height:.8em}"
    ".key.before{background:var(--before)}.key.after{background:var(--after)}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:right;padding:.2rem .5rem;border-bottom:1px solid var(--line);white-space:nowrap}"
    "th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}.chance{color:var(--faint)}"
)
#: Nothing is fetched, whatever stands in a name.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(comparisons: Sequence[Comparison], summary: str = "", title: str = "What if") -> str:
    """One HTML page, its plots inline."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f'<meta http-equiv=Content-Security-Policy content="{_POLICY}"><link rel=icon href=data:,>',
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><main><h1>{html.escape(title)}</h1>",
        *([f"<p>{html.escape(summary)}</p>"] if summary else []),
        "<p>± is half of the 95 % interval over replications. Grey, with ≈: the difference may be chance.</p>",
    ]
    for one in comparisons:
        rows = one.rows()
        parts.append(f"<h2>{html.escape(one.name)}</h2><p>{html.escape(one.sentence())}</p>")
        parts += [_plot(rows, name) for name in ("serviceLevel", "p80", "occupancy")]
        parts.append(
            f"<div class=wide tabindex=0 role=region aria-label='Figures: {html.escape(one.name)}'><table><thead><tr>"
            "<th scope=col>where<th scope=col>figure<th scope=col>before<th scope=col>after<th scope=col>difference"
            "<tbody>"
        )
        for cell, found in rows:
            where = "all" if cell[0] == "all" else f"{cell[0]} {cell[1]}"
            for name, (before, after, change) in found.items():
                chance = may_be_chance(change)
                parts.append(
                    f"<tr{' class=chance' if chance else ''}><td>{html.escape(where)}<td>{_WORDS[name]}"
                    f"<td>{before.mean:.1f}{_half(before)} {_UNITS[name]}<td>{after.mean:.1f}{_half(after)}"
                    f" {_UNITS[name]}<td>{'≈ ' if chance else ''}{change.mean:+.1f}{_half(change)}"
                )
        parts.append("</table></div>")
    parts.append("</main></html>")
    return "\n".join(parts)


def _scale(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _plot(rows: Sequence[tuple[Cell, Mapping[str, tuple[Estimate, Estimate, Estimate]]]], name: str) -> str:
    """Bars by hour, before and after, with their intervals."""
    hours = [(cell[1], found[name]) for cell, found in rows if cell[0] == "hour" and name in found]
    if not hours:
        return ""
    most = max(100.0 if _UNITS[name] == "%" else 1.0, *(max(one[0].mean, one[1].mean) for _, one in hours))
    width, height = 40 * len(hours) + 60, 180
    label = f"{_WORDS[name]} by hour since the begin, {_UNITS[name]}"
    parts = [
        f"<figure><figcaption>{label}: <span class='key before'></span> before, <span class='key after'></span> after"
        f"</figcaption><div class=wide tabindex=0 role=region aria-label='Plot: {label}'>"
        f"<svg role=img viewBox='0 0 {width} {height}' width='{width}' height='{height}'"
        f" aria-label='{label}; the table below has the figures'>"
    ]
    for share in (0.0, 0.5, 1.0):
        y = 150 - 130 * share
        parts.append(f"<line class=grid x1=40 x2={width} y1={y} y2={y} />")
        parts.append(f"<text x=35 y={y + 4} text-anchor=end>{_scale(most * share)}</text>")
    for number, (hour, values) in enumerate(hours):
        for place, (one, which) in enumerate(zip(values[:2], ("before", "after"), strict=True)):
            x, tall = 48 + 40 * number + 13 * place, 130 * min(one.mean / most, 1.0)
            parts.append(f"<rect class={which} x={x} y={150 - tall:.1f} width=11 height={tall:.1f} />")
            if math.isfinite(one.half):
                low, high = (150 - 130 * min(max((one.mean + s * one.half) / most, 0.0), 1.0) for s in (-1, 1))
                parts.append(f"<line class=half x1={x + 5.5} x2={x + 5.5} y1={low:.1f} y2={high:.1f} />")
        parts.append(f"<text x={60 + 40 * number} y=166 text-anchor=middle>{html.escape(hour)}</text>")
    return "".join([*parts, "</svg></div></figure>"])
