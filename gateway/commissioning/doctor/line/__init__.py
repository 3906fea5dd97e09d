"""What goes over a line is measured, described by features, and weighed: which fault makes it look so."""
