"""The plan is the cheapest that the rules allow: compared with every possible one."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalogue.driver import ReadLimits, Span
from gateway.field.bus.cost import Cost
from gateway.field.meter.planner import Read, Rules, between, halves, plan, seconds, unreachable, worth_it


def set_partitions(items: list) -> list[list[list]]:
    if not items:
        return [[]]
    first, rest = items[0], items[1:]
    found = []
    for size in range(len(rest) + 1):
        for mates in combinations(rest, size):
            others = [item for item in rest if item not in mates]
            found += [[[first, *mates], *tail] for tail in set_partitions(others)]
    return found


def cheapest_by_trying(spans: list[Span], rules: Rules, cost: Cost) -> float:
    """Over all ways to group the rows, neighbours or not."""
    best = float("inf")
    for groups in set_partitions(spans):
        total = 0.0
        for group in groups:
            first, end = min(s.address for s in group), max(s.end for s in group)
            legal = (
                len({s.function for s in group}) == 1
                and rules.allow(group[0].function, first, end)
                and (len(group) == 1 or not any(s.alone for s in group))
                and all(s.address == first for s in group if s.starts)
            )
            if not legal:
                break
            begin, behind = rules.bounds(first, end)
            total += cost.time(behind - begin)
        else:
            best = min(best, total)
    return best


@st.composite
def disjoint_spans(draw: st.DrawFn) -> list[Span]:
    spans, at = [], 0
    for _ in range(draw(st.integers(1, 6))):
        at += draw(st.integers(0, 8))
        words = draw(st.sampled_from([1, 2, 2, 4]))
        kind = draw(st.sampled_from(["", "", "", "", "alone", "starts"]))
        spans.append(Span(draw(st.sampled_from([3, 4, 4])), at, words, kind == "alone", kind == "starts"))
        at += words
    return spans


RULES = st.builds(
    Rules,
    max_registers=st.integers(4, 24),
    holes=st.lists(
        st.integers(0, 50).flatmap(lambda a: st.tuples(st.just(a), st.integers(a, a + 3))), max_size=2
    ).map(tuple),
    illegal=st.lists(
        st.tuples(st.sampled_from([3, 4]), st.integers(0, 50), st.integers(1, 6)).map(
            lambda t: (t[0], t[1], t[1] + t[2])
        ),
        max_size=2,
    ).map(tuple),
)
COSTS = st.builds(Cost, a=st.floats(0.0, 0.1), b=st.floats(0.0, 0.01))
REAL_COSTS = st.builds(Cost, a=st.floats(0.001, 0.1), b=st.floats(0.0001, 0.01))
"""A register always takes its time on the wire."""


@settings(max_examples=300, deadline=None)
@given(disjoint_spans(), RULES, COSTS)
def test_no_grouping_is_cheaper(spans: list[Span], rules: Rules, cost: Cost) -> None:
    possible = [span for span in spans if rules.allow(span.function, span.address, span.end)]
    reads = plan(spans, rules, cost)
    assert seconds(reads, cost) <= cheapest_by_trying(possible, rules, cost) + 1e-9
    assert abs(seconds(reads, cost) - cheapest_by_trying(possible, rules, cost)) < 1e-9 or not possible


@settings(max_examples=300, deadline=None)
@given(disjoint_spans(), RULES, COSTS, st.booleans())
def test_every_read_keeps_the_rules_and_every_row_is_read_once(
    spans: list[Span], rules: Rules, cost: Cost, even: bool
) -> None:
    rules = Rules(rules.max_registers, rules.holes, even, rules.illegal)
    reads = plan(spans, rules, cost)
    served = [span for read in reads for span in read.spans]
    assert sorted(served) == sorted(set(spans) - set(unreachable(spans, rules)))
    for read in reads:
        assert read.count <= rules.max_registers
        assert rules.allow(read.function, read.address, read.end)
        assert all(
            read.address <= span.address and span.end <= read.end and span.function == read.function
            for span in read.spans
        )
        assert len(read.spans) == 1 or not any(span.alone for span in read.spans)
        assert all(span.address == read.address for span in read.spans if span.starts and not even)
        assert not even or (read.address % 2 == 0 and read.count % 2 == 0)
        for first, last in rules.holes:
            assert read.end <= first or last < read.address
        for function, first, end in rules.illegal:
            assert function != read.function or not (read.address <= first and end <= read.end)


@settings(max_examples=300, deadline=None)
@given(disjoint_spans(), RULES, REAL_COSTS, st.booleans(), st.data())
def test_what_belongs_together_comes_in_one_read_wherever_one_may_fetch_it(
    spans: list[Span], rules: Rules, cost: Cost, even: bool, data: st.DataObject
) -> None:
    rules = Rules(rules.max_registers, rules.holes, even, rules.illegal)
    pairs = [(a, b) for a in spans for b in spans if a.function == b.function and a.address < b.address]
    chosen = data.draw(st.lists(st.sampled_from(pairs), max_size=4)) if pairs else []
    stretches = {Span(a.function, a.address, b.end - a.address): (a, b) for a, b in chosen}
    reads = plan(spans, rules, cost, stretches)
    served = [span for read in reads for span in read.spans]
    assert sorted(served) == sorted(set(spans) - set(unreachable(spans, rules)))
    for stretch, (value, _) in stretches.items():
        within = [
            span
            for span in spans
            if span.function == value.function and value.address <= span.address < stretch.end
        ]
        parted = any(span.alone or (span.starts and span != value) for span in within)
        if rules.allow(stretch.function, stretch.address, stretch.end) and not parted:
            assert any(
                read.function == stretch.function
                and read.address <= stretch.address
                and stretch.end <= read.end
                for read in reads
            )


def test_a_value_and_its_power_of_ten_stay_together_where_apart_would_be_cheaper() -> None:
    value, scale = Span(3, 0, 1), Span(3, 40, 1)
    stretch, cost = Span(3, 0, 41), Cost(0.03, 0.002)
    assert shape(plan([value, scale], Rules(), cost)) == [(0, 1), (40, 1)]
    assert shape(plan([value, scale], Rules(), cost, [stretch])) == [(0, 41)]
    assert shape(plan([value, scale], Rules(max_registers=20), cost, [stretch])) == [(0, 1), (40, 1)]


def shape(reads: tuple[Read, ...]) -> list[tuple[int, int]]:
    return [(read.address, read.count) for read in reads]


def test_a_gap_is_read_over_when_that_is_cheaper_than_a_read_of_its_own() -> None:
    spans = [Span(4, 0, 2), Span(4, 22, 2)]
    assert shape(plan(spans, Rules(), Cost(0.05, 0.002))) == [(0, 24)]
    assert shape(plan(spans, Rules(), Cost(0.03, 0.002))) == [(0, 2), (22, 2)]


def test_a_row_that_must_be_read_alone_does_not_divide_the_others() -> None:
    spans = [Span(3, 0, 10), Span(3, 11, 1, alone=True), Span(3, 12, 2)]
    assert shape(plan(spans, Rules(), Cost(0.05, 0.001))) == [(0, 14), (11, 1)]


def test_a_refused_read_is_halved_between_rows_near_its_middle() -> None:
    read = plan([Span(4, 0, 2), Span(4, 2, 4), Span(4, 8, 2), Span(4, 20, 4)], Rules(), Cost(1, 0))[0]
    left, right = halves(read, Rules())
    assert (left.address, left.count, right.address, right.count) == (0, 6, 8, 16)
    assert between(left, right) == (4, 5, 9)
    assert halves(left, Rules()) is not None
    assert halves(plan([Span(4, 0, 2)], Rules(), Cost(1, 0))[0], Rules()) is None


def test_what_was_refused_is_not_asked_again_in_a_longer_read() -> None:
    spans = [Span(4, 0, 2), Span(4, 4, 2), Span(4, 8, 2)]
    rules = Rules(illegal=((4, 1, 5),))
    assert shape(plan(spans, rules, Cost(1, 0.001))) == [(0, 2), (4, 6)]
    rules = Rules(illegal=((4, 4, 6),))
    assert shape(plan(spans, rules, Cost(1, 0.001))) == [(0, 2), (8, 2)]
    assert unreachable(spans, rules) == [Span(4, 4, 2)]


def test_limits_of_a_driver_become_rules() -> None:
    rules = Rules.of(ReadLimits(function=4, max_registers=40, holes=((6, 7),), even=True), [(4, 10, 12)])
    assert rules == Rules(40, ((6, 7),), True, ((4, 10, 12),))
    assert rules.bounds(3, 7) == (2, 8)


def test_a_plan_is_exchanged_only_for_more_than_five_percent() -> None:
    cost = Cost(0.0, 0.01)
    spans = (Span(4, 0, 100),)
    old = (Read(4, 0, 100, spans),)
    assert not worth_it(old, (Read(4, 0, 95, spans),), cost)
    assert worth_it(old, (Read(4, 0, 94, spans),), cost)
