"""A damaged file of the journal: how it is recognised, moved aside, and read page by page."""
