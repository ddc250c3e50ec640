"""What is played: one module a subject."""
