"""Simulated meters on real serial lines and real sockets, a plausible building behind them, and the
self-check.
"""
