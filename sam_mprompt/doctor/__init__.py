"""What is here, what is missing for which job, and whether the main job works: for a bug report."""
