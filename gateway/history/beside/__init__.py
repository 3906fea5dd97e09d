"""Files beside history.db: its copy of last night, and the bills that were compared with it."""
