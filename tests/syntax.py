"""Source → syntax tree."""

import ast
import gc


def parsed(source: str) -> ast.Module:
    """The tree of a module, made while nothing is cleaned up.

    What is cleaned up may have last words (an event loop that nobody closed); a traceback of these makes a
    tree, too, and CPython 3.11 breaks off making one within which another was made (SystemError: AST
    constructor recursion depth mismatch).
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if collects:
            gc.enable()
