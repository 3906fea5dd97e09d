"""What is wrong with a register, and what is wrong with a meter, its wiring or its clock: pure functions."""
