"""Simulated meters on real serial lines and real sockets, and the building behind them."""
