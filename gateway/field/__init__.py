"""The only room that touches a meter: plan, bus, decode, poller, health, pulses."""
