"""docs/metrics.md has every metric that there is, and no other."""

from __future__ import annotations

from cbox_init.metrics.families import FAMILIES
from tests.docs.markdown import ROOT, code, sections

PAGE = ROOT / "docs/metrics.md"
HEADER = ["metric", "type", "labels", "meaning"]


def test_every_metric_with_its_type_and_labels() -> None:
    page = {
        code(name)[0]: (kind, tuple(code(labels)))
        for section in sections(PAGE)
        for header, *rows in section.tables
        if header == HEADER
        for name, kind, labels, meaning in rows
        if meaning
    }
    shown = {}
    for family in FAMILIES:
        metric = family._empty()
        suffix = "_total" if metric.type == "counter" else ""
        shown[f"{metric.name}{suffix}"] = (metric.type, family.labels)
    assert page == shown
