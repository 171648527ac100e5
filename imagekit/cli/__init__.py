"""The command line. One module for each group of commands; `program` assembles them."""
