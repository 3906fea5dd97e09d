"""The machine we run on: clock, service manager, pins. The only room that touches them."""
