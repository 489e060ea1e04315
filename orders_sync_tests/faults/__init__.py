"""What the project does when processes, hosts, networks and databases fail."""
