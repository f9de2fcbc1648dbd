"""Video: files, image sequences, webcams and streams become counts over time. Free of torch."""
