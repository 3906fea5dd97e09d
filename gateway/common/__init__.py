"""Small pieces that every room may use; they import nothing of the house.

A shelf, not a room: each module is imported by its own name, so that a command which waits for nothing
loads no event loop.
"""
