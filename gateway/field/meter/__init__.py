"""One meter: when it is due, which reads that takes, what they brought, and what state it is in."""
