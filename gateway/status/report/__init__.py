"""The yearly report: what it says of a year or of a month, as numbers first, then in the visitor's words."""
