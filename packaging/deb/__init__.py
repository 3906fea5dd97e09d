"""Makes the Debian package: libraries from the lock, the program, its unit, what Debian wants to know."""
