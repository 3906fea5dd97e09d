"""Meters with a pulse output: edges, what counts as a pulse, the register that follows."""
