"""One SQLite file of the journal: its tables, its rows, what of them is settled, and what may make room."""
