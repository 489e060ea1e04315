"""The content of delivery notes and labels: what it is, where it is kept, how it is printed and erased."""
