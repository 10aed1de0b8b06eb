"""What a multirun's jobs are and how far each is, known from files alone and without importing torch."""
