"""Timings that check the answers first: cases, peers in processes of their own, results."""
