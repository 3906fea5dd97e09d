"""What the service manager sees of the daemon: signs of life, and the time before its configuration."""
