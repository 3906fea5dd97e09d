"""The building's energy for page and API: what was used, where, when, and whether it was usual."""
