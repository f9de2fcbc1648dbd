"""Side-by-side measurements, each runnable with one command."""
