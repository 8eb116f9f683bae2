"""The page of a night: its report as one HTML file that works offline, on a phone and on paper. No script is in it."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from cluster.moves import ABSENT, NONE
from cluster.palette import colour_of
from serve.night_pictures import Bar, Namer, bars, flow_picture, strip
from serve.night_report import FieldDrift, Flow, Gate, Report, SegmentThen
from serve.night_style import STYLE
from store.artifact import write_atomic

FIELDS, WORST, FLOWS = 16, 3, 20
"""Fields whose drift is drawn, of which so many with their bins; streams in the table."""
SEEN = 0.0005
"""A smaller share would be drawn and written as nothing."""
NOTABLE = 0.1
"""From this index on, a field's bins are worth looking at."""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
VERDICTS = {
    "published": ("good", "Published", "M5 17l7 7L27 8"),
    "held": ("bad", "Held: the snapshot before stays served", "M8 8l16 16M24 8L8 24"),
    "nothing_new": ("odd", "Nothing new", "M7 16h18"),
}
VECTORS = {
    "not_finite": "vectors that are not finite",
    "norm_error": "largest error of a length",
    "centre_shift": "way of the mean, in spreads",
    "changed": "vectors changed",
    "changed_mean": "mean way of these (1 - cosine)",
    "changed_p99": "one in a hundred went further than",
}
MODEL = {
    "cosine": "cosine to the old vectors",
    "cosine_before": "cosine before turning",
    "neighbours_kept": "neighbours kept",
    "moved": "share of customers in another segment",
}
EVENTS = {"before": "events before", "new": "new events", "late": "of these late", "now": "events now"}
DRIFT = (
    "New events beside those that the model was trained on. Below 0.1 is commonly read as no change, above 0.25 as a "
    "large one."
)
NO_STAGES = ("total", "peak_mb", "peak_mapped_mb")
ALERTS = {
    "moved": "moved to another segment",
    "shifted": "suddenly unlike themselves",
    "changed": "living differently for four weeks",
}


def write_page(report: Report, path: Path) -> None:
    """Write the page at `path`, whole or not at all. Same report, same bytes. Raises StorageError."""
    write_atomic(path, page(report))


def page(report: Report) -> str:
    """The page as text."""
    what = "Night of" if report.kind == "night" else "Retraining on events up to"
    title = f"{what} {report.as_of}"
    sections = (
        _head(report, title),
        _warnings(report),
        _gates(report),
        _came_in(report),
        _customers(report),
        _model(report),
        _segments(report),
        _drift(report),
        _vectors(report),
        _costs(report),
        _names(report),
    )
    return PAGE.format(title=_esc(title), style=STYLE, body="\n".join(section for section in sections if section))


def _esc(text: object) -> str:
    return html.escape(str(text))


