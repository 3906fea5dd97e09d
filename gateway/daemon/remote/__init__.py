"""What ties a gateway to its platform beside readings: certificates that end, and care from afar."""
