from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vision_r1.core.config import validate
from vision_r1.problems.config import Take
from vision_r1.problems.split import linked, positions, taken

ROWS = st.lists(
    st.lists(st.sampled_from([f"k{i}" for i in range(12)]), min_size=1, max_size=3), min_size=1, max_size=30
)


def take(low: float, high: float, seed: int = 0) -> Take:
    return validate(Take, {"from": low, "to": high, "seed": seed})


@given(ROWS, st.lists(st.floats(0.01, 0.99), max_size=4, unique=True), st.integers(0, 9))
def test_shares_partition_the_rows_and_share_no_image(rows, cuts, seed):
    bounds = [0.0, *sorted(cuts), 1.0]
    shares = [taken(rows, take(a, b, seed)) for a, b in pairwise(bounds)]
    assert sorted(index for share in shares for index in share) == list(range(len(rows)))
    images = [{key for index in share for key in rows[index]} for share in shares]
    for i, one in enumerate(images):
        assert all(not one & other for other in images[i + 1 :])


@given(ROWS)
def test_places_do_not_depend_on_the_order(rows):
    assert positions(rows) == positions(rows[::-1])[::-1]


@given(ROWS)
def test_rows_are_linked_exactly_when_a_chain_of_shared_images_joins_them(rows):
    groups = [set(row) for row in rows]
    for _ in rows:
        groups = [set().union(*(other for other in groups if other & group)) for group in groups]
    assert linked(rows) == [min(group) for group in groups]


def test_shares_have_about_their_size_and_seeds_differ():
    rows = [[f"image {i}"] for i in range(4000)]
    assert 3080 < len(taken(rows, take(0, 0.8))) < 3320
    assert taken(rows, take(0, 0.5)) != taken(rows, take(0, 0.5, seed=1))
    assert taken(rows, take(0, 0.5)) == taken(rows, take(0, 0.5))
