"""Names and addresses, and the way to them."""
