"""From readings to intervals: what is believed, the total at each quarter hour, versions, manifests."""
