"""The local page: its requests, and the HTML that answers them."""
