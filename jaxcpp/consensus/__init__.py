"""Who coordinates: methods that find a common plan from the agents' answers alone."""
