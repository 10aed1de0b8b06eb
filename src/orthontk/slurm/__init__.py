"""Jobs under SLURM: submitting them, and surviving their interruptions."""
