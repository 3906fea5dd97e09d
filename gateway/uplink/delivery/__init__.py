"""What became of it: what is on its way, who confirmed what, what must go again."""
