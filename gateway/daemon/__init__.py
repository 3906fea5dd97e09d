"""Builds the parts from the configuration, connects them, runs, reloads and stops them."""
