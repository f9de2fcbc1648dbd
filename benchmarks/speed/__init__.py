"""What counting and training take: time and memory beside other libraries, beside ourselves, and beside the machine."""
