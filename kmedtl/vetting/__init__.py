"""What a file from outside may hold, looked at before a library opens it. See docs/safety.md."""
