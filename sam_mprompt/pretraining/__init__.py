"""Training a small base, from scratch or beside a teacher."""
