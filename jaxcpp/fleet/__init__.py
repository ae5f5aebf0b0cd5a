"""How many: thousands of contracts in jitted batches. Importing this starts no JAX."""
