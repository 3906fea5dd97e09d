"""The control socket, through which the commands of this machine ask the daemon."""
