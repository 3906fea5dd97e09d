"""The local page, its API and the control socket: reads snapshots, never writes."""
