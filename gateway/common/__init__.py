"""Small pieces that every room may use; they import nothing of the house."""
