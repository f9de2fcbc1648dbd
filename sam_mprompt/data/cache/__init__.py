"""What is computed from images once and kept."""
