"""The commands of the command line, a module each; a module is imported when its command is called."""
