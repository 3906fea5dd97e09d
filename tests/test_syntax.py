"""Trees of source are made whatever else happens in the process."""

import ast
import gc
from pathlib import Path

from tests.syntax import parsed


def test_what_is_cleaned_up_meanwhile_may_make_a_tree_itself() -> None:
    made: list[ast.Module] = []

    class LastWords:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            made.append(ast.parse("x = 1"))

    source = Path(__file__).read_text()
    seldom = gc.get_threshold()
    for _ in range(20):
        LastWords()
    gc.set_threshold(1)
    try:
        tree = parsed(source)
    finally:
        gc.set_threshold(*seldom)
    gc.collect()
    assert len(made) == 20
    assert ast.dump(tree) == ast.dump(ast.parse(source))
