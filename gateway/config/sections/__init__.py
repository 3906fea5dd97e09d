"""Sections of the configuration, each with what may stand in it."""
