"""What people paste or describe: log lines, words read off a chip, symptoms; and what they mean together."""