def _figure(value: float | None) -> str:
    """A figure for people: whole numbers with commas, others to four digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def _cards(items: Iterable[tuple[str, str]], names: bool = False) -> str:
    kind = ' class="names"' if names else ""
    cells = "".join(f"<div><dt>{_esc(name)}</dt><dd>{_esc(value)}</dd></div>" for name, value in items)
    return f"<dl{kind}>{cells}</dl>" if cells else ""


def _table(heads: Sequence[str], rows: Iterable[str]) -> str:
    top = "".join(f"<th>{_esc(head)}</th>" for head in heads)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _row(*cells: str, kind: str = "") -> str:
    of = f' class="{kind}"' if kind else ""
    return f"<tr{of}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _head(report: Report, title: str) -> str:
    kind, words, path = VERDICTS[report.status]
    sign = (
        f'<svg viewBox="0 0 32 32" aria-hidden="true"><path d="{path}" fill="none" stroke="currentColor" '
        'stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )
    verdict = f"<div><b>{_esc(words)}</b>{_esc(report.reason)}</div>"
    return f'<h1>{_esc(title)}</h1>\n<div class="verdict {kind}">{sign}{verdict}</div>'


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ""
    items = "".join(f"<li>{_esc(warning)}</li>" for warning in report.warnings)
    head = "Warning" if len(report.warnings) == 1 else f"{len(report.warnings)} warnings"
    return f'<h2 class="odd">{head}</h2>\n<ul>{items}</ul>'


def _gates(report: Report) -> str:
    if not report.gates:
        return ""
    failed = sum(not gate.passed for gate in report.gates)
    accepted = sum(gate.passed and not gate.met for gate in report.gates)
    told = [f"{failed} of {len(report.gates)} failed" if failed else f"all {len(report.gates)} passed"]
    told += [f"{accepted} beyond the limit {'was' if accepted == 1 else 'were'} accepted"] if accepted else []
    rows = [
        _row(
            f'<b>{_esc(gate.name)}</b><small class="words">{_esc(gate.words)}</small>',
            _figure(gate.figure),
            f"{'≥' if gate.bound == 'least' else '≤'} {_figure(gate.limit)}",
            f'<span class="mark">{words}</span>',
            kind=kind,
        )
        for gate in report.gates
        for kind, words in (_verdict(gate),)
    ]
    return f"<h2>Gates: {'; '.join(told)}</h2>\n{_table(('gate', 'figure', 'limit', 'verdict'), rows)}"


def _verdict(gate: Gate) -> tuple[str, str]:
    if gate.figure is None:
        return "", "– not measured"
    if gate.met:
        return "", "✓ passed"
    return ("odd", "! accepted") if gate.accepted else ("bad", "✗ FAILED")


def _came_in(report: Report) -> str:
    cards = _cards((words, _figure(report.events[name])) for name, words in EVENTS.items() if name in report.events)
    if not cards and not report.sources:
        return ""
    heads = ("source", "files", "again", "rows", "kept", "quarantined", "repeats", "erased", "for later")
    rows = [
        _row(
            _esc(one.name),
            *(
                _figure(value)
                for value in (
                    one.files,
                    one.repeated_files,
                    one.read,
                    one.kept,
                    one.quarantined,
                    one.duplicates,
                    one.erased,
                    one.pending,
                )
            ),
        )
        for one in report.sources
    ]
    table = _table(heads, rows) if rows else ""
    return f"<h2>What came in</h2>\n{cards}\n{table}"


def _customers(report: Report) -> str:
    found = report.customers
    items = [(words, _figure(report.alerts[name])) for name, words in ALERTS.items() if name in report.alerts]
    if found is None and not items:
        return ""
    told = []
    if found is not None:
        told = [
            ("customers before", _figure(found.before)),
            ("new", _figure(found.new)),
            ("known, with new events", _figure(found.changed)),
            ("of these read from the start", _figure(found.replayed)),
            ("gone", _figure(found.gone)),
            ("customers now", _figure(found.now)),
        ]
    return f"<h2>Customers</h2>\n{_cards([*told, *items])}"


def _model(report: Report) -> str:
    if not report.model_change:
        return ""
    items = [(MODEL.get(name, name.replace("_", " ")), _figure(value)) for name, value in report.model_change.items()]
    words = "No new events were taken: what is different is the new model's doing."
    return f"<h2>What the new model changed</h2>\n<p>{words}</p>\n{_cards(items)}"


def _segments(report: Report) -> str:
    if not report.segments:
        return ""
    events = "".join(f"<li>{_esc(words)}</li>" for words in report.happened)
    told = f"<ul>{events}</ul>" if events else '<p class="faint">No segment was born, split, merged or died.</p>'
    return f"<h2>Segments</h2>\n{told}\n{_sizes(report.segments)}\n{_moves(report)}"


def _sizes(segments: Sequence[SegmentThen]) -> str:
    longest = float(max(max(one.before, one.now) for one in segments))
    heads = ("segment", "before", "now", "change")
    rows = []
    for one in segments:
        chip = f'<i class="chip" style="background:{colour_of(one.id)}"></i>'
        track = strip(Bar("", "", one.now, one.before), longest)
        name = f'{chip}{_esc(one.name)} <small class="faint">segment {one.id}</small>{track}'
        rows.append(_row(name, _figure(one.before), _figure(one.now), _change(one)))
    key = '<p class="key small"><i></i>now <i class="was"></i>before</p>'
    return f"{key}\n{_table(heads, rows)}"


def _change(one: SegmentThen) -> str:
    if not one.before or not one.now:
        return "new" if one.now else "gone"
    return f"{one.now - one.before:+,}".replace("-", "−") if one.now != one.before else "±0"


def _moves(report: Report) -> str:
    if not report.flows:
        return ""
    names = {one.id: one.name for one in report.segments}

    def before(segment: int) -> str:
        return {NONE: "in no segment", ABSENT: "new customers"}.get(segment) or names.get(segment, f"segment {segment}")

    def after(segment: int) -> str:
        return {NONE: "in no segment", ABSENT: "gone"}.get(segment) or names.get(segment, f"segment {segment}")

    shown = sorted(report.flows, key=lambda flow: (-flow.customers, flow.source, flow.target))[:FLOWS]
    rows = [
        _row(f"{_end(flow.source, before)} → {_end(flow.target, after)}", _figure(flow.customers)) for flow in shown
    ]
    rest = _rest(report.flows, shown)
    picture = flow_picture(report.flows, before, after)
    return f"<h3>Who went where</h3>\n{picture}\n{_table(('from → to', 'customers'), rows)}{rest}"


def _end(segment: int, name: Namer) -> str:
    return f'<i class="chip" style="background:{colour_of(segment)}"></i>{_esc(name(segment))}'


def _rest(flows: Sequence[Flow], shown: Sequence[Flow]) -> str:
    others = len(flows) - len(shown)
    if not others:
        return ""
    customers = sum(flow.customers for flow in flows) - sum(flow.customers for flow in shown)
    return f'<p class="faint">{customers:,} more between {others:,} other pairs.</p>'


def _drift(report: Report) -> str:
    if not report.drift:
        return ""
    # a night has one weekday and its own hours, so that these are told last and not judged
    fields = sorted(report.drift, key=lambda one: (one.kind == "time", -one.psi, one.field))
    judged = [one for one in fields if one.kind != "time"]
    shown = [*judged[:FIELDS], *fields[len(judged) :]]
    limit = next((gate.limit for gate in report.gates if gate.name == "field_drift"), None)
    most = max((one.psi for one in judged), default=0.0)
    # a limit far away would leave nothing of the bars
    drawn = limit if limit is not None and limit <= 20 * max(most, NOTABLE) else None
    longest = max(1.15 * (drawn or 0.0), most, NOTABLE)
    rows = [Bar(one.field, f"{one.psi:.3f}", one.psi, note=_note(one)) for one in shown]
    line = f"<b></b>limit of {limit:g}" if drawn is not None else ""
    worst = [one for one in judged if one.bins and one.psi >= NOTABLE][:WORST]
    return "\n".join(
        (
            "<h2>Drift of the inputs</h2>",
            f'<p class="faint">{DRIFT}</p>',
            f'<p class="key small"><i></i>population stability index{line}</p>',
            bars(rows, longest, drawn),
            f'<p class="faint">{len(judged) - FIELDS} more fields drifted less.</p>' if len(judged) > FIELDS else "",
            f'<div class="fields">{"".join(map(_bins, worst))}</div>' if worst else "",
        )
    )


def _note(one: FieldDrift) -> str:
    told = ["not judged"] if one.kind == "time" else []
    if abs(one.absent - one.absent_before) >= 0.005:
        told.append(f"absent {one.absent_before:.1%} → {one.absent:.1%}")
    if one.unseen:
        told.append(f"unseen {one.unseen:.1%}")
    return ", ".join(told)


def _bins(one: FieldDrift) -> str:
    bins = [(words, before, now) for words, before, now in one.bins if max(before, now) >= SEEN]
    longest = max((max(before, now) for _, before, now in bins), default=0.0)
    rows = [Bar(words, f"{before:.1%} → {now:.1%}", now, before) for words, before, now in bins]
    key = '<p class="key small"><i></i>now <i class="was"></i>in training</p>'
    return f"<div><h3>{_esc(one.field)}: the bins that moved most</h3>\n{key}\n{bars(rows, longest)}</div>"


def _vectors(report: Report) -> str:
    items = [(VECTORS.get(name, name.replace("_", " ")), _figure(value)) for name, value in report.vectors.items()]
    return f"<h2>Vectors</h2>\n{_cards(items)}" if items else ""


def _costs(report: Report) -> str:
    if not report.timings:
        return ""
    stages = {name: value for name, value in report.timings.items() if name not in NO_STAGES}
    rows = [Bar(name, _seconds(value), value) for name, value in stages.items()]
    whole = [("in all", _seconds(report.timings["total"]))] if "total" in report.timings else []
    peak = report.timings.get("peak_mb")
    whole += [("peak memory", f"{peak:,.0f} MB" if peak < 10_000 else f"{peak / 1024:,.1f} GB")] if peak else []
    drawn = bars(rows, max(stages.values())) if stages else ""
    return f"<h2>Time and memory</h2>\n{_cards(whole)}\n{drawn}"


def _seconds(value: float) -> str:
    if value >= 600:
        return f"{int(value) // 60:,} min {int(value) % 60:02d} s"
    return f"{value:.0f} s" if value >= 100 else f"{value:.1f} s"


def _names(report: Report) -> str:
    changed = report.model != report.previous_model
    items = [
        ("snapshot", report.snapshot or "none made"),
        ("the one before", report.previous),
        ("model", report.model),
        *([("the model before", report.previous_model)] if changed else []),
    ]
    gone = f'<p class="faint">Removed as older than what is kept: {_esc(", ".join(report.pruned))}.</p>'
    return f"<h2>Names</h2>\n{_cards(items, names=True)}{gone if report.pruned else ''}"
