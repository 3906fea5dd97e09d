"""What goes out next: queues, replays, the clock's part, rate, and what a broker does not take."""
