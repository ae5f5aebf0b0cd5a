"""One private transport problem: smoothed dual, Newton path, rounding, bounds."""
