"""The words of page and commands, in Turkish and English."""
