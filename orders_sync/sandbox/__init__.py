"""A marketplace to run on a laptop: speaks Back Market's published contract, in a process of its own."""
