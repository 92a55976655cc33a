"""Elements are escaped, drawings are labelled, labels are moved apart."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.report.svg import drawing, element, path, position, spread


def test_texts_and_attributes_are_escaped() -> None:
    made = element("text", "<b>&", x=1.25, class_='a"b', stroke_width=None)
    assert str(made) == '<text x="1.2" class="a&#34;b">&lt;b&gt;&amp;</text>'


def test_an_element_without_children_closes_itself() -> None:
    assert str(element("path", d="M0,0", stroke_width=2)) == '<path d="M0,0" stroke-width="2"/>'


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (1.0, "1"), (1.26, "1.3"), (-0.01, "0"), (10.0, "10")]
)
def test_position(value: float, text: str) -> None:
    assert position(value) == text


def test_path() -> None:
    assert path([(0, 0), (1.55, 2)]) == "M0,0L1.6,2"
    assert path([(0, 0), (1, 1)], closed=True) == "M0,0L1,1Z"
    assert path([]) == ""


def test_a_drawing_names_itself() -> None:
    made = str(
        drawing([], ident="p1", title="A < B", description="d", width=10, height=5, class_="plot")
    )
    assert made == (
        '<svg class="plot" role="img" aria-labelledby="p1-title" aria-describedby="p1-desc" '
        'viewBox="0 0 10 5" width="10" height="5">'
        '<title id="p1-title">A &lt; B</title><desc id="p1-desc">d</desc></svg>'
    )


@given(wanted=st.lists(st.floats(0, 300), max_size=20).map(sorted), gap=st.floats(1, 40))
def test_spread_keeps_order_distance_and_bounds(wanted: list[float], gap: float) -> None:
    placed = spread(wanted, gap, 0, 300)
    room = gap if len(wanted) < 2 else min(gap, 300 / (len(wanted) - 1))
    assert len(placed) == len(wanted)
    for one, next_one in itertools.pairwise(placed):
        assert next_one - one >= room - 1e-6
    for y in placed:
        assert -1e-6 <= y <= 300 + 1e-6


def test_spread_leaves_labels_where_they_do_not_meet() -> None:
    assert spread([10, 50, 52], 15, 0, 300) == (10, 50, 65)
