"""One run: from a composed configuration to a finished run directory. `orthontk.run.execute.run` carries it out."""
