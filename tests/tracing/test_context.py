"""The W3C trace context of a request."""

from __future__ import annotations

import pytest

from cbox_init.tracing.context import TraceContext, from_headers, parse
from cbox_init.tracing.span import LONGEST_TEXT, MOST_ATTRIBUTES, Sampler

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_parent_is_read_and_written() -> None:
    context = parse(PARENT, "shop=1, other=x")
    assert context == TraceContext(int(TRACE, 16), int(SPAN, 16), True, "shop=1,other=x")
    assert context.variables() == {"TRACEPARENT": PARENT, "TRACESTATE": "shop=1,other=x"}
    assert TraceContext(1, 2, False).traceparent == f"00-{1:032x}-{2:016x}-00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"01-{TRACE}-{SPAN}-01-{'x' * 300}",
        f"{PARENT}\n",
    ],
)
def test_a_parent_that_is_malformed_does_not_count(text: str) -> None:
    assert parse(text) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse(f"01-{TRACE}-{SPAN}-03-more") == TraceContext(int(TRACE, 16), int(SPAN, 16), True)


@pytest.mark.parametrize(
    "state",
    ["no", "A=1", "a=1,a=2", "a=" + "x" * 600, ",".join(f"k{n}=1" for n in range(33)), "a=\xe4", "a=b\nc"],
)
def test_a_state_that_is_malformed_or_too_long_is_left_out(state: str) -> None:
    context = parse(PARENT, state)
    assert context is not None
    assert context.state == ""


def test_headers() -> None:
    parent, state = (b"traceparent", PARENT.encode()), (b"tracestate", b"a=1")
    assert from_headers([(b"host", b"x")]) is None
    assert from_headers([parent, parent]) is None
    found = from_headers([parent, state, (b"tracestate", b"b=2")])
    assert found is not None
    assert found.state == "a=1,b=2"


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
def test_the_share_of_traces_is_that_of_the_sdk(rate: float) -> None:
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    ours, theirs = Sampler(rate), ParentBased(TraceIdRatioBased(rate))
    for _ in range(100):
        span = ours.begin("x")
        sampled = theirs.should_sample(None, span.context.trace_id, "x").decision.is_sampled()  # type: ignore[no-untyped-call]
        assert span.context.sampled is sampled


def test_a_span_is_sent_if_its_parent_is() -> None:
    none, every = Sampler(0.0), Sampler(1.0)
    parent = every.begin("parent")
    child = none.begin("child", parent.context)
    assert child.context.sampled
    assert (child.context.trace_id, child.parent_id) == (parent.context.trace_id, parent.context.span_id)
    assert child.context.span_id != parent.context.span_id
    assert not every.begin("child", none.begin("parent").context).context.sampled


def test_attributes_have_limits() -> None:
    span = Sampler(1.0).begin("x")
    span.describe({f"a{number}": "x" * 5000 for number in range(100)})
    assert len(span.attributes) == MOST_ATTRIBUTES
    assert span.attributes["a0"] == "x" * LONGEST_TEXT
    span.describe({"a0": None, "a1": ""})
    assert span.attributes["a1"] == "x" * LONGEST_TEXT
