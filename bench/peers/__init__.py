"""Who is timed. Each peer runs in a process of its own: `python -m bench.peers.NAME IN OUT ...`."""
