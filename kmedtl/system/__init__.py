"""What differs between operating systems: each function does what the system at hand offers, and says what it lacks."""
