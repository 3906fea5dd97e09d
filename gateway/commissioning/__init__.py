"""Helps the person who wires a meter: is what it says possible, and if not, what would make it so."""
