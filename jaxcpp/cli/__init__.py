"""Words to calls: one file a command. Everything heavy is imported inside the commands."""
